"""The relay's part of the page: tables, ratios first, and plots."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import plot
from benchmarks.relay.cells import LARGE, MANY, ONE, STREAM
from benchmarks.relay.contenders import DIRECT, NGINX, OURS, PEERS, ROUTER
from benchmarks.relay.figures import Found, added, agreement, cell, median, ratio, spread
from benchmarks.relay.upstream import CHUNKS

QUIET = 0.05
DISTURBED = """\
**Disturbed**: others had {others:.0%} of the core of what was measured (the median of all loads),
so that rates are too low and times too long; processor time a request holds.
"""
AGREE = 0.1
"""Our own load generator and wrk may differ by so much of a rate."""
HOW = f"""\
One worker process on a core of its own; wrk, with one thread, and what stands in for the vendor
have the other: nginx with a constant answer, and for streams a program in C that sends {CHUNKS}
chunks as fast as they are read. Key check with all limits, audit log and metrics are on in the
gateway. Peers are as they come: `nginx` only passes on, `vllm-router` picks a server, `portkey` and
`litellm` know vendors. Rounds alternate, and figures are medians of the rounds: a ratio is the
median of what the rounds say, each compared with itself. A ratio above 1 is in the gateway's
favour.
"""


def markdown(found: Found) -> str:
    parts = [HOW, *_peers(found), *_latency(found), *_cells(found)]
    parts += [_start(found), _check(found["check"])]
    if (others := _others(found)) > QUIET:
        parts.insert(1, DISTURBED.format(others=others))
    left = [f"- {name} was left out: {why}" for name, why in found["left_out"].items()]
    return "\n".join([*parts, *left]) + "\n"


def _others(found: Found) -> float:
    """The share of the core of what is measured that somebody else had, in the median round."""
    shares: list[float] = [
        one["others"] for of in found["cells"] for rounds in of["rounds"].values() for one in rounds
    ]
    return statistics.median(shares)


def _peers(found: Found) -> Iterator[str]:
    titles = {
        MANY.name: "Plain answers, 32 clients, prompts of 0.3 KB",
        LARGE.name: "The same with prompts of 300 KB",
        STREAM.name: "Streamed answers of 50 chunks, 32 clients, prompts of 0.3 KB",
    }
    for name, title in titles.items():
        if (of := cell(found, name)) is not None:
            rows = (_peer(found, of, who) for who in of["rounds"])
            yield f"### {title}\n"
            yield _table(
                "| | gateway ÷ it | requests/s (rounds) | p50, ms | p95 | p99 "
                "| CPU, µs a request | peak memory | ready after |",
                rows,
            )


def _peer(found: Found, of: Found, who: str) -> str:
    least, most = spread(of, who, "rate")
    times = " | ".join(f"{median(of, who, share):,.2f}" for share in ("p50", "p95", "p99"))
    own = found["contenders"].get(who)
    name = f"{who} {own['version']}" if own and who in PEERS else who
    cost = " | | " if own is None else f" {own['peak'] / 1e6:,.0f} MB | {own['ready_s']:.2f} s "
    cpu = "" if own is None else f"{median(of, who, 'cpu_us'):,.0f}"
    times_ours = "" if who == OURS else f"{ratio(of, who):.2f}"
    return (
        f"| {name} | {times_ours} | {median(of, who, 'rate'):,.0f} ({least:,.0f} to {most:,.0f})"
        f" | {times} | {cpu} |{cost}|"
    )


def _latency(found: Found) -> Iterator[str]:
    if (of := cell(found, ONE.name)) is None:
        return
    yield "### One client: what is added to the direct way\n"
    rows = []
    for who in of["rounds"]:
        over = ["", ""] if who == DIRECT else [f"{added(of, s, who, DIRECT):+.2f}" for s in _SHARES]
        times = [f"{median(of, who, share):.2f}" for share in _SHARES]
        rows.append(f"| {who} | {' | '.join([*over, *times])} |")
    yield _table("| | added p50, ms | added p99 | p50 | p99 |", rows)


_SHARES = ("p50", "p99")


def _cells(found: Found) -> Iterator[str]:
    yield "### All loads\n"
    head = "| clients | prompt | | " + " | ".join(f"÷ {name}" for name in PEERS)
    rows = []
    for of in found["cells"]:
        ratios = (ratio(of, name) for name in PEERS)
        told = " | ".join("" if one is None else f"{one:.2f}" for one in ratios)
        rows.append(
            f"| {of['clients']} | {of['kilobytes']:g} KB | {of['kind']} | {told}"
            f" | {median(of, OURS, 'rate'):,.0f} | {median(of, OURS, 'p50'):,.2f}"
            f" | {median(of, OURS, 'p99'):,.2f} | {median(of, OURS, 'cpu_us'):,.0f} | {of['why']} |"
        )
    yield _table(f"{head} | requests/s | p50, ms | p99 | CPU, µs a request | for |", rows)


def _start(found: Found) -> str:
    start = found["start"]
    told = ", ".join(f"{seconds:.2f}" for seconds in start["seconds"])
    imports = start["imports"]
    names = ", ".join(f"`{name}` {ms:.0f}" for name, ms in imports["longest_ms"].items())
    unwanted = ", ".join(imports["unwanted"]) or "neither `litellm` nor `llama_cpp`"
    return (
        "### Start\n\n"
        f"Ready after {told} s, with {max(start['resident']) / 1e6:.0f} MB resident. The"
        f" interpreter lists {imports['modules']:,} modules that were imported ({unwanted} among"
        f" them), for {imports['ms']:,.0f} ms when traced; longest, in ms: {names}.\n"
    )


def _check(check: list[dict[str, Any]]) -> str:
    """Whether the figures of `python -m benchmarks.load` can be trusted."""
    rates = agreement(check, "rate")
    word = "agree" if abs(rates - 1) <= AGREE else "**do not agree**"
    rows = [
        f"| {one['wrk']['rate']:,.0f} | {one['own']['rate']:,.0f} | {one['wrk']['p50']:.2f}"
        f" | {one['own']['p50']:.2f} | {one['wrk']['p99']:.2f} | {one['own']['p99']:.2f}"
        f" | {one['own']['busy']:.0%} |"
        for one in check
    ]
    return (
        "### Our own load generator beside wrk\n\n"
        f"`python -m benchmarks.load` and wrk {word}: the rates are as {rates:.2f} to 1, the"
        f" medians of latency as {agreement(check, 'p50'):.2f} to 1.\n\n"
        + _table(
            "| requests/s, wrk | own | p50, ms, wrk | own | p99, wrk | own | core that it took |",
            rows,
        )
    )


def plots(found: Found, folder: Path) -> list[Path]:
    drawn = []
    if (many := cell(found, MANY.name)) is not None:
        rates = {who: median(many, who, "rate") for who in many["rounds"] if who != DIRECT}
        title = "Plain answers, 32 clients, prompts of 0.3 KB"
        drawn.append(plot.bars(folder / "relay-rate.svg", title, "requests/s", rates))
    sizes = [of for of in found["cells"] if of["kind"] == "plain" and of["clients"] == MANY.clients]
    series = {
        who: [(of["kilobytes"], median(of, who, "cpu_us")) for of in sizes if who in of["rounds"]]
        for who in (OURS, NGINX, ROUTER)
    }
    drawn.append(
        plot.lines(
            folder / "relay-prompts.svg",
            "What a request costs, by the size of its prompt",
            "prompt, KB",
            "processor time, µs",
            {who: sorted(points) for who, points in series.items() if points},
        )
    )
    return drawn


def _table(head: str, rows: Sequence[str] | Iterator[str]) -> str:
    return "\n".join([head, "|" + "---|" * (head.count("|") - 1), *rows]) + "\n"
