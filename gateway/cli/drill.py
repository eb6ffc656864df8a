"""``gateway drill``: practising the ban of a vendor on a gateway that runs."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec

from gateway.auditing import audit_folder
from gateway.cli.asking import LONG, Answered, Remote, Unreachable, either, named
from gateway.cli.drill_text import about, markdown, text
from gateway.cli.options import config_option, format_option
from gateway.cli.remote import local_actor, record, running_gateway
from gateway.cli.settled import settings_in_force
from gateway.config.settings import Settings
from gateway.domain.drill import PATIENCE
from gateway.domain.drilled import Held, Report
from gateway.errors import StateError
from gateway.http.drills import DrillState
from gateway.inventory import Inventory
from gateway.operating.drilling import Practised, drill_state
from gateway.printed import plain
from gateway.readiness.capacity import kept
from gateway.readiness.drill.reporting import Reports
from gateway.readiness.drill.store import Drills

LOOK_EVERY = 1.0
"""Seconds."""
PUT_AWAY = 10.0
"""Seconds in which some process has put a drill away whose time is over."""
MOST = 50
"""Drills that are listed."""
SETTLED = 15.0
"""Seconds that are waited at the most for requests that a drill began."""
STILL = 2
"""Seconds without another one after which none is waited for any more."""


class Share(click.ParamType[float]):
    """``10%``, or ``0.1``."""

    name = "share"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        if isinstance(value, float):
            return value
        try:
            found = float(value.removesuffix("%")) / (100 if value.endswith("%") else 1)
        except ValueError:
            found = 0.0
        if not 0 < found <= 1:
            self.fail(f"{value!r} is no share of the requests like 10% or 0.1")
        return found


report_format = click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json", "markdown"]),
    default="text",
    show_default=True,
    help="How to print.",
)


@click.group()
def drill() -> None:
    """Practise a ban: for a while, some requests are served as if a vendor were denied.

    Example: gateway drill start openai --minutes 5 --share 10% --reason "before directive 12"
    """


@drill.command()
@click.argument("vendor")
@click.option("--reason", required=True, help="Why: goes into the audit log.")
@click.option("--minutes", type=float, default=5.0, show_default=True, help="For how long.")
@click.option("--share", type=Share(), default="100%", help="Of the requests.  [default: 100%]")
@click.option("--app", "apps", multiple=True, help="Of this app alone (may be given repeatedly).")
@click.option("--synthetic", is_flag=True, help="Touch no app: the gateway asks by itself.")
@click.option("--rate", type=float, help="So often a second, with --synthetic.  [default: 1]")
@click.option("--strict", is_flag=True, help="The vendor answers nothing, whatever others cannot.")
@click.option(
    "--roles",
    default="channel,developer",
    show_default=True,
    help="In what roles: channel, developer, lineage, weights.",
)
@click.option("--detach", is_flag=True, help="Do not wait: it ends by itself.")
@config_option
@report_format
def start(
    vendor: str,
    reason: str,
    minutes: float,
    share: float,
    apps: tuple[str, ...],
    synthetic: bool,
    rate: float | None,
    strict: bool,
    roles: str,
    detach: bool,
    config: Path,
    format_: str,
) -> None:
    """Begin a drill, wait for its end and print the report. Ctrl-C ends it early. Exits with 1
    where local does not hold.

    Example: gateway drill start openai --minutes 2 --synthetic --rate 2 --reason "every Monday"
    """
    if rate is not None and not synthetic:
        raise click.UsageError("--rate says how often the gateway asks by itself: add --synthetic")
    settings = settings_in_force(config)
    remote = running_gateway(settings)
    if remote is None:
        raise StateError("no gateway is running on this configuration: there is nothing to drill")
    body = {
        "vendor": vendor,
        "reason": reason,
        "minutes": minutes,
        "share": share,
        "apps": list(apps),
        "rate": (1.0 if rate is None else rate) if synthetic else None,
        "strict": strict,
        "roles": [word.strip() for word in roles.split(",")],
    }
    begun = _begun(remote, body)
    _say_begun(begun)
    if detach:
        click.echo(f"gateway drill report {begun.drill.id} tells what came of it")
        return
    try:
        _wait(settings, begun)
    except KeyboardInterrupt:
        click.echo("\nending the drill", err=True)
        _end(settings)
    _print(_settled(_Drills(settings), running_gateway(settings), begun.drill.id), format_)


@drill.command()
@config_option
@format_option
def status(config: Path, format_: str) -> None:
    """Whether a drill runs.

    Example: gateway drill status
    """
    settings = settings_in_force(config)
    found = _Drills(settings).running(running_gateway(settings))
    if format_ == "json":
        click.echo(_json(found))
    elif found is None:
        click.echo("no drill runs")
    else:
        _say_begun(found)


@drill.command()
@config_option
def stop(config: Path) -> None:
    """End the drill that runs; its report stays.

    Example: gateway drill stop
    """
    settings = settings_in_force(config)
    ended = _Drills(settings).stop(running_gateway(settings))
    click.echo(f"drill {ended.drill.id} of {ended.drill.vendor} is ended")


@drill.command()
@click.argument("id", required=False)
@config_option
@report_format
def report(id: str | None, config: Path, format_: str) -> None:
    """What came of a drill, the newest where none is named. Exits with 1 where local does not hold.

    Example: gateway drill report --format markdown
    """
    settings = settings_in_force(config)
    remote, files = running_gateway(settings), _Drills(settings)
    if id is None:
        known = files.newest(remote, 1)
        if not known:
            raise StateError("there was no drill yet: gateway drill start VENDOR")
        id = known[0].drill.id
    _print(files.report(remote, id), format_)


@drill.command("list")
@config_option
@format_option
def list_(config: Path, format_: str) -> None:
    """The newest drills, newest first.

    Example: gateway drill list
    """
    settings = settings_in_force(config)
    found = _Drills(settings).newest(running_gateway(settings), MOST)
    if format_ == "json":
        click.echo(_json(found))
        return
    for one in found:
        share = "" if one.share is None else f", {one.share:.1%} served"
        verdict = "runs" if one.end is None else one.verdict or "ended"
        click.echo(f"{one.drill.id}  {verdict}{share}  {plain(about(one.drill))}")


class _Drills:
    """Drills of a gateway that runs or, where none does, out of its files."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def running(self, remote: Remote | None) -> DrillState | None:
        found = either(
            remote, lambda there: there.ask("GET", "/drill"), lambda: self._here().running()
        )
        return None if found is None else _state(found)

    def newest(self, remote: Remote | None, most: int) -> list[DrillState]:
        query = {"limit": most}
        found = either(
            remote,
            lambda there: there.ask("GET", "/drills", query=query),
            lambda: self._here().newest(most),
        )
        return [_state(one) for one in found]

    def stop(self, remote: Remote | None) -> DrillState:
        return _state(
            either(
                remote,
                lambda there: there.ask("DELETE", "/drill"),
                lambda: drill_state(self._here().stop(local_actor())),
            )
        )

    def report(self, remote: Remote | None, id: str) -> Report:
        path = f"/drills/{named('drill', id)}"

        def there(asked: Remote) -> Report:
            return msgspec.convert(asked.ask("GET", path, within=LONG), Report)

        return either(remote, there, lambda: self._here().report(id))

    def _here(self) -> Practised:
        settings = self._settings
        drills = Drills(settings.state.dir)
        reports = Reports(
            drills,
            audit_folder(settings),
            capacity=lambda: kept(settings.state.dir, Inventory(settings).weights),
            can=dict,
            deadline=float(settings.server.deadline),
        )
        return Practised(drills, reports, record(settings))


