"""``gateway policy diff``: what changes for whom, over all targets and all classes of requests."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict
from datetime import UTC, datetime, time
from pathlib import Path
from typing import TypeAlias, TypeVar

import click

from gateway.cli.options import Moment, config_option, format_option
from gateway.cli.settled import settings_of
from gateway.cli.text import COLOURS, counted, say_error
from gateway.config.sources import Sources
from gateway.errors import GatewayError
from gateway.inventory import Inventory
from gateway.policy.compile import Policy
from gateway.policy.diff import Change, Outcome, Requests, Tags, diff
from gateway.policy.request_classes import EVER, LABELS

K = TypeVar("K")
_Group: TypeAlias = tuple[K, list[Change]]
_FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)


@click.command("diff")
@click.argument("old", type=_FOLDER)
@click.argument("new", type=_FOLDER)
@click.option("--designations-old", type=_FOLDER, help="Those of OLD.  [default: as configured]")
@click.option("--designations-new", type=_FOLDER, help="Those of NEW.  [default: as configured]")
@click.option("--from", "start", type=Moment(), help="From this instant on.  [default: now]")
@click.option("--all-time", is_flag=True, help="Compare the past as well.")
@config_option
@format_option
def diff_(
    old: Path,
    new: Path,
    designations_old: Path | None,
    designations_new: Path | None,
    start: datetime | None,
    all_time: bool,
    config: Path,
    format_: str,
) -> None:
    """Show every request whose verdict changes between two policy folders: all configured targets,
    all callers and instants that a rule can tell apart. Exits with 0 where nothing changes, with 1
    where something does, with 2 where they cannot be compared.

    Example: gateway policy diff configs/policies /tmp/policies
    """
    try:
        settings = settings_of(config)
        inventory = Inventory(settings)
        usual = settings.policy.designations
        before = _compiled(inventory, Sources(old, designations_old or usual))
        after = _compiled(inventory, Sources(new, designations_new or usual))
        moment = EVER if all_time else start or datetime.now(UTC)
        targets = {t.id: t for route in inventory.routes({}).all() for t in route.targets}
        changes = diff(before, after, targets.values(), moment)
    except GatewayError as error:
        # 1 would say that the policies were compared.
        say_error(error)
        sys.exit(2)
    since = None if all_time else moment
    if format_ == "json":
        answer = {
            "old": before.revision,
            "new": after.revision,
            "from": since,
            "targets": sorted(targets),
            "changes": [asdict(change) for change in changes],
        }
        click.echo(json.dumps(answer, indent=2, default=datetime.isoformat))
    else:
        when = f"from {_date(since)} on" if since is not None else "at all times"
        click.echo(
            f"{before.revision[:12]} → {after.revision[:12]}, {counted(len(targets), 'target')}, "
            f"{when}"
        )
        _print(changes, moment)
    if changes:
        sys.exit(1)


def _compiled(inventory: Inventory, sources: Sources) -> Policy:
    return inventory.policy_loader().compiled(sources, sources.read())


def _print(changes: list[Change], start: datetime) -> None:
    """One block for the verdicts and one for the rest; in it, what changes, where and for whom."""
    for verdict, title in ((True, "The verdict changes"), (False, "The verdict stays")):
        block = [change for change in changes if change.verdict is verdict]
        if block:
            click.secho(f"\n{title}", bold=True)
        for (old, new), alike in _grouped(block, lambda change: (change.old, change.new)):
            click.echo(f"  {_said(old)} → {_said(new)}")
            for targets, lines in _grouped(alike, lambda change: change.targets):
                click.echo(f"    {' '.join(targets)}")
                for change in lines:
                    click.echo(f"      {_who(change.requests, start)}")
    verdicts = sum(change.verdict for change in changes)
    others = len(changes) - verdicts
    click.echo(
        f"\n{counted(verdicts, 'change')} of the verdict, {others} only of the rule, handling, "
        "waiver or drain"
    )


def _grouped(changes: Iterable[Change], key: Callable[[Change], K]) -> Iterable[_Group[K]]:
    groups: dict[K, list[Change]] = {}
    for change in changes:
        groups.setdefault(key(change), []).append(change)
    return groups.items()


def _said(outcome: Outcome) -> str:
    verdict = click.style(outcome.verdict, fg=COLOURS[outcome.verdict])
    shadow = " in shadow" if outcome.acted != outcome.verdict else ""
    waiver = f", waiver {outcome.waiver}" if outcome.waiver else ""
    handling = f", {outcome.handling}" if outcome.handling else ""
    drain = f" {outcome.drain}" if outcome.drain else ""
    return f"{verdict}{shadow} by {outcome.rule}{handling}{drain}{waiver}"


def _who(requests: Requests, start: datetime) -> str:
    parts = []
    for label in LABELS:
        values = getattr(requests, label)
        if values.any_of:
            parts.append(f"{label} {' or '.join(values.any_of)}")
        if values.none_of:
            parts.append(f"{label} not {' or '.join(values.none_of)}")
    tags = [_tags(some) for some in requests.tags]
    if tags:
        parts.append("; or ".join(tags))
    spans = " and ".join(filter(None, (_span(*span, start) for span in requests.spans)))
    if spans:
        parts.append(spans)
    return ", ".join(parts) or "every request"


def _tags(tags: Tags) -> str:
    parts = [f"tag {' or '.join(some)}" for some in tags.any_of]
    if tags.none_of:
        parts.append(f"no tag {' or '.join(tags.none_of)}")
    return " and ".join(parts)


def _span(since: datetime | None, until: datetime | None, start: datetime) -> str:
    parts = []
    if since is not None and since != start:
        parts.append(f"from {_date(since)}")
    if until is not None:
        parts.append(f"until {_date(until)}")
    return " ".join(parts)


def _date(at: datetime) -> str:
    """As an operator would write it: midnight UTC is a date."""
    at = at.astimezone(UTC)
    midnight = at.time() == time()
    return at.date().isoformat() if midnight else f"{at:%Y-%m-%dT%H:%M:%SZ}"
