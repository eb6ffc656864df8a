"""The records of a drill, counted as they are read, in memory that does not grow with them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from gateway.audit.record import Record
from gateway.domain.drill import asking_app
from gateway.domain.drilled import AppPart, Fault, Gap, Parts, Spread
from gateway.domain.events import FailureKind
from gateway.readiness.drill.fates import Fate, Lack, fate, lacks
from gateway.readiness.work import Sum

MOST = 1000
"""Apps that are told apart, and rows of gaps: apps say what they are called."""
OTHERS = "(others)"
APP = "app"
_WELL = ("served", "cancelled", "policy_cut")


class Times:
    """Microseconds, kept to three digits."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()

    def add(self, us: int) -> None:
        step = 10 ** max(0, len(str(us)) - 3)
        self._counts[us // step * step] += 1

    def spread(self) -> Spread | None:
        count = self._counts.total()
        if not count:
            return None
        ordered = sorted(self._counts)
        return Spread(count, self._at(0.5) / 1000, self._at(0.95) / 1000, ordered[-1] / 1000)

    def _at(self, share: float) -> int:
        """The least that so large a share of them does not exceed."""
        left = share * self._counts.total()
        found = 0
        for found in sorted(self._counts):
            left -= self._counts[found]
            if left <= 0:
                break
        return found


@dataclass(frozen=True, slots=True)
class _Row:
    app: str | None
    model: str
    what: str
    lasting: bool


class Counted:
    """``can`` as in ``lacks``."""

    def __init__(self, can: Mapping[str, Collection[str]]) -> None:
        self._can = can
        self._fates: defaultdict[str | None, Counter[Fate]] = defaultdict(Counter)
        self._gaps: Counter[_Row] = Counter()
        self._behind: defaultdict[_Row, set[str]] = defaultdict(set)
        self._faults: Counter[tuple[str, str]] = Counter()
        self.first_token, self.answer = Times(), Times()
        self.done: defaultdict[str, Sum] = defaultdict(Sum)
        """What each local target computed."""
        self.refused: Counter[str] = Counter()
        """Requests that a target had no room for."""
        self.refused_work: defaultdict[str, Sum] = defaultdict(Sum)
        """What these would have been."""
        self.passing = 0
        """Requests that went without an answer, and need not have at another time."""

    def add(self, record: Record) -> None:
        found = fate(record)
        app = asking_app(record.labels)
        if app not in self._fates and len(self._fates) >= MOST:
            app = OTHERS
        self._fates[app][found] += 1
        for one in record.attempts:
            if one.outcome not in _WELL:
                self._faults[one.target, one.outcome] += 1
            if one.outcome == FailureKind.BUSY:
                self.refused[one.target] += 1
                self._work(self.refused_work[one.target], record)
        if found is Fate.LOCAL and record.served_by is not None:
            self._work(self.done[record.served_by], record)
            self._time(record)
        elif found in (Fate.RESCUED, Fate.FAILED):
            self._missed(record, app, found)

    def parts(self) -> Parts:
        return _parts(sum(self._fates.values(), Counter()))

    def apps(self) -> tuple[AppPart, ...]:
        """Those with most requests first."""
        gaps = self.gaps()
        found = [
            AppPart(
                app,
                parts := _parts(fates),
                share(parts),
                tuple(gap for gap in gaps if gap.app == app),
            )
            for app, fates in self._fates.items()
        ]
        return tuple(sorted(found, key=lambda one: (-one.parts.requests, one.app or "")))

    def gaps(self) -> tuple[Gap, ...]:
        """Those of most requests first."""
        return tuple(
            Gap(row.app, row.model, row.what, tuple(sorted(self._behind[row])), count, row.lasting)
            for row, count in sorted(self._gaps.items(), key=lambda one: (-one[1], str(one[0])))
        )

    def faults(self) -> tuple[Fault, ...]:
        return tuple(Fault(where, kind, n) for (where, kind), n in self._faults.most_common())

    def _missed(self, record: Record, app: str | None, found: Fate) -> None:
        if found is Fate.FAILED:
            self._faults[APP, record.outcome] += 1
        why = lacks(record, self._can)
        if not all(lack.lasting for lack in why):
            self.passing += 1
        for lack in why:
            self._gap(_Row(app, record.model, lack.what, lack.lasting), lack)

    def _gap(self, row: _Row, lack: Lack) -> None:
        if row not in self._gaps and len(self._gaps) >= MOST:
            row = _Row(OTHERS, OTHERS, row.what, row.lasting)
        self._gaps[row] += 1
        if lack.target:
            self._behind[row].add(lack.target)

    def _time(self, record: Record) -> None:
        self.answer.add(record.duration_us)
        before = 0
        for one in record.attempts:
            if one.outcome == "served" and one.first_content_us is not None:
                self.first_token.add(before + one.first_content_us)
            before += one.duration_us

    def _work(self, total: Sum, record: Record) -> None:
        total.requests += 1
        total.prompt_tokens += (record.prompt_tokens or 0) - (record.cached_tokens or 0)
        total.completion_tokens += record.completion_tokens or 0


def counted(records: Iterable[Record], can: Mapping[str, Collection[str]]) -> Counted:
    found = Counted(can)
    for record in records:
        found.add(record)
    return found


def share(parts: Parts) -> float | None:
    return parts.served / parts.counted if parts.counted else None


def _parts(fates: Counter[Fate]) -> Parts:
    return Parts(fates.total(), **{str(one): fates[one] for one in Fate})
