"""How local models' answers to canaries compare with those that apps were given, by the hour."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container, Iterator
from dataclasses import dataclass, field

from gateway.audit.record import Record
from gateway.errors import PolicyDenied
from gateway.readiness.score.report import Agreement, Difference
from gateway.telemetry.canaries import CANARY, gave_way

Pair = tuple[str | None, str]
"""The configured name of the model that an app asked for, ``None`` where the gateway asked
something of its own, and the id of the local target.
"""


@dataclass(slots=True)
class _Compared:
    canaries: int = 0
    agreed: int = 0
    differs: Counter[str] = field(default_factory=Counter)


class Canaries:
    """``hours`` are since 1970. There are no more cells than configured pairs in each."""

    def __init__(self) -> None:
        self.hours: defaultdict[int, dict[Pair, _Compared]] = defaultdict(dict)

    def add(self, record: Record, model: str | None) -> None:
        """Any record: it counts where it is a canary's that came to an answer, or failed to. What
        gave way, was cancelled or was denied by policy says nothing of answers.
        """
        if record.origin != CANARY or not record.targets or gave_way(record):
            return
        if record.outcome in ("cancelled", PolicyDenied.code) or (record.repeats and model is None):
            return
        pair = model if record.repeats else None, record.served_by or record.targets[0].target
        hour = int(record.at.timestamp()) // 3600
        one = self.hours[hour].setdefault(pair, _Compared())
        one.canaries += 1
        one.agreed += not record.differs
        one.differs.update(record.differs)

    def keep(self, first: int, last: int) -> None:
        """Forget what is of no hour from ``first`` to ``last``."""
        for hour in [one for one in self.hours if not first <= one <= last]:
            del self.hours[hour]

    def told(self, pairs: Container[Pair]) -> Iterator[Agreement]:
        """Of those that are configured, in the order of their names, what the gateway asked of its
        own last.
        """
        found: defaultdict[Pair, _Compared] = defaultdict(_Compared)
        for cells in self.hours.values():
            for pair, one in cells.items():
                whole = found[pair]
                whole.canaries += one.canaries
                whole.agreed += one.agreed
                whole.differs.update(one.differs)
        for pair in sorted(found, key=lambda pair: (pair[0] is None, pair[0] or "", pair[1])):
            if pair in pairs:
                one = found[pair]
                often = sorted(one.differs.items(), key=lambda row: (-row[1], row[0]))
                # Never rounded up: 1 is all.
                share = one.agreed * 10_000 // one.canaries / 10_000
                differs = tuple(Difference(what, canaries) for what, canaries in often)
                yield Agreement(*pair, one.canaries, one.agreed, share, differs)
