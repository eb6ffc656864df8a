"""A report in words: for a terminal, or as Markdown. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from gateway.domain.drill import Drill
from gateway.domain.drilled import AppPart, Load, Report, Spread
from gateway.printed import cell, plain

MOST_ROWS = 20
Row = Sequence[str]


def text(report: Report) -> str:
    """Plain lines."""
    return _joined(_lines(report, markdown=False))


def markdown(report: Report) -> str:
    return _joined(_lines(report, markdown=True))


def about(drill: Drill) -> str:
    """What is practised, in a clause."""
    if drill.rate is not None:
        of = f"requests of its own, {drill.rate:g} a second"
    else:
        of = "all requests" if drill.share >= 1 else f"{drill.share * 100:g}% of the requests"
        of = of if not drill.apps else f"{of} of {', '.join(drill.apps)}"
    strict = ", strict" if drill.strict else ""
    return f"{drill.vendor} denied as {' and '.join(drill.roles)} for {of}{strict}"


def _joined(lines: Iterable[str]) -> str:
    """Each of them is one: nothing in a reason or a name begins another."""
    return "\n".join(map(plain, lines))


def _lines(report: Report, *, markdown: bool) -> Iterator[str]:
    drill, parts = report.drill, report.parts
    strong = "**" if markdown else ""
    yield f"{'# ' if markdown else ''}Drill {drill.id}: {about(drill)}"
    yield ""
    yield _when(report) + f" Asked for by {drill.actor}: {drill.reason}"
    yield ""
    share = "" if report.share is None else f": {report.share:.1%} served without {drill.vendor}"
    yield f"Verdict: {strong}{report.verdict}{strong}{share}"
    yield ""
    yield from _table(
        ("requests", "local", "sovereign", "other vendor", "rescued", "failed", "not counted"),
        [
            (
                f"{parts.requests}",
                *(
                    _of(count, parts.counted)
                    for count in (
                        *(parts.local, parts.sovereign, parts.other, parts.rescued, parts.failed),
                    )
                ),
                f"{parts.neither}",
            )
        ],
        markdown=markdown,
    )
    yield from _headed("Local answers, ms", _times(report), markdown)
    yield from _headed("Apps", _apps(report.apps), markdown)
    yield from _headed("Local models", _local(report.local), markdown)
    faults = [(one.where, one.kind, f"{one.count}") for one in report.faults[:MOST_ROWS]]
    yield from _headed("Errors", [("at", "kind", "count"), *faults], markdown)
    moves = [(one.model, one.then or "nothing", one.locality or "") for one in report.moved]
    yield from _headed("Models that a ban moves", [("model", "to", ""), *moves], markdown)
    if report.changes:
        yield ""
        yield f"{'## ' if markdown else ''}What would have to change"
        yield ""
        yield from (f"- {sentence}" for sentence in report.changes)


def _when(report: Report) -> str:
    drill = report.drill
    began = drill.started.isoformat(sep=" ", timespec="seconds")
    end = report.end
    if end is None:
        return f"Runs since {began}, until {drill.until.isoformat(sep=' ', timespec='seconds')}."
    how = "ran its time" if end.actor is None else f"ended by {end.actor}"
    told = "" if report.final else " Requests that it began may still be under way."
    return f"{began}, {report.seconds:.0f} seconds; {how}.{told}"


def _times(report: Report) -> list[Row]:
    rows = (("to the first token", report.first_token), ("whole answer", report.answer))
    return [
        ("", "requests", "p50", "p95", "most"),
        *((name, *_spread(spread)) for name, spread in rows if spread is not None),
    ]


def _spread(spread: Spread) -> Row:
    return (f"{spread.count}", *(f"{one:.0f}" for one in (spread.p50, spread.p95, spread.most)))


def _apps(apps: Sequence[AppPart]) -> list[Row]:
    rows: list[Row] = [("app", "requests", "served", "what others could not do")]
    for one in apps[:MOST_ROWS]:
        gaps = ", ".join(f"{gap.what} ({gap.model}, {gap.requests})" for gap in one.gaps[:5])
        share = "-" if one.share is None else f"{one.share:.1%}"
        rows.append((one.app or "(no app)", f"{one.parts.requests}", share, gaps))
    return rows


def _local(loads: Iterable[Load]) -> list[Row]:
    rows: list[Row] = [
        ("model", "requests", "tokens/s", "slots", "waiting", "full", "capacity", "all traffic")
    ]
    for one in loads:
        seen = max(one.seen, 1)
        rows.append(
            (
                one.target,
                f"{one.requests}",
                f"{one.prompt:g} + {one.completion:g}",
                f"{one.most_busy} of {one.slots}",
                f"{one.most_waiting} ({one.waited / seen:.0%} of the time)",
                f"{one.full / seen:.0%} of the time",
                _capacity(one),
                "-" if one.whole is None else f"{one.whole:.0%}",
            )
        )
    return rows


def _capacity(one: Load) -> str:
    if one.busy is not None:
        return f"{one.busy:.0%} used"
    return "not measured: gateway policy simulate … --measure"


def _headed(title: str, rows: Sequence[Row], markdown: bool) -> Iterator[str]:
    """Nothing where there is no row but the head."""
    if len(rows) < 2:
        return
    yield ""
    yield f"{'## ' if markdown else ''}{title}"
    if markdown:
        yield ""
    yield from _table(rows[0], rows[1:], markdown=markdown)


def _table(head: Row, rows: Sequence[Row], *, markdown: bool) -> Iterator[str]:
    if markdown:
        yield f"| {' | '.join(head)} |"
        yield f"|{'---|' * len(head)}"
        yield from (f"| {' | '.join(cell(one) for one in row)} |" for row in rows)
        return
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    for row in (head, *rows):
        cells = (each.ljust(width) for each, width in zip(row, widths, strict=True))
        yield f"  {'  '.join(cells)}".rstrip()


def _of(count: int, whole: int) -> str:
    return f"{count} ({count / whole:.0%})" if whole else f"{count}"
