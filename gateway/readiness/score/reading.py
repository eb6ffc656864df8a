"""The last day of an audit log: read once from its end, and from then on what comes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gateway.audit.chosen import LONGEST_WAIT
from gateway.audit.following import Following
from gateway.audit.reader import SEGMENTS, Event, Request, backwards
from gateway.readiness.score.day import HOURS, MOST_CELLS, Day

AHEAD = 1
"""Hours: requests that came so much later than now are from before a clock was set back."""
MOST_LINES = 1_000_000
"""That are read at first: what is older is not counted."""


class LogOfDay:
    """``name`` gives the configured name of a model that an app asked for, ``None`` where there is
    none; ``since`` is when the day begins of which the log in ``folder`` was read.
    """

    def __init__(
        self,
        folder: Path,
        name: Callable[[str], str | None],
        *,
        cells: int = MOST_CELLS,
        lines: int = MOST_LINES,
    ) -> None:
        self._folder = folder
        self.name = name
        self.day = Day(cells)
        self._cells = cells
        self._lines = lines
        self._following: Following | None = None
        self._newest = 0
        self._from: datetime | None = None

    def read(self, now: datetime, breathe: Callable[[], None] = lambda: None) -> datetime:
        """All that is there of the 24 hours before the one that ``now`` is in, and of that one; and
        since when. ``breathe`` is called between the lines. Raises StateError where the log cannot
        be read.
        """
        last = int(now.timestamp()) // 3600
        first = last - HOURS
        start = datetime.fromtimestamp(first * 3600, UTC)
        if self._following is None:
            following = Following(self._folder)
            self.day = Day(self._cells)
            self._from = self._history(start, breathe) or now
            self._following = following
        for line in self._following.more():
            # What came while the history was read may be in it.
            if isinstance(line, Request) and line.seq > self._newest:
                self.day.add(line.record, self.name(line.record.model))
            breathe()
        self.day.keep(first, last + AHEAD)
        return max(start, self._from or start)

    def _history(self, start: datetime, breathe: Callable[[], None]) -> datetime | None:
        """Back to ``start``; the first instant of which all was read, ``None`` where there is
        nothing.
        """
        written, count = None, 0
        for line in backwards(self._folder.glob(SEGMENTS)):
            breathe()
            if isinstance(line, Request):
                record = line.record
                written = record.at + timedelta(microseconds=record.duration_us)
            elif isinstance(line, Event):
                written = line.happening.at
            else:
                continue
            if written + LONGEST_WAIT < start:
                return start
            self._newest = max(self._newest, line.seq)
            count += 1
            if count > self._lines:
                return written
            if isinstance(line, Request):
                self.day.add(line.record, self.name(line.record.model))
        return written