def _begun(remote: Remote, body: Mapping[str, Any]) -> DrillState:
    try:
        return _state(remote.ask("POST", "/drill", body))
    except KeyboardInterrupt:
        told = "it may have begun: gateway drill status tells, gateway drill stop ends it"
        click.echo(f"\n{told}", err=True)
        raise


def _end(settings: Settings) -> None:
    try:
        _Drills(settings).stop(running_gateway(settings))
    except Answered as error:
        # It has just ended by itself.
        click.echo(error.message, err=True)


def _wait(settings: Settings, begun: DrillState) -> None:
    """Until it runs no more. Whether the gateway answers meanwhile, or is another process by then,
    does not matter: it ends by its own clock, and this does as well.
    """
    shown = sys.stderr.isatty()
    try:
        while (left := (begun.drill.until - datetime.now(UTC)).total_seconds()) > 0:
            if not _goes_on(settings, begun.drill.id):
                return
            if shown:
                minutes, seconds = divmod(round(left), 60)
                said = (
                    f"drill of {begun.drill.vendor}: {minutes}:{seconds:02d} left, Ctrl-C ends it"
                )
                click.echo(f"\r{said} ", nl=False, err=True)
            time.sleep(min(LOOK_EVERY, left))
    finally:
        if shown:
            click.echo("\r\x1b[K", nl=False, err=True)


def _goes_on(settings: Settings, id: str) -> bool:
    """Whether it does, as far as anybody says: one that starts again knows us no more."""
    try:
        remote = running_gateway(settings)
        if remote is None:
            return True
        found = remote.ask("GET", "/drill")
        return found is not None and _state(found).drill.id == id
    except (Unreachable, Answered):
        return True


def _settled(files: _Drills, remote: Remote | None, id: str) -> Report:
    """The report, once the drill is put away and no more of its requests end."""
    until = time.monotonic() + PUT_AWAY
    found = files.report(remote, id)
    while found.end is None and time.monotonic() < until:
        time.sleep(LOOK_EVERY)
        found = files.report(remote, id)
    if found.drill.synthetic and found.end is not None and found.end.actor is None:
        click.echo("waiting for the last of its requests", err=True)
        time.sleep(PATIENCE + STILL)
        return files.report(remote, id)
    until, still = time.monotonic() + SETTLED, 0
    while time.monotonic() < until and still < STILL:
        time.sleep(LOOK_EVERY)
        before, found = found, files.report(remote, id)
        still = still + 1 if before.parts == found.parts else 0
    return found


def _say_begun(begun: DrillState) -> None:
    drill = begun.drill
    until = drill.until.astimezone(UTC).isoformat(sep=" ", timespec="seconds")
    click.echo(f"drill {drill.id} runs until {until}: {plain(about(drill))}", err=True)
    if not begun.moved:
        click.echo(f"  no model is served by {drill.vendor} first, as things stand", err=True)
    for one in begun.moved:
        click.echo(f"  {plain(one.model)} → {plain(one.then or 'nothing')}", err=True)


def _print(found: Report, format_: str) -> None:
    """With the exit code that says whether local holds."""
    if format_ == "json":
        click.echo(_json(found))
    else:
        written = markdown(found) if format_ == "markdown" else text(found)
        click.echo(written)
    sys.exit(0 if found.verdict in (Held.HOLDS, Held.GAPS) else 1)


def _json(told: object) -> str:
    return json.dumps(msgspec.to_builtins(told), indent=2)


def _state(told: object) -> DrillState:
    """As the API tells it, or as the files do."""
    return told if isinstance(told, DrillState) else msgspec.convert(told, DrillState)
