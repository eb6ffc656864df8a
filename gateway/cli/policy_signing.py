"""``gateway policy keygen | sign | verify``: who may decide what is in force."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from gateway.cli.options import config_option, format_option, key_option, policy_option
from gateway.cli.settled import settings_of
from gateway.config.signing import SIGNATURE, PublicKey, Signer, generate, verify
from gateway.config.sources import POLICIES
from gateway.errors import StateError
from gateway.files import write_atomically
from gateway.inventory import Inventory, policy_sources


@click.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="The file of the private key; the public one goes to the same name with .pub.",
)
def keygen(out: Path) -> None:
    """Make a pair of keys for signing policies. A file that is there is never overwritten.

    Example: gateway policy keygen --out policy.key
    """
    private, public = generate()
    _create(out, private, 0o600)
    beside = out.with_name(f"{out.name}.pub")
    _create(beside, f"{public.text}\n".encode(), 0o644)
    click.echo(f"private key: {out} (keep it where the gateway does not run)")
    click.echo(f"public key {public.id}: {beside}")
    click.echo(public.text)


@click.command()
@key_option
@config_option
@policy_option
def sign(key: Path | None, config: Path, policy_dir: Path | None) -> None:
    """Sign the policy as it stands in its folder, after it was checked.

    Example: gateway policy sign --key policy.key --policy configs/policies
    """
    if key is None:
        raise click.UsageError("give the private key with --key FILE")
    signer = Signer(key)
    settings = settings_of(config, policy_dir)
    sources = policy_sources(settings)
    policy = Inventory(settings).policy_loader().tested(sources, sources.read())
    path = sources.policies / SIGNATURE
    try:
        write_atomically(path, signer.sign(policy), 0o644)
    except OSError as error:
        raise StateError(f"{path} cannot be written: {error.strerror or error}") from None
    click.echo(f"{path}: key {signer.public.id} signed revision {policy.revision}")


@click.command("verify")
@click.option("--key", type=click.Path(path_type=Path), help="The file of one public key.")
@config_option
@policy_option
@format_option
def verify_(key: Path | None, config: Path, policy_dir: Path | None, format_: str) -> None:
    """Check the signature by one public key, or by those of the configuration.

    Example: gateway policy verify --key policy.key.pub --policy configs/policies
    """
    settings = settings_of(config, policy_dir)
    words = settings.policy.public_keys if key is None else (f"file:{key.absolute()}",)
    if not words:
        raise click.UsageError("no key to check by: give --key FILE.pub or set policy.public_keys")
    keys = [PublicKey.named(word, settings.folder) for word in words]
    sources = policy_sources(settings)
    files = sources.read()
    policy = Inventory(settings).policy_loader().tested(sources, files)
    signer = verify(files.get(f"{POLICIES}/{SIGNATURE}"), policy, keys)
    if format_ == "json":
        click.echo(json.dumps({"revision": policy.revision, "key": signer.id}))
    else:
        click.echo(f"revision {policy.revision} is signed by key {signer.id}")


def _create(path: Path, content: bytes, mode: int) -> None:
    """A new file, never readable by more than ``mode`` says."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
    except OSError as error:
        raise StateError(f"{path} cannot be written: {error.strerror or error}") from None
