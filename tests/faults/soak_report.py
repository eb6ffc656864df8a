"""What a soak has found, held against what must be, and its report."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from statistics import median, quantiles

from tests.faults.load import LEFT, Tally
from tests.faults.process import Held, slope
from tests.faults.verdict import INVALID

SETTLED = 1.0
"""Seconds after the confirmation of a ban: what has begun before it and is sent on later than this
is sent against it.
"""
WARM = 1 / 3
"""The share of the time in which memory may grow."""
MOST_SLOPE = 0.5
"""Megabytes a minute afterwards ..."""
MOST_GROWTH = 12.0
"""... or so many in all, where the time is too short to tell the two apart."""
MOST_LATE = 5.0
"""Seconds: a load that is further behind has not been what it was to be, for more reason than that
the machine stood still for an instant.
"""
SPARE = 2
"""Descriptors, tasks and threads that may be more in the end: a timer, a lookup."""


@dataclass(frozen=True, slots=True)
class Ban:
    """When a vendor's ban was confirmed, and when its end was ordered (seconds since 1970)."""

    vendor: str
    confirmed: float
    ended: float = inf


@dataclass(frozen=True, slots=True)
class Findings:
    """``seen`` are the requests that each vendor saw: when, and their number; ``records`` the ids
    of audit records; ``expired`` says that unused connections had time to be closed.
    """

    seconds: float
    rate: float
    tally: Tally
    bans: Sequence[Ban]
    reloads: int
    seen: Mapping[str, Sequence[tuple[float, int]]]
    memory: Sequence[tuple[float, float]]
    before: Held
    after: Held
    expired: bool
    records: Sequence[str]
    troubles: Sequence[str]

    @property
    def requests(self) -> int:
        return len(self.tally.began)

    @property
    def warm(self) -> Sequence[tuple[float, float]]:
        """Samples of memory from when it should be flat."""
        return self.memory[int(len(self.memory) * WARM) :]

    def limit(self) -> float:
        """Megabytes a minute that memory may grow."""
        minutes = (self.warm[-1][0] - self.warm[0][0]) / 60
        return max(MOST_SLOPE, MOST_GROWTH / minutes)

    def against_a_ban(self) -> Iterator[str]:
        """Requests that reached a vendor after its ban was confirmed."""
        for ban in self.bans:
            rows = self.seen[ban.vendor]
            after, before = bisect(rows, (ban.confirmed, inf)), bisect(rows, (ban.ended,))
            for when, number in rows[after:before]:
                began = self.tally.began[number]
                if began > ban.confirmed or when > ban.confirmed + SETTLED:
                    yield (
                        f"request {number}, begun {began - ban.confirmed:+.3f} s from the "
                        f"confirmed ban of {ban.vendor}, reached it {when - began:.3f} s later"
                    )

    def missed(self) -> list[str]:
        """Everything that is not as it must be, as sentences."""
        missed = list(self.troubles)
        wrong = {words: n for words, n in self.tally.verdicts.items() if words.startswith(INVALID)}
        missed += [f"{n} x {words}" for words, n in wrong.items()]
        missed += list(self.against_a_ban())[:5]
        missed += self._records()
        grown = slope(self.warm)
        if grown > self.limit():
            missed.append(f"memory grows by {grown:.2f} MB a minute")
        for what, before, after in (
            ("file descriptors", self.before.own, self.after.own),
            ("tasks", self.before.tasks, self.after.tasks),
            ("threads", self.before.threads, self.after.threads),
        ):
            if after > before + SPARE:
                missed.append(f"{after} {what} in the end, {before} in the beginning")
        if self.expired and self.after.vendors:
            missed.append(f"{self.after.vendors} connections to vendors are still open")
        if self.tally.late > MOST_LATE:
            missed.append(f"the load was {self.tally.late:.2f} s behind its time")
        return missed

    def _records(self) -> Iterator[str]:
        if len(self.records) != self.requests:
            yield f"{len(self.records)} audit records of {self.requests} requests"
        if len(set(self.records)) != len(self.records):
            yield "some requests have two audit records"
        unwritten = self.tally.ids - set(self.records)
        if unwritten:
            yield f"{len(unwritten)} answers have no audit record"


def report(found: Findings) -> Iterator[str]:
    """About 25 lines."""
    tally, missed = found.tally, found.missed()
    cuts = quantiles(tally.seconds, n=100)
    yield (
        f"{found.requests} requests in {found.seconds:.0f} s, {found.rate:g} a second wanted; "
        f"the load was at most {tally.late * 1000:.0f} ms behind"
    )
    for words, number in sorted(tally.verdicts.items(), key=lambda row: -row[1]):
        yield f"  {number:7} {words}{'' if words != LEFT else ' on purpose'}"
    yield f"served by: {_counts(tally.served)}"
    yield f"why not by the first: {_counts(tally.failovers)}"
    most = max(tally.seconds)
    yield f"seconds until the end: p50 {cuts[49]:.3f}, p99 {cuts[98]:.3f}, most {most:.3f}"
    seen = ", ".join(f"{name} {len(rows)}" for name, rows in found.seen.items())
    yield f"requests that vendors saw: {seen}"
    yield f"{len(found.bans)} bans and {found.reloads} other policies"
    yield f"requests that reached a vendor against a ban: {len(list(found.against_a_ban()))}"
    warm = [value for _, value in found.warm]
    third = max(1, len(warm) // 3)
    yield (
        f"memory after warming up: {median(warm[:third]):.1f} MB, in the end "
        f"{median(warm[-third:]):.1f} MB; {slope(found.warm):+.2f} MB a minute "
        f"(at most {found.limit():.2f})"
    )
    for what, held in (("beginning", found.before), ("end", found.after)):
        yield (
            f"in the {what}: {held.own} file descriptors and {held.vendors} connections to "
            f"vendors, {held.tasks} tasks, {held.threads} threads"
        )
    yield f"audit records: {len(found.records)}"
    yield "nothing missed" if not missed else f"MISSED: {len(missed)}"
    yield from (f"  {line}" for line in missed)


def _counts(counts: Mapping[str, int]) -> str:
    rows = sorted(counts.items(), key=lambda row: -row[1])
    return ", ".join(f"{word} {number}" for word, number in rows)
