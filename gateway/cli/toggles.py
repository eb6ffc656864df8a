"""``gateway ban`` and ``gateway unban``: a vendor off and on again, without a restart."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from gateway.cli.asking import OPERATOR_KEY, Remote, either, named
from gateway.cli.options import Moment, config_option, key_option, policy_option
from gateway.config.credential import credential
from gateway.config.places import folders
from gateway.config.presence import RUN, serving_on
from gateway.domain.identity import Role
from gateway.errors import StartupError, StateError

if TYPE_CHECKING:
    # Imported when it is needed: all that serving needs is behind it.
    from gateway.cli.toggles_here import Here
    from gateway.http.seen import Toggled


class Waiting(msgspec.Struct, frozen=True):
    """A serving process that has not taken it."""

    pid: int
    policy: str
    problem: str | None = None


class Done(msgspec.Struct, frozen=True):
    """What came of it, of all that is told."""

    revision: str
    seconds: float
    processes: int
    waiting: tuple[Waiting, ...] = ()


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
    meant = _roles(roles)
    body = {
        "reason": reason,
        "authority": authority,
        "reference": reference,
        "until": until.isoformat() if until is not None else None,
        "roles": [*meant],
    }

    def ban_here(here: Here) -> Toggled:
        return here.ban(
            vendor,
            reason=reason,
            authority=authority,
            reference=reference,
            until=until,
            roles=meant,
        )

    toggle = _Toggle(config, policy_dir, key)
    path = f"/vendors/{named('vendor', vendor)}/ban"
    toggle.say(f"{vendor} is banned", toggle.done("POST", path, body, ban_here))


@click.command()
@click.argument("vendor")
@key_option
@config_option
@policy_option
def unban(vendor: str, key: Path | None, config: Path, policy_dir: Path | None) -> None:
    """Take back what `gateway ban` did; hand-written rules stay as they are.

    Example: gateway unban openai
    """
    toggle = _Toggle(config, policy_dir, key)
    path = f"/vendors/{named('vendor', vendor)}/ban"
    done = toggle.done("DELETE", path, None, lambda here: here.unban(vendor))
    toggle.say(f"the ban of {vendor} is lifted", done)


class _Toggle:
    """By the running gateway. Who signs does it here: a private key goes nowhere.

    Whoever bans a vendor waits for nothing else: a gateway is found by two folders of the
    configuration. What more there is to read of that is read where none is found by them.
    """

    def __init__(self, config: Path, policy_dir: Path | None, key: Path | None) -> None:
        self._config = config
        self._policy_dir = policy_dir
        self._key = key

    def done(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None,
        change: Callable[[Here], Toggled],
    ) -> Done:
        """By ``method`` and ``path`` of the operators' API, or by what changes the files."""

        def there(remote: Remote) -> Done:
            return msgspec.convert(remote.ask(method, path, body), Done)

        def here() -> Done:
            return msgspec.convert(change(self._here).model_dump(), Done)

        if self._key is not None:
            return here()
        return either(self._plain() or self._here.remote(), there, here)

    def say(self, what: str, done: Done) -> None:
        """What came of it; ends with 1 where a serving process has not taken it."""
        for waiting in done.waiting:
            click.echo(
                f"process {waiting.pid} still has policy {waiting.policy[:12]}: "
                f"{waiting.problem or 'it does not say why'}",
                err=True,
            )
        if done.waiting:
            sys.exit(1)
        count = done.processes
        if not count:
            click.echo(f"{what} in {self._here.policy}; no gateway is running on it")
            return
        click.echo(
            f"{what}: in force after {done.seconds:.2f} s in {count} serving "
            f"process{'es' if count > 1 else ''}, policy {done.revision[:12]}"
        )

    def _plain(self) -> Remote | None:
        """The gateway that runs, where that is plain, and it has nothing to say of its files."""
        overrides = {} if self._policy_dir is None else {"policy.dir": self._policy_dir.absolute()}
        try:
            found = folders(self._config, overrides, os.environ)
            there = serving_on(found.state / RUN, found.policy)
            if not there or there[0].configuration_problem is not None:
                return None
            key = os.environ.get(OPERATOR_KEY) or credential(found.state / RUN).token
        except (StartupError, StateError):
            return None
        return Remote(there[0].admin_url, key, f"process {there[0].pid}")

    @cached_property
    def _here(self) -> Here:
        room = import_module("gateway.cli.toggles_here")
        found: Here = room.Here(self._config, self._policy_dir, self._key)
        return found


def _roles(text: str) -> tuple[Role, ...]:
    try:
        return tuple(Role(word.strip()) for word in text.split(","))
    except ValueError:
        known = ", ".join(Role)
        raise click.BadParameter(f"{text!r}: roles are {known}", param_hint="--roles") from None
