"""A scan's report on a terminal: the summary first, then the places by vendor."""

from __future__ import annotations

from collections.abc import Iterator

import click

from gateway.cli.text import COLOURS, counted
from gateway.printed import plain
from gateway.readiness.scan.finding import Finding, Said
from gateway.readiness.scan.report import Report, Row

MOST_PLACES = 12
"""Places of one vendor that are shown, unless all are asked for."""
_COLOURS = {**COLOURS, "undetermined": "magenta"}


def show(report: Report, *, all_: bool) -> None:
    """Print a report."""
    rows = report.rows()
    _summary(report, rows)
    for row in rows:
        _places(row, all_=all_)
    _rest(report, all_=all_)


def _summary(report: Report, rows: list[Row]) -> None:
    mib = report.size / (1 << 20)
    about = f" that a ban on {report.vendor} reaches or may reach" if report.vendor else ""
    click.secho(
        f"{counted(len(report.findings), 'finding')}{about} in "
        f"{counted(len({one.path for one in report.findings}), 'file')}",
        bold=True,
    )
    policy = f"policy {report.revision[:12]}" if report.revision else "no policy asked"
    click.echo(
        f"{counted(report.files, 'file')} of {mib:.1f} MiB read, {report.passed} of them name no "
        f"vendor; catalog {report.catalog}, signals {report.signals}, {policy}"
    )
    if not rows:
        return
    click.echo()
    width = min(48, max(len(row.title) for row in rows))
    for row in rows:
        reach = ", ".join(f"{count} {reach}" for reach, count in sorted(row.reach.items()))
        click.echo(f"  {plain(row.title):{width}}  ", nl=False)
        said = row.said or ""
        click.secho(f"{said:13}", fg=_COLOURS.get(said), bold=True, nl=False)
        click.echo(f"{counted(row.files, 'file'):>10}  {reach}")


def _places(row: Row, *, all_: bool) -> None:
    click.echo()
    click.secho(plain(row.title), bold=True, nl=False)
    said = row.said
    if said is not None:
        rule = f" by {row.rule}" if row.rule else ""
        click.secho(f"  {said}{plain(rule)}", fg=_COLOURS[said], nl=False)
    click.echo()
    for why in sorted({one.undetermined for one in row.findings if one.undetermined}):
        click.secho(f"  not determined, and not cleared: {why}", fg="magenta")
    shown = row.findings if all_ else row.findings[:MOST_PLACES]
    for one in shown:
        click.echo("  " + "".join(_line(one)))
    left = len(row.findings) - len(shown)
    if left:
        click.echo(f"  and {left} more: --all shows them")


def _line(one: Finding) -> Iterator[str]:
    where = f"{one.path}:{one.line}" if one.line else one.path
    yield f"{plain(where)}  {one.signal} {plain(one.value)}"
    if one.count > 1:
        yield f", {one.count} times"
    if one.via:
        yield f", by {plain(' > '.join(one.via))}"
    if one.confidence != "high":
        yield f" ({one.confidence} confidence)"
    if one.ruling is not None and one.ruling.rule == "suppression":
        yield f": {one.ruling.reason}"


def _rest(report: Report, *, all_: bool) -> None:
    click.echo()
    for one in report.suppressed:
        finding = one.finding
        click.echo(
            f"suppressed until {one.by.until}: {plain(finding.path)}:{finding.line} "
            f"{plain(finding.value)} ({plain(one.by.reason)})"
        )
    if report.known or report.gone:
        click.echo(f"baseline: {len(report.known)} known, {report.gone} gone")
    unread = report.unread if all_ else report.unread[:MOST_PLACES]
    for unread_ in unread:
        what = "read in part" if unread_.partly else "could not be read"
        click.secho(f"{what}: {plain(unread_.path)}: {unread_.reason}", fg="yellow")
    if len(report.unread) > len(unread):
        click.secho(f"and {len(report.unread) - len(unread)} more: --all shows them", fg="yellow")
    skipped = report.skipped if all_ else report.skipped[:MOST_PLACES]
    for one_ in skipped:
        count = f"{one_.count} " if one_.count > 1 else ""
        click.echo(f"not looked at: {plain(one_.path)}: {count}{one_.reason}")
    if len(report.skipped) > len(skipped):
        click.echo(f"and {len(report.skipped) - len(skipped)} more: --all shows them")


def verdict(report: Report, threshold: str) -> str:
    """A line that says why a scan fails."""
    failing = report.failing(threshold)
    said = {one.ruling.said for one in failing if one.ruling is not None}
    words = ", ".join(word for word in Said if word in said)
    return f"{counted(len(failing), 'finding')} at or above --fail-on {threshold} ({words})"
