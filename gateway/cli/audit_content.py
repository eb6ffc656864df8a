"""``gateway audit open-content``: what was said, for who has the private key."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import click

from gateway.audit.content import private_key, unseal
from gateway.errors import StateError
from gateway.printed import plain


@click.command("open-content")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--key",
    required=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The private key (PEM, X25519) of the recipient.",
)
@click.option(
    "--part",
    type=click.Choice(["request", "answer"]),
    help="Only one body, byte by byte.  [default: both, with a line before each]",
)
def open_content(file: Path, key: Path, part: str | None) -> None:
    """Decrypt a file of audit.content: the bodies of one request and of its answer. The sha256 that
    is told of the file stands in the request's record, as `content`.

    Example: gateway audit open-content sealed/2026-03-05/req_1.sealed --key audit-content.pem
    """
    sealed = _read(file)
    try:
        content = unseal(private_key(_read(key)), sealed)
    except ValueError as error:
        raise StateError(f"{file} cannot be opened: {error}") from None
    header = content.header
    told = (
        f"{header.id} of {header.at.isoformat()}, file sha256 {hashlib.sha256(sealed).hexdigest()}"
    )
    click.echo(plain(told), err=True)
    bodies = {"request": content.request, "answer": content.answer}
    if part is not None:
        sys.stdout.buffer.write(bodies[part])
        return
    for name, body in bodies.items():
        click.secho(f"--- {name}, {len(body)} bytes", bold=True)
        for line in body.decode("utf-8", "replace").split("\n"):
            click.echo(plain(line))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StateError(f"{path} cannot be read: {error.strerror or error}") from None
