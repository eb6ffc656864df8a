"""``gateway ban`` and ``gateway unban``: a vendor off and on again, without a restart."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import click

from gateway.cli.options import Moment, config_option, key_option, policy_option, settings_in_force
from gateway.config.presence import running
from gateway.config.settings import Settings
from gateway.config.signing import Signer
from gateway.config.toggles import Toggles
from gateway.domain.identity import Role
from gateway.inventory import Inventory, policy_sources
from gateway.wiring import run_dir

CONFIRM_WITHIN = 5.0
"""Seconds to wait for every serving process to take the new policy."""


@click.command()
@click.argument("vendor")
@click.option("--reason", required=True, help="Why: goes into every decision and record.")
@click.option("--authority", help="Who ordered it.")
@click.option("--reference", help="Where that can be read.")
@click.option("--until", type=Moment(), help="When the ban ends by itself.")
@click.option(
    "--roles",
    default="channel,developer",
    show_default=True,
    help="In what roles: channel, developer, lineage, weights.",
)
@key_option
@config_option
@policy_option
def ban(
    vendor: str,
    reason: str,
    authority: str | None,
    reference: str | None,
    until: datetime | None,
    roles: str,
    key: Path | None,
    config: Path,
    policy_dir: Path | None,
) -> None:
    """Deny a vendor now, through every channel that resells it.

    Example: gateway ban openai --reason "directive 12" --reference https://example.org/12
    """
    settings = settings_in_force(config, policy_dir)
    policy = _toggles(settings, key).ban(
        vendor,
        reason=reason,
        authority=authority,
        reference=reference,
        until=until,
        roles=_roles(roles),
        now=datetime.now(UTC),
    )
    _confirm(f"{vendor} is banned", settings, policy.revision)


@click.command()
@click.argument("vendor")
@key_option
@config_option
@policy_option
def unban(vendor: str, key: Path | None, config: Path, policy_dir: Path | None) -> None:
    """Take back what `gateway ban` did; hand-written rules stay as they are.

    Example: gateway unban openai
    """
    settings = settings_in_force(config, policy_dir)
    policy = _toggles(settings, key).unban(vendor)
    _confirm(f"the ban of {vendor} is lifted", settings, policy.revision)


def _toggles(settings: Settings, key: Path | None) -> Toggles:
    inventory = Inventory(settings)
    signer = Signer(key) if key is not None else None
    return Toggles(policy_sources(settings), inventory.catalog, inventory.policy_loader(), signer)


def _roles(text: str) -> tuple[Role, ...]:
    try:
        return tuple(Role(word.strip()) for word in text.split(","))
    except ValueError:
        known = ", ".join(Role)
        raise click.BadParameter(f"{text!r}: roles are {known}", param_hint="--roles") from None


def _confirm(done: str, settings: Settings, revision: str) -> None:
    """Wait until every serving process of this policy folder has the new revision in force."""
    began = time.monotonic()
    folder = str(settings.policy.dir)
    while True:
        serving = [p for p in running(run_dir(settings)) if p.policy_dir == folder]
        if not serving:
            click.echo(f"{done} in {folder}; no gateway is running on it")
            return
        waiting = [p for p in serving if p.revision != revision]
        seconds = time.monotonic() - began
        if not waiting:
            count = len(serving)
            click.echo(
                f"{done}: in force after {seconds:.2f} s in {count} serving "
                f"process{'es' if count > 1 else ''}, policy {revision[:12]}"
            )
            return
        if seconds > CONFIRM_WITHIN:
            for presence in waiting:
                click.echo(
                    f"process {presence.pid} still has policy {presence.revision[:12]}: "
                    f"{presence.problem or 'it does not say why'}",
                    err=True,
                )
            sys.exit(1)
        time.sleep(0.02)
