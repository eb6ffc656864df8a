"""A report as Markdown, for an issue or a page."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.printed import cell, span
from gateway.readiness.scan.finding import Finding
from gateway.readiness.scan.report import Report, Row

MOST_PLACES = 50
"""Places of one vendor that are written out."""


def markdown(report: Report) -> str:
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    yield "# AI vendors"
    yield ""
    about = f", about {report.vendor}" if report.vendor else ""
    policy = f"policy `{report.revision[:12]}`" if report.revision else "no policy"
    yield (
        f"{len(report.findings)} findings in {report.files} files of "
        f"{', '.join(span(root) for root in report.roots)}{about}; catalog "
        f"{report.catalog}, signals {report.signals}, {policy}; {report.at.date()}."
    )
    yield ""
    yield "| vendor | findings | files | reach | policy |"
    yield "|---|---|---|---|---|"
    for row in report.rows():
        reach = ", ".join(f"{count} {reach}" for reach, count in sorted(row.reach.items()))
        said = f"{row.said} ({cell(row.rule)})" if row.rule else row.said or "not asked"
        yield f"| {cell(row.title)} | {len(row.findings)} | {row.files} | {reach} | {said} |"
    for row in report.rows():
        yield from _places(row)
    if report.suppressed:
        yield from _suppressed(report)
    if report.unread:
        yield ""
        yield "## Could not be read"
        yield ""
        for one in report.unread:
            yield f"- {span(one.path)}: {one.reason}{' (in part)' if one.partly else ''}"
    if report.skipped:
        yield ""
        yield "## Not looked at"
        yield ""
        for skipped in report.skipped:
            yield f"- {span(skipped.path)}: {skipped.reason}"


def _places(row: Row) -> Iterator[str]:
    yield ""
    yield f"## {cell(row.title)}"
    yield ""
    unsaid = {one.undetermined for one in row.findings if one.undetermined}
    for why in sorted(unsaid):
        yield f"Not determined: {why}."
        yield ""
    for one in row.findings[:MOST_PLACES]:
        yield f"- {_place(one)}"
    left = len(row.findings) - MOST_PLACES
    if left > 0:
        yield f"- and {left} more"


def _place(one: Finding) -> str:
    where = f"{one.path}:{one.line}" if one.line else one.path
    parts = [f"{span(where)} {one.signal} {span(one.value)}, confidence {one.confidence}"]
    if one.count > 1:
        parts.append(f"{one.count} times")
    if one.via:
        parts.append("by " + " > ".join(map(cell, one.via)))
    return ", ".join(parts)


def _suppressed(report: Report) -> Iterator[str]:
    yield ""
    yield "## Suppressed"
    yield ""
    for one in report.suppressed:
        yield f"- {_place(one.finding)}, until {one.by.until}: {cell(one.by.reason)}"
