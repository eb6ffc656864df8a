"""What was measured, against the goals: as plain data, and as a table for people."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.local.cancel import Freed
from benchmarks.local.load import Load
from benchmarks.local.prefix import Pair
from benchmarks.local.servers import Size
from benchmarks.local.step import Step

DISTURBED = 0.1
"""Of the machine used by others: from there on figures are the neighbours' too."""
OURS = "gateway"
WORKER = "worker"


@dataclass(frozen=True, slots=True)
class Row:
    """One goal. ``met`` is ``None`` where there was nothing to compare with."""

    what: str
    ours: str
    peer: str
    ratio: str
    goal: str
    met: bool | None


@dataclass(slots=True)
class Results:
    """All that one run has measured. ``rounds`` are loads of all peers one after the other, to be
    compared with each other.
    """

    size: Size
    peer: str | None
    rounds: list[dict[str, Load]] = field(default_factory=list)
    pairs: list[Pair] = field(default_factory=list)
    freed: list[Freed] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)

    @property
    def others(self) -> float:
        """The share of the machine that others had, in the middle of all loads."""
        return statistics.median(x.others for loads in self.rounds for x in loads.values())

    def levels(self) -> list[int]:
        return sorted({x.clients for loads in self.rounds for x in loads.values()})

    def names(self) -> list[str]:
        return list(self.rounds[0])

    def median(self, name: str, clients: int, figure: Callable[[Load], float]) -> float:
        return statistics.median(figure(x[name]) for x in self._at(clients))

    def ratio(self, name: str, clients: int, figure: Callable[[Load], float]) -> float | None:
        """The median of what the rounds say, each for itself: so noise is shared."""
        if self.peer is None:
            return None
        peer = self.peer
        return statistics.median(figure(x[name]) / figure(x[peer]) for x in self._at(clients))

    def _at(self, clients: int) -> list[dict[str, Load]]:
        return [x for x in self.rounds if next(iter(x.values())).clients == clients]

    def data(self) -> dict[str, Any]:
        """Plain data for JSON; times in seconds."""
        return {
            **asdict(self),
            "others": self.others,
            "rates": {
                name: [
                    [clients, self.median(name, clients, lambda load: load.rate)]
                    for clients in self.levels()
                ]
                for name in self.names()
            },
            "table": [asdict(row) for row in rows(self)],
        }


def rows(results: Results) -> list[Row]:
    return [
        *_rates(results),
        *_waits(results),
        *_prefix(results),
        *_shares(results),
        *_cancels(results),
    ]


def _rates(results: Results) -> list[Row]:
    def rate(load: Load) -> float:
        return load.rate

    found = []
    for clients in results.levels():
        for name in (one for one in results.names() if one in (OURS, WORKER)):
            ratio = results.ratio(name, clients, rate)
            peer = (
                "" if results.peer is None else f"{results.median(results.peer, clients, rate):.1f}"
            )
            goal, met = ("at least 1", None if ratio is None else ratio >= 1)
            found.append(
                Row(
                    f"tokens/s, {clients} clients, {name}",
                    f"{results.median(name, clients, rate):.1f}",
                    peer,
                    "" if ratio is None else f"{ratio:.2f}",
                    goal if name == OURS else "",
                    met if name == OURS else None,
                )
            )
    return found


def _waits(results: Results) -> list[Row]:
    def p95(load: Load) -> float:
        return load.p95

    found = []
    if 16 in results.levels():
        ratio = results.ratio(OURS, 16, p95)
        peer = "" if results.peer is None else _ms(results.median(results.peer, 16, p95))
        found.append(
            Row(
                "first token, p95, 16 clients",
                _ms(results.median(OURS, 16, p95)),
                peer,
                "" if ratio is None else f"{ratio:.2f}",
                "at most 1",
                None if ratio is None else ratio <= 1,
            )
        )
    most = max(results.levels())
    failed = {
        name: sum(len(x[name].faults) for x in results.rounds if x[name].clients == most)
        for name in results.names()
    }
    peer = "" if results.peer is None else str(failed[results.peer])
    found.append(
        Row(f"failed, {most} clients", str(failed[OURS]), peer, "", "none", failed[OURS] == 0)
    )
    return found


def _prefix(results: Results) -> list[Row]:
    def middle(name: str | None) -> float | None:
        ratios = [pair.ratio for pair in results.pairs if pair.peer == name]
        return statistics.median(ratios) if ratios else None

    ours, peer = middle(OURS), middle(results.peer)
    if ours is None:
        return []
    size = max(pair.prompt for pair in results.pairs)
    text = "" if peer is None else f"{peer:.2f}"
    what = f"second first token, {size} tokens"
    return [Row(what, f"{ours:.2f}", text, "", "at most 0.3", ours <= 0.3)]


def _shares(results: Results) -> list[Row]:
    return [
        Row(
            f"Python of a step, {step.active} active",
            f"{step.python:.1%}",
            "",
            "",
            "under 5%",
            step.python < 0.05,
        )
        for step in results.steps
    ]


def _cancels(results: Results) -> list[Row]:
    found = []
    admitted = [x.accepted for x in results.freed if x.accepted is not None]
    if admitted:
        middle = statistics.median(admitted)
        found.append(
            Row("slot free after hanging up", _ms(middle), "", "", "at most 100 ms", middle <= 0.1)
        )
    for name in dict.fromkeys(x.peer for x in results.freed):
        firsts = [x.first for x in results.freed if x.peer == name]
        if firsts:
            text = _ms(statistics.median(firsts))
            found.append(Row(f"next first token then, {name}", text, "", "", "", None))
    return found


def table(found: dict[str, Any]) -> str:
    """As Markdown."""
    words = {True: "met", False: "**missed**", None: ""}
    lines = [
        f"| | ours | {found['peer'] or 'peer'} | ratio | goal | |",
        "|---|---|---|---|---|---|",
        *(
            f"| {row['what']} | {row['ours']} | {row['peer']} | {row['ratio']} | {row['goal']} "
            f"| {words[row['met']]} |"
            for row in found["table"]
        ),
    ]
    text = "\n".join(lines) + "\n"
    if found["others"] > DISTURBED:
        text += (
            f"\nOthers used {found['others']:.0%} of this machine: compare ratios, not figures, "
            "and measure again on a quiet one.\n"
        )
    return text


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.0f} ms"
