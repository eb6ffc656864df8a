"""The files of the local models, and what serves them."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

import click

from gateway.config.manifests import local_manifest
from gateway.config.settings import Settings
from gateway.domain.local_model import LocalModel
from gateway.errors import GatewayError
from gateway.inventory import Inventory
from gateway.local.files import ModelFiles, verify_model
from gateway.local.gguf import GgufHeader
from gateway.local.verify import remembered

ENGINE = ("jinja2", "llama_cpp", "llguidance", "numpy")
"""The packages of the extra ``local``."""


def missing() -> tuple[str, ...]:
    """Those of the local engine's packages that are not installed."""
    return tuple(name for name in ENGINE if importlib.util.find_spec(name) is None)


def without_files(settings: Settings) -> Iterator[tuple[str, str]]:
    """The local models whose manifest or file is not there, or is wrong, and why."""
    for name in settings.local.models:
        try:
            local_manifest(settings, name)
        except GatewayError as error:
            yield name, error.message


def verified(inventory: Inventory) -> dict[str, ModelFiles | str]:
    """The headers of each model's files, or why it may not be served. Blocks while it hashes."""
    return {name: _verified(inventory, model) for name, model in inventory.local.items()}


def hashed(settings: Settings) -> dict[Path, datetime]:
    """When the hash of a file was last computed, of those that are remembered."""
    return {Path(seen.path): seen.at for seen in remembered(settings.state.dir)}


def refused(files: Mapping[str, ModelFiles | str]) -> dict[str, dict[str, str]]:
    """What the templates do not take, where the engine's packages are there to try."""
    if missing():
        return {}
    return {
        name: _refused(found.header) for name, found in files.items() if not isinstance(found, str)
    }


def _verified(inventory: Inventory, model: LocalModel) -> ModelFiles | str:
    if sys.stderr.isatty():
        click.echo(f"checking {model.manifest.path.name}", err=True)
    try:
        return verify_model(model, inventory.settings.state.dir, inventory.check_weights)
    except GatewayError as error:
        return error.message


def _refused(header: GgufHeader) -> dict[str, str]:
    from gateway.readiness.templates import refused as tried  # noqa: PLC0415 - needs `local`

    return tried(header)
