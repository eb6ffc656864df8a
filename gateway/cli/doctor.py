"""``gateway doctor``: what is wrong, or will be when it counts, before it does."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import click

from gateway.cli.options import config_option, format_option, policy_option
from gateway.cli.settled import settings_of
from gateway.cli.text import counted
from gateway.config.manifests import local_manifest
from gateway.config.presence import run_dir, running
from gateway.config.settings import Settings
from gateway.dialled import with_credentials
from gateway.domain.local_model import LocalModel
from gateway.errors import GatewayError
from gateway.inventory import Inventory
from gateway.local.files import ModelFiles, verify_model
from gateway.local.gguf import GgufHeader
from gateway.local.machine import free_memory
from gateway.readiness.doctor import Examined, Finding, Level, examine
from gateway.upstream.translate.spawning import packages

_COLOURS = {Level.ERROR: "red", Level.WARNING: "yellow", Level.INFO: "cyan"}
_ENGINE = ("jinja2", "llama_cpp", "llguidance", "numpy")
"""The packages of the extra ``local``."""


@click.command()
@config_option
@policy_option
@format_option
def doctor(config: Path, policy_dir: Path | None, format_: str) -> None:
    """Look for what is wrong, or will be when a vendor is gone, and say what to do.

    Exit code 1 where something is wrong, 0 where there are warnings only. No vendor and no server
    is asked anything.

    Example: gateway doctor --format json
    """
    found = _findings(config, policy_dir)
    count = {level: sum(one.level is level for one in found) for level in Level}
    if format_ == "json":
        rows = [asdict(finding) for finding in found]
        shown = {"findings": rows, "errors": count[Level.ERROR], "warnings": count[Level.WARNING]}
        click.echo(json.dumps(shown, indent=2))
    else:
        for finding in found:
            _print(finding)
        errors, warnings = count[Level.ERROR], count[Level.WARNING]
        click.secho(f"{counted(errors, 'error')}, {counted(warnings, 'warning')}", bold=True)
    sys.exit(1 if count[Level.ERROR] else 0)


def _findings(config: Path, policy_dir: Path | None) -> list[Finding]:
    """What there is to say, as far as the files that it hangs on can be read."""
    try:
        settings = settings_of(config, policy_dir)
    except GatewayError as error:
        return [_unreadable("configuration", str(config), error)]
    found = list(_unusable(settings))
    if found:
        return found
    inventory = Inventory(settings)
    try:
        inventory.load_policy()
    except GatewayError as error:
        found.append(_unreadable("policy", str(settings.policy.dir), error))
    return [*found, *examine(_examined(inventory))]


def _unusable(settings: Settings) -> Iterator[Finding]:
    """The local models whose manifest or file is not there, or is wrong."""
    for name in settings.local.models:
        try:
            local_manifest(settings, name)
        except GatewayError as error:
            yield _unreadable("files", f"local/{name}", error)


def _unreadable(check: str, subject: str, error: GatewayError) -> Finding:
    return Finding(
        check, Level.ERROR, subject, error.message, "nothing starts before this is corrected"
    )


def _examined(inventory: Inventory) -> Examined:
    settings = inventory.settings
    routes = inventory.routes(with_credentials(settings))
    missing = tuple(name for name in _ENGINE if importlib.util.find_spec(name) is None)
    files = {name: _files(inventory, model) for name, model in inventory.local.items()}
    return Examined(
        channels=settings.channels,
        keyless=routes.without_credentials,
        routes=routes,
        local=inventory.local,
        files=files,
        refused={
            name: _refused(found.header)
            for name, found in files.items()
            if not missing and not isinstance(found, str)
        },
        missing=missing,
        translator=packages(settings.translate.python) is not None,
        free=None if running(run_dir(settings)) else free_memory(),
        budget=inventory.local_budget,
    )


def _files(inventory: Inventory, model: LocalModel) -> ModelFiles | str:
    """The headers of a model's files, or why it may not be served."""
    if sys.stderr.isatty():
        click.echo(f"checking {model.manifest.path.name}", err=True)
    try:
        return verify_model(model, inventory.settings.state.dir, inventory.check_weights)
    except GatewayError as error:
        return error.message


def _refused(header: GgufHeader) -> dict[str, str]:
    from gateway.readiness.templates import refused  # noqa: PLC0415 - needs the extra `local`

    return refused(header)


def _print(finding: Finding) -> None:
    click.secho(f"{finding.level:8}", fg=_COLOURS[finding.level], bold=True, nl=False)
    first, *rest = finding.message.splitlines()
    click.echo(f"{finding.subject}: {first}")
    for line in (*rest, finding.advice):
        click.echo(f"        {line}")
