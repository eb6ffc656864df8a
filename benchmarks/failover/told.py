"""What is said of failover on the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import plot
from benchmarks.failover.bans import COMMAND
from benchmarks.failover.deaths import added
from benchmarks.suite import Goal

FIRST, BAN = 30.0, 1.0
"""What is promised: milliseconds beyond the model's own time, and seconds."""


def markdown(found: Mapping[str, Any]) -> str:
    parts = (_deaths(found), _bans(found), _flapping(found["flapping"]), _storm(found["storm"]))
    return "\n".join(line for part in parts for line in part)


def goals(found: Mapping[str, Any]) -> Sequence[Goal]:
    worst = max(found["deaths"], key=added)
    late = added(worst)
    command = [_of(found, workers, COMMAND) for workers in found["bans"]]
    last = max(max(one["last"] for one in command), 0.0)
    sent_after = max(one["last"] - one["returned"] for one in command)
    broken = found["storm"]["broken"] + found["flapping"]["flapping"]["broken"]
    return [
        Goal(
            "vendor dead to first local word, beyond the model's own time (worst way of dying)",
            f"≤ {FIRST:.0f} ms",
            f"{late:.0f} ms",
            FIRST / max(late, 1.0),
            late <= FIRST,
            "" if late <= FIRST else f"worst: {worst['name']}",
        ),
        Goal(
            "`gateway ban` to the last byte sent, 1 and 2 workers",
            f"≤ {BAN:.0f} s",
            f"{last:.2f} s",
            BAN / max(last, 0.01),
            last <= BAN,
            "" if last <= BAN else _of_which(found),
        ),
        Goal(
            "bytes sent after `gateway ban` has returned",
            "none",
            "none" if sent_after <= 0 else f"for {sent_after:.2f} s",
            None,
            sent_after <= 0,
        ),
        Goal(
            "ban storm and flapping vendors: answers that are neither good nor a typed error",
            "0",
            f"{broken}",
            None,
            broken == 0,
        ),
    ]


def drawn(found: Mapping[str, Any], path: Path) -> Path:
    """Milliseconds to the first local word of each death, and of the model alone."""
    own = [value for one in found["deaths"] for value in one["own"]]
    values = {"the local model alone": median(own)}
    values |= {one["name"]: median(one["first"]) for one in found["deaths"]}
    return plot.bars(path, "From a vendor's death to the first local word", "ms", values)


def _deaths(found: Mapping[str, Any]) -> Iterator[str]:
    rounds = len(found["deaths"][0]["first"])
    yield "### From a vendor's death to the first local word\n"
    yield (
        "Streams; the time is from the vendor's last act (from the request, where nobody listens) "
        "until the app has the first word of the local model. The model alone is asked in turn "
        "with it, to go on with the same words where the vendor had begun; what is added is the "
        f"median of the differences, over {rounds} {_s(rounds, 'round')}. The prompt is the same "
        "each time, and computed already: the model's own time is short, and differs little.\n"
    )
    yield "| the vendor | added (ms) | first local word (ms) | the model alone (ms) | the app has |"
    yield "|---|---|---|---|---|"
    for one in found["deaths"]:
        what = "an answer that goes on" if one["middle"] else "one answer, of the local model"
        if one["whole"] < rounds:
            what = f"{one['whole']} of {rounds} whole"
        yield (
            f"| {one['name']} | {added(one):.0f} | {median(one['first']):.0f} "
            f"| {median(one['own']):.0f} | {what} |"
        )
    yield ""


def _bans(found: Mapping[str, Any]) -> Iterator[str]:
    yield "### From a ban to the last byte sent to that vendor\n"
    yield (
        "Under load of apps that nobody else may answer; the vendor notes when bytes come. The "
        "command's time has its own start in it, the interpreter and its imports.\n"
    )
    yield "| workers | by | last byte (s) | it returned (s) | requests/s before | answers |"
    yield "|---|---|---|---|---|---|"
    for workers, ways in found["bans"].items():
        for one in ways:
            last = f"{one['last']:.2f}" if one["last"] > 0 else "none came"
            yield (
                f"| {workers} | {one['way']} | {last} | {one['returned']:.2f} "
                f"| {one['rate']:,.0f} | {_counts(one['answers'])} |"
            )
    yield ""


def _flapping(found: Mapping[str, Any]) -> Iterator[str]:
    quiet, flapping = found["quiet"], found["flapping"]
    yield "### Vendors that flap\n"
    yield (
        "Two vendors, of which one is down and the other up for a second each in turn, and the "
        "local model behind them. A breaker that has opened keeps a vendor out for half a minute: "
        "soon both rest, and what is left is what the local model can do.\n"
    )
    yield "| | beside quiet | requests/s | served | by | p50 (ms) | p99 (ms) | broken |"
    yield "|---|---|---|---|---|---|---|---|"
    for name, load in (("quiet", quiet), ("flapping", flapping)):
        times = load["seconds"] or {"p50": 0.0, "p99": 0.0}
        yield (
            f"| {name} | {load['rate'] / quiet['rate']:.2f} | {load['rate']:,.0f} "
            f"| {load['share']:.1%} | {_counts(load['by'])} | {times['p50'] * 1000:.0f} "
            f"| {times['p99'] * 1000:.0f} | {load['broken']} |"
        )
    yield ""


def _storm(found: Mapping[str, Any]) -> Iterator[str]:
    first = "never" if found["first"] is None else f"after {found['first']:.2f} s"
    yield "### The ban storm\n"
    yield (
        f"{found['clients']} clients at work when policy denies all vendors at once; each that is "
        f"told to wait comes again after a second at most. In {found['seconds']:.0f} s: "
        f"{found['local']:,} answered by the local model, the first {first}; {found['shed']:,} "
        f"times told to wait (503 with `Retry-After`); {found['broken']} broken.\n"
    )
    yield "| | p50 (s) | p99 (s) |"
    yield "|---|---|---|"
    for name, key in (("answered", "served_seconds"), ("told to wait", "shed_seconds")):
        if found[key] is not None:
            yield f"| {name} | {found[key]['p50']:.3f} | {found[key]['p99']:.3f} |"
    yield ""


def _of(found: Mapping[str, Any], workers: str, way: str) -> Mapping[str, Any]:
    ways: Sequence[Mapping[str, Any]] = found["bans"][workers]
    return next(one for one in ways if one["way"] == way)


def _of_which(found: Mapping[str, Any]) -> str:
    """What of a command's time is not the gateway's."""
    api = max(
        one["last"] for ways in found["bans"].values() for one in ways if one["way"] != COMMAND
    )
    return f"by the API it is {max(api, 0.0):.2f} s; the rest is the command's own start"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} × {name}" for name, count in counts.items())


def _s(count: int, word: str) -> str:
    return word if count == 1 else f"{word}s"
