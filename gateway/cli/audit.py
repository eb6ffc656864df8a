"""``gateway audit``: what was written down, and whether it is what was written."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from gateway.audit.reader import log_files
from gateway.audit.trusted import trusted
from gateway.audit.verified import Verified
from gateway.audit.verify import verify
from gateway.cli.audit_content import open_content
from gateway.cli.audit_export import export
from gateway.cli.audit_lines import query_, tail
from gateway.cli.audit_log import log_argument, log_of
from gateway.cli.options import config_option, format_option
from gateway.cli.text import counted
from gateway.cli.waiting import Bytes
from gateway.printed import plain


@click.group()
def audit() -> None:
    """The audit log: whether it is whole, what it says, and taking it elsewhere.

    Example: gateway audit verify
    """


audit.add_command(tail)
audit.add_command(query_)
audit.add_command(export)
audit.add_command(open_content)


@audit.command("verify")
@log_argument
@click.option(
    "--checkpoint",
    "external",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Copies of checkpoints that were kept elsewhere: a file of one or many.",
)
@click.option(
    "--key",
    "given",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A public key to check by; repeatable.  [default: those beside the log]",
)
@config_option
@format_option
def verify_(
    log: Path | None, external: Path | None, given: tuple[Path, ...], config: Path, format_: str
) -> None:
    """Check every line of the log and the chain that they make. Exits with 1 at the first line that
    is not as it was written.

    PATH is a folder of segments or one file; by default that of the configuration.

    Example: gateway audit verify --checkpoint /mnt/elsewhere/checkpoints.jsonl
    """
    log = log_of(log, config)
    files = log_files(log)
    keys = trusted(log, given)
    with Bytes("verifying", sum(file.stat().st_size for file in files)) as progress:
        found = verify(files, keys, external=external, progress=progress.more)
    if format_ == "json":
        told = {"log": str(log), "good": found.good, "unvouched": found.unvouched}
        click.echo(json.dumps({**told, "keys": list(keys), **asdict(found)}, indent=2))
    else:
        _print(log, found)
        _print_trust(found, beside=not given)
    sys.exit(0 if found.good else 1)


def _print(log: Path, found: Verified) -> None:
    kinds = ", ".join(counted(count, kind) for kind, count in sorted(found.kinds.items()) if count)
    of = f" ({kinds})" if kinds else ""
    click.echo(f"{log}: {counted(found.segments, 'segment')}, {counted(found.lines, 'line')}{of}")
    if found.lines:
        click.echo(f"seq {found.first} ({found.begins}) to {found.seq} ({found.ends})")
    for noted in found.noted:
        details = " ".join(f"{name}={value}" for name, value in noted.detail.items())
        click.secho(
            plain(f"seq {noted.seq} {noted.at} {noted.event} {noted.subject} {details}"),
            fg="yellow",
        )
    if found.torn is not None:
        click.secho(
            f"{found.torn.file}, line {found.torn.line}: {found.torn.bytes} bytes without an end: "
            "its process was killed, or is just writing; the next start tells of it in the log",
            fg="yellow",
        )
    if found.fault is None:
        click.secho("good", fg="green", bold=True, nl=False)
        click.echo(f": every line is as it was written, up to hash {found.hash}")
        return
    fault = found.fault
    place = f"line {fault.line}" if fault.line else "its end"
    click.secho("NOT GOOD", fg="red", bold=True, nl=False)
    click.echo(f": {fault.file}, {place}, seq {fault.seq}, by the check {fault.check.value!r}")
    click.echo(plain(f"  expected {fault.expected}"))
    click.echo(plain(f"  found    {fault.found}"))
    click.echo(f"  good up to seq {found.seq}" if found.lines else "  no line before it is good")


def _print_trust(found: Verified, *, beside: bool) -> None:
    """What the signatures say, and what nobody can know."""
    mark, external = found.mark, found.external
    if mark is None:
        click.echo("signed: nothing. No checkpoint vouches for any line")
    else:
        by = "that lies beside the log" if beside else "that was given"
        click.echo(f"signed: up to seq {mark.seq} ({mark.at}), by the key {mark.key} {by}")
        if found.unvouched:
            click.echo(
                f"  {counted(found.unvouched, 'line')} behind it: nobody vouches for that yet"
            )
    if not found.good:
        return
    if external is None:
        click.echo(
            "end: not known. A log that was cut off at its end looks like one that was not: only\n"
            "  --checkpoint, with a copy from elsewhere, can tell (audit.checkpoints.copy_to)"
        )
    elif external.last is None:
        click.echo(f"end: not known. Of {counted(external.earlier, 'copy')} none is of these lines")
    else:
        click.echo(
            f"end: {external.agreed} copies agree, the last of seq {external.last.seq} "
            f"({external.last.at}). Up to there\n"
            "  nothing is missing or was written anew; what was behind it could be cut off unseen"
        )
