"""``gateway policy diff``: what changes for whom, over all targets and all classes of requests."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click

from gateway.cli.options import Moment, config_option, format_option, settings_of
from gateway.cli.text import counted
from gateway.config.sources import Sources
from gateway.policy.diff import Change, Outcome, Requests, diff
from gateway.policy.request_classes import LABELS
from gateway.wiring import Inventory

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
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
    where something does.

    Example: gateway policy diff configs/policies /tmp/policies
    """
    settings = settings_of(config)
    inventory = Inventory(settings)
    loader = inventory.policy_loader()
    usual = settings.policy.designations
    before, after = (
        loader.compiled(sources, sources.read())
        for sources in (
            Sources(old, designations_old or usual),
            Sources(new, designations_new or usual),
        )
    )
    moment = EPOCH if all_time else start or datetime.now(UTC)
    targets = {t.id: t for route in inventory.routes({}).all() for t in route.targets}
    changes = list(diff(before, after, targets.values(), moment))
    if format_ == "json":
        answer = {
            "old": before.revision,
            "new": after.revision,
            "from": moment.isoformat(),
            "targets": len(targets),
            "changes": [asdict(change) for change in changes],
        }
        click.echo(json.dumps(answer, indent=2, default=str))
    else:
        _print(changes, len(targets), before.revision, after.revision)
    if changes:
        sys.exit(1)


def _print(changes: list[Change], targets: int, old: str, new: str) -> None:
    click.echo(f"{old[:12]} → {new[:12]}, {counted(targets, 'target')}")
    shown = ""
    for change in changes:
        if change.target != shown:
            click.secho(f"\n{change.target}", bold=True)
            shown = change.target
        click.echo(f"  {_said(change.old)} → {_said(change.new)}")
        for line in _who(change.requests):
            click.echo(f"      {line}")
    verdicts = sum(change.verdict for change in changes)
    others = len(changes) - verdicts
    click.echo(
        f"\n{counted(verdicts, 'change')} of the verdict, {others} of rule, handling, waiver "
        "or drain only"
    )


_COLOURS = {"allow": "green", "risky": "yellow", "deny": "red"}


def _said(outcome: Outcome) -> str:
    verdict = click.style(outcome.verdict, fg=_COLOURS[outcome.verdict])
    shadow = " in shadow" if outcome.acted != outcome.verdict else ""
    handling = f", {outcome.handling}" if outcome.handling else ""
    waiver = f", waiver {outcome.waiver}" if outcome.waiver else ""
    drain = f", {outcome.drain}" if outcome.drain else ""
    return f"{verdict}{shadow} by {outcome.rule}{handling}{waiver}{drain}"


def _who(requests: Requests) -> list[str]:
    lines = []
    for label in LABELS:
        words = getattr(requests, label)
        if words:
            lines.append(f"{label}: {', '.join(words)}")
    if requests.tags:
        sets = " or ".join("+".join(some) or "none" for some in requests.tags)
        lines.append(f"tags (of {', '.join(requests.mentioned)}): {sets}")
    for start, end in requests.spans:
        since = "" if start == EPOCH else f"from {start.isoformat(timespec='seconds')} "
        until = f"until {end.isoformat(timespec='seconds')}" if end is not None else "on"
        lines.append(f"{since}{until}" if since or end is not None else "at any time")
    return lines
