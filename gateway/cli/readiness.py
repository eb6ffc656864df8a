"""``gateway readiness``: if a vendor were banned now, what of the last day local could serve."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec

from gateway.cli.options import config_option, format_option, policy_option
from gateway.cli.remote import running_gateway
from gateway.cli.settled import settings_in_force
from gateway.cli.text import counted
from gateway.config.settings import Settings
from gateway.printed import plain
from gateway.scoring import reckoned


@click.command()
@config_option
@policy_option
@click.option("--vendor", help="Only this one, with all that is missing.  [default: all]")
@click.option(
    "--at-least",
    type=click.FloatRange(0, 1),
    metavar="SHARE",
    help="Exit with 1 where the score of a vendor is lower, or not known.",
)
@format_option
def readiness(
    config: Path,
    policy_dir: Path | None,
    vendor: str | None,
    at_least: float | None,
    format_: str,
) -> None:
    """Of the requests of the last day that hung on a vendor, the share that local models could have
    taken, the share of those for which they would have had the time, and both together.

    Asks the gateway that runs; where none does, reads its audit log.

    Example: gateway readiness --at-least 0.95
    """
    report = _report(settings_in_force(config, policy_dir), vendor)
    low = [] if at_least is None else [one["vendor"] for one in _below(report, at_least)]
    if format_ == "json":
        click.echo(json.dumps(report, indent=2))
    else:
        _print(report, whole=vendor is not None)
    if low:
        click.secho(f"below {at_least:g}, or not known: {', '.join(low)}", fg="red", err=True)
        sys.exit(1)


def _report(settings: Settings, vendor: str | None) -> dict[str, Any]:
    """As the API has it."""
    remote = running_gateway(settings)
    if remote is not None:
        query = None if vendor is None else {"vendor": vendor}
        return dict(remote.ask("GET", "/readiness", query=query))
    report = reckoned(settings)
    return dict(msgspec.to_builtins(report.brief() if vendor is None else report.of(vendor)))


def _below(report: dict[str, Any], least: float) -> Iterator[dict[str, Any]]:
    """Of the vendors that are told of, those on which requests hung and that have no such score."""
    for one in report["vendors"] or [report["all"]]:
        if one["requests"] and (one["score"] is None or one["score"] < least):
            yield one


def _print(report: dict[str, Any], *, whole: bool) -> None:
    requests = counted(report["requests"], "request")
    click.echo(f"{requests} since {report['since'][:16]}Z; policy {report['policy'][:12]}")
    if report["detail"] != "full":
        click.secho(f"too many kinds of requests: told apart {report['detail']}", fg="yellow")
    rows = [*report["vendors"], report["all"]] if report["vendors"] else [report["all"]]
    width = max(len(one["vendor"]) for one in rows)
    click.secho(
        f"\n{'if it went':{width}}  requests  able to  had time   score   other clouds could",
        bold=True,
    )
    for one in rows:
        _row(one, width)
    for one in rows:
        _details(one, whole=whole and one["vendor"] == rows[0]["vendor"])
    _canaries(report["canaries"])


def _row(one: dict[str, Any], width: int) -> None:
    shares = one["capability"] or {}
    score = one["score"]
    colour = None if score is None else "green" if score >= 0.95 else "yellow"
    click.echo(
        f"{one['vendor']:{width}}  {one['requests']:8,}  {_share(shares.get('local')):>7}"
        f"  {_share(one['capacity']):>8}  "
        + click.style(f"{_share(score):>6}", fg=colour, bold=True)
        + f"   {_share(shares.get('cloud')):>6}"
        + (", denied already" if one["denied"] else "")
    )


def _details(one: dict[str, Any], *, whole: bool) -> None:
    if not (one["missing"] or one["crowded"] or one["unmeasured"]):
        return
    click.secho(f"\n{one['vendor']}", bold=True)
    for model in one["unmeasured"]:
        click.secho(
            f"  {model} is not measured: gateway policy simulate POLICIES --audit LOG --measure",
            fg="yellow",
        )
    if one["crowded"]:
        worst = one["worst"]
        click.echo(
            f"  not enough time in {counted(one['crowded'], 'minute')}; at {worst['at'][:16]}Z "
            f"{worst['target']} would have had {worst['busy']:.1f} times what it can do"
        )
    for row in one["missing"]:
        detail = f" ({row['detail']})" if row["detail"] else ""
        said = f"{row['model']}, {row['app'] or 'no app'}: {row['why']}{detail}"
        click.echo(f"  {row['requests']:7,}  {plain(said)}")
    if one["more"]:
        rest = "" if whole else f": gateway readiness --vendor '{one['vendor']}'"
        click.echo(f"  and {counted(one['more'], 'row')} more{rest}")


def _canaries(rows: list[dict[str, Any]]) -> None:
    """How local answers compared; of no canary nothing is said."""
    if not rows:
        return
    named = [(f"{one['model'] or '(own)'} by {one['target']}", one) for one in rows]
    width = max(len(name) for name, _ in named)
    click.secho(f"\n{'canaries':{width}}  compared  agreed   differences", bold=True)
    for name, one in named:
        differs = ", ".join(f"{row['what']} {row['canaries']:,}" for row in one["differs"])
        line = f"{name:{width}}  {one['canaries']:8,}  {_share(one['share']):>6}   {differs}"
        click.echo(plain(line.rstrip()))


def _share(share: float | None) -> str:
    """Of which neither none nor all is ever said by rounding."""
    if share is None:
        return "–"
    return "99.9%" if 0.999 < share < 1 else f"{share:.1%}"
