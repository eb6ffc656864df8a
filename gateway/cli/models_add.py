"""``gateway models add``: a GGUF file and its manifest, from a path or an internal mirror."""

from __future__ import annotations

import re
import sys
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import click

from gateway.cli.options import config_option
from gateway.cli.settled import settings_of
from gateway.cli.text import GB
from gateway.config.manifests import WrittenManifest, write_manifest
from gateway.errors import ModelFileError
from gateway.inventory import Inventory
from gateway.local.fetch import fetch, is_remote
from gateway.local.gguf import GgufHeader
from gateway.vendors.catalog import Catalog
from gateway.vendors.weights import makers


@click.command()
@click.argument("source", metavar="FILE|URL")
@click.option("--id", "id_", required=True, help="What the manifest is called: models/ID.yaml.")
@click.option("--sha256", help="What the file must be. Needed for a URL, unless --trust-first.")
@click.option("--trust-first", is_flag=True, help="Pin what comes, whatever it is.")
@click.option("--developer", help="Vendor id of who made it.  [default: what the file names]")
@click.option("--lineage", multiple=True, help="Vendor id of whose weights it was made from.")
@click.option("--licence", help="SPDX id.  [default: what the file names]")
@click.option("--max-gb", type=float, default=200.0, show_default=True, help="The largest file.")
@config_option
def add(
    source: str,
    id_: str,
    sha256: str | None,
    trust_first: bool,
    developer: str | None,
    lineage: tuple[str, ...],
    licence: str | None,
    max_gb: float,
    config: Path,
) -> None:
    """Copy a model's file beside the manifests, check it, and write its manifest.

    Example: gateway models add /mnt/models/qwen3-8b-q4_k_m.gguf --id qwen3-8b
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", id_):
        raise click.BadParameter("small letters, digits, '.', '_' and '-'", param_hint="--id")
    if sha256 is not None and not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise click.BadParameter("64 digits of small hex", param_hint="--sha256")
    remote = is_remote(source)
    if remote and sha256 is None and not trust_first:
        raise click.UsageError(
            "a file from a URL needs --sha256, or --trust-first to pin what comes"
        )
    inventory = Inventory(settings_of(config))
    if remote and inventory.settings.offline:
        raise ModelFileError(
            "offline: true forbids to fetch a file from another machine: copy it here by other "
            "means, and give its path"
        )
    folder = inventory.settings.local.manifests
    if (folder / f"{id_}.yaml").exists():
        raise ModelFileError(f"{folder / f'{id_}.yaml'} is there already: choose another --id")
    if remote:
        click.echo(f"from {urlsplit(source).hostname}", err=True)
    path = folder / f"{id_}.gguf"
    found, header = fetch(source, path, sha256, int(max_gb * GB), _progress)
    with ExitStack() as stack:
        # A file without a manifest is of no use to anybody, and would stand in the way.
        stack.callback(path.unlink)
        manifest = _manifest(inventory.catalog, id_, found, header, developer, lineage, licence)
        written = write_manifest(folder, manifest)
        stack.pop_all()
    click.echo(f"{path}\n{written}: developer {manifest.developer}, licence {manifest.licence}")
    click.echo(f"sha256 {found}")
    click.echo(f"next, in {config}: local.models: {{{id_}: {{manifest: {id_}}}}}")


def _manifest(
    catalog: Catalog,
    id_: str,
    sha256: str,
    header: GgufHeader,
    developer: str | None,
    lineage: tuple[str, ...],
    licence: str | None,
) -> WrittenManifest:
    """What the options say, and where they do not, what the file says."""
    named = list(makers(header.metadata, catalog))
    if developer is None and not named:
        raise ModelFileError(
            "the file does not say who made it, in a way that the catalog knows: give --developer"
        )
    maker = developer or named[0]
    said = header.metadata.get("general.license")
    if licence is None and not isinstance(said, str):
        raise ModelFileError("the file does not name its licence: give --licence")
    if header.context_length is None:
        raise ModelFileError("the file does not say for what context it was trained: not a model")
    return WrittenManifest(
        id=id_,
        file=f"{id_}.gguf",
        sha256=sha256,
        developer=maker,
        model=id_,
        licence=licence or str(said),
        context=header.context_length,
        lineage=lineage or tuple(vendor for vendor in named if vendor != maker),
    )


def _progress(done: int, size: int) -> None:
    """A line that is written over, on a terminal alone."""
    if sys.stderr.isatty():
        end = "\n" if done == size else ""
        sys.stderr.write(f"\r{done / GB:.2f} of {size / GB:.2f} GB{end}")
        sys.stderr.flush()
