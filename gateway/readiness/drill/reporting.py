"""Reports of drills, out of the audit log and what was seen meanwhile. All of it blocks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from gateway.audit.happening import Happening
from gateway.audit.reader import SEGMENTS, Event, Request, backwards
from gateway.audit.record import Record
from gateway.domain.drill import Drill
from gateway.domain.drilled import Report
from gateway.readiness.capacity import Capacity
from gateway.readiness.drill.report import report
from gateway.readiness.drill.store import Drills, Kept

STARTED, ENDED, ABORTED = "drill.started", "drill.ended", "drill.aborted"
DRILL = "drill"
"""In the detail of these events: the drill's id."""
MARGIN = timedelta(seconds=10)
"""What is written down later than it happened, at the most, while the log can be written."""


class Reports:
    """``log`` is the folder of the audit log; ``capacity`` tells what was measured of the local
    models, and ``can`` what targets can do; ``deadline`` are the seconds that a request may take.
    """

    def __init__(
        self,
        drills: Drills,
        log: Path,
        *,
        capacity: Callable[[], Mapping[str, Capacity]],
        can: Callable[[], Mapping[str, Collection[str]]],
        deadline: float,
    ) -> None:
        self._drills = drills
        self._log = log
        self._capacity = capacity
        self._can = can
        self._open = timedelta(seconds=deadline) + MARGIN

    def settles(self, kept: Kept) -> datetime | None:
        """When the report of a drill that has ended is final."""
        return None if kept.end is None else kept.end.at + self._open

    def of(self, kept: Kept) -> Report:
        """As things stand now; kept where the drill has ended. Raises ``StateError``."""
        if kept.report is not None and kept.report.final:
            return kept.report
        now = datetime.now(UTC)
        settles = self.settles(kept)
        final = settles is not None and settles <= now
        found = report(
            kept.drill,
            records(self._log, kept.drill),
            self._drills.queues(kept.drill.id),
            self._capacity(),
            now=now,
            end=kept.end,
            final=final,
            moved=kept.moved,
            can=self._can(),
        )
        if kept.end is not None:
            self._drills.keep(msgspec.structs.replace(kept, report=found))
        return found


def records(folder: Path, drill: Drill) -> Iterator[Record]:
    """Those of a drill, newest first: the log is read from its end to where the drill began."""
    begun = False
    for line in backwards(folder.glob(SEGMENTS)):
        if isinstance(line, Request):
            record = line.record
            if record.drill == drill.id:
                yield record
            elif begun and record.at + _took(record) < drill.started - MARGIN:
                return
        elif isinstance(line, Event):
            begun = begun or _is_of(line.happening, drill)
            if begun and line.happening.at < drill.started - MARGIN:
                return


def _took(record: Record) -> timedelta:
    return timedelta(microseconds=record.duration_us)


def _is_of(happening: Happening, drill: Drill) -> bool:
    return happening.event == STARTED and happening.detail.get(DRILL) == drill.id
