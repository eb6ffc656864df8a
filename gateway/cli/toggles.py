"""``gateway ban`` and ``gateway unban``: a vendor off and on again, without a restart."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import click

from gateway.cli.options import Moment, config_option, key_option, policy_option, settings_in_force
from gateway.cli.remote import Remote, either, local_actor, named, record
from gateway.config.presence import serving
from gateway.config.settings import Settings
from gateway.config.signing import Signer
from gateway.domain.identity import Role
from gateway.http.seen import Toggled
from gateway.inventory import Inventory
from gateway.operating.toggling import Toggling


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
    meant = _roles(roles)
    body = {
        "reason": reason,
        "authority": authority,
        "reference": reference,
        "until": until.isoformat() if until is not None else None,
        "roles": [*meant],
    }

    def here() -> Toggled:
        return _toggling(settings, key).ban(
            vendor,
            reason=reason,
            authority=authority,
            reference=reference,
            until=until,
            roles=meant,
            actor=local_actor(),
            now=datetime.now(UTC),
        )

    toggled = _toggled(settings, key, "POST", vendor, body, here)
    _say(f"{vendor} is banned", settings, toggled)


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

    def here() -> Toggled:
        return _toggling(settings, key).unban(vendor, actor=local_actor(), now=datetime.now(UTC))

    toggled = _toggled(settings, key, "DELETE", vendor, None, here)
    _say(f"the ban of {vendor} is lifted", settings, toggled)


def _toggled(
    settings: Settings,
    key: Path | None,
    method: str,
    vendor: str,
    body: Mapping[str, object] | None,
    here: Callable[[], Toggled],
) -> Toggled:
    """By the running gateway. Who signs does it here: a private key goes nowhere."""
    if key is not None:
        return here()
    path = f"/vendors/{named('vendor', vendor)}/ban"

    def there(remote: Remote) -> Toggled:
        return Toggled.model_validate(remote.ask(method, path, body))

    return either(settings, there, here)


def _toggling(settings: Settings, key: Path | None) -> Toggling:
    signer = Signer(key) if key is not None else None
    there = partial(serving, settings)
    return Toggling(Inventory(settings), there, record(settings), signer)


def _roles(text: str) -> tuple[Role, ...]:
    try:
        return tuple(Role(word.strip()) for word in text.split(","))
    except ValueError:
        known = ", ".join(Role)
        raise click.BadParameter(f"{text!r}: roles are {known}", param_hint="--roles") from None


def _say(done: str, settings: Settings, toggled: Toggled) -> None:
    """What came of it; ends with 1 where a serving process has not taken it."""
    for waiting in toggled.waiting:
        click.echo(
            f"process {waiting.pid} still has policy {waiting.policy[:12]}: "
            f"{waiting.problem or 'it does not say why'}",
            err=True,
        )
    if toggled.waiting:
        sys.exit(1)
    count = toggled.processes
    if not count:
        click.echo(f"{done} in {settings.policy.dir}; no gateway is running on it")
        return
    click.echo(
        f"{done}: in force after {toggled.seconds:.2f} s in {count} serving "
        f"process{'es' if count > 1 else ''}, policy {toggled.revision[:12]}"
    )
