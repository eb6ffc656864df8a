"""Calendar months (UTC), in which money is counted."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime


class Calendar:
    """Which month it is (UTC). ``now`` is in seconds since 1970."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._month = 0
        self._from = self._until = 0.0

    def month(self) -> int:
        """In months since the year 0."""
        now = self._now()
        if not self._from <= now < self._until:
            day = datetime.fromtimestamp(now, UTC)
            first = day.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
            after = first.replace(year=day.year + day.month // 12, month=day.month % 12 + 1)
            self._from, self._until = first.timestamp(), after.timestamp()
            self._month = numbered(day)
        return self._month


def numbered(day: datetime) -> int:
    """The months since year 0."""
    return day.year * 12 + day.month - 1


def written(month: int) -> str:
    return f"{month // 12:04}-{month % 12 + 1:02}"
