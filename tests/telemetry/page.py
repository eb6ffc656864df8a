"""The table of all metrics in docs/telemetry.md, written from the code."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gateway.observing import LOST, UNMET
from gateway.telemetry import canaries, tally
from gateway.telemetry.background import FAILURES
from gateway.telemetry.counts import Counter, Histogram
from gateway.telemetry.metrics import GAUGES, MODELS, STATE, STATE_HELP
from gateway.telemetry.readiness import READINESS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "telemetry.md"
BEGIN, END = "<!-- metrics: written by tests/telemetry/page.py -->\n", "<!-- end of metrics -->\n"

Row = tuple[str, tuple[str, ...], str, str]
"""Name as it is queried, labels, type and what it is."""


def rows() -> Iterator[Row]:
    """All metrics of the gateway's own, in the order of the page."""
    told = (*vars(tally).values(), *vars(canaries).values())
    counted = [one for one in told if isinstance(one, Counter | Histogram)]
    for one in (*counted, UNMET, LOST, FAILURES):
        if isinstance(one, Counter):
            yield f"{one.name}_total", one.labels, "counter", one.help
        else:
            yield one.name, one.labels, "histogram", one.help
    for gauge in GAUGES:
        yield gauge.name, gauge.labels, "gauge", gauge.help
    for figure in MODELS:
        name = f"{figure.name}_total" if figure.counter else figure.name
        yield name, ("model",), "counter" if figure.counter else "gauge", figure.help
    for share in READINESS:
        yield share.name, share.labels, "gauge", share.help
    yield STATE, ("model", "state"), "gauge", STATE_HELP
    yield "gateway_build_info", ("version",), "gauge", "1; which version runs."


def table() -> str:
    lines = ["| metric | type | is |\n", "|---|---|---|\n"]
    for name, labels, kind, text in rows():
        braces = f"{{{','.join(labels)}}}" if labels else ""
        lines.append(f"| `{name}{braces}` | {kind} | {text} |\n")
    return "".join(lines)


def page() -> str:
    """The page with the table as it ought to be."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{table()}{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page())
