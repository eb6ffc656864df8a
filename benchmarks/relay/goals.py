"""What was promised of the relay, and what was measured."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from benchmarks.relay.cells import LARGE, MANY, ONE
from benchmarks.relay.contenders import DIRECT, LITELLM, NGINX, OURS, PORTKEY, ROUTER
from benchmarks.relay.figures import Found, added, cell, median, ratio
from benchmarks.suite import Goal

RATE = 5_000.0
RATIOS = {ROUTER: 0.5, PORTKEY: 8.0, LITELLM: 100.0}
ADDED = {"p50": 0.5, "p99": 3.0}
LARGE_TO_NGINX = 0.25
READY, RESIDENT = 1.5, 120e6
FULL = 0.9


def goals(found: Found) -> Iterator[Goal]:
    if (many := cell(found, MANY.name)) is not None:
        rate = median(many, OURS, "rate")
        yield _goal(
            "plain relay, 32 clients, 0.3 KB",
            f"{RATE:,.0f} requests/s",
            f"{rate:,.0f} requests/s",
            rate / RATE,
            _core(many, 1e6 / RATE),
        )
        for peer, wanted in RATIOS.items():
            yield _beside("the same", many, peer, wanted, found)
    if (one := cell(found, ONE.name)) is not None:
        for share, most in ADDED.items():
            got = added(one, share, OURS, DIRECT)
            yield _goal(
                f"added latency, 1 client, {share}",
                f"≤ {most:g} ms",
                f"{got:.2f} ms",
                most / got if got > 0 else None,
                f"{median(one, OURS, 'cpu_us'):.0f} µs of processor time a request",
            )
    if (large := cell(found, LARGE.name)) is not None:
        yield _beside("300 KB prompts, 32 clients", large, NGINX, LARGE_TO_NGINX, found)
    yield from _start(found)


def _beside(what: str, of: Found, peer: str, wanted: float, found: Found) -> Goal:
    got = ratio(of, peer)
    name = f"{what}, beside {peer}"
    if got is None:
        why = found["left_out"].get(peer, "not in this run")
        return Goal(name, f"{wanted:g} ×", "", None, None, why)
    costs = (
        f"{median(of, OURS, 'cpu_us'):,.0f} µs a request, {median(of, peer, 'cpu_us'):,.0f} there"
    )
    return _goal(name, f"{wanted:g} ×", f"{got:.2f} ×", got / wanted, costs)


def _start(found: Found) -> Iterator[Goal]:
    start, imports = found["start"], found["start"]["imports"]
    seconds = statistics.median(start["seconds"])
    longest = ", ".join(f"{name} {ms:.0f}" for name, ms in imports["longest_ms"].items())
    yield _goal(
        "start to `readyz`, no local model",
        f"≤ {READY} s",
        f"{seconds:.2f} s",
        READY / seconds,
        f"imports, of which in ms, when traced: {longest}",
    )
    resident = statistics.median(start["resident"])
    yield _goal(
        "resident then",
        f"≤ {RESIDENT / 1e6:.0f} MB",
        f"{resident / 1e6:.0f} MB",
        RESIDENT / resident,
        f"{imports['modules']:,} modules",
    )
    unwanted = imports["unwanted"]
    yield Goal(
        "neither `litellm` nor `llama_cpp` imported",
        "neither",
        " and ".join(unwanted) or "neither",
        None,
        not unwanted,
    )


def _core(of: Found, wanted: float) -> str:
    busy, cost = median(of, OURS, "busy"), median(of, OURS, "cpu_us")
    others = median(of, OURS, "others")
    if others > 1 - FULL:
        return f"others had {others:.0%} of its core; {cost:.0f} µs a request, {wanted:.0f} wanted"
    if busy < FULL:
        return f"the load: the gateway was busy for {busy:.0%} of its core, {cost:.0f} µs a request"
    return f"processor time: {cost:.0f} µs a request, where {wanted:.0f} are wanted"


def _goal(what: str, wanted: str, got: str, ratio: float | None, holds_back: str) -> Goal:
    """A ratio of ``None``: there is nothing that could be held against what is wanted."""
    met = ratio is None or ratio >= 1.0
    return Goal(what, wanted, got, ratio, met, "" if met else holds_back)
