"""What ends a request before it is answered: its deadline, or that its app goes away."""

from __future__ import annotations

import asyncio
from enum import Enum, auto
from typing import Any


class Why(Enum):
    LATE = auto()
    GONE = auto()


class Deadlines:
    """Of requests that are all to end ``within`` as many seconds: the oldest is the first that is
    late, so that one alarm does for all of them, and most end long before it rings.
    """

    def __init__(self, within: float) -> None:
        self.within = within
        self._begun: dict[Ending, None] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._alarm: asyncio.TimerHandle | None = None

    def begin(self, task: asyncio.Task[Any]) -> Ending:
        """For a request that ``task`` answers, from now."""
        loop = task.get_loop()
        ending = Ending(self, task, loop.time() + self.within)
        self._begun[ending] = None
        if self._alarm is None or self._loop is not loop:
            self._loop = loop
            self._alarm = loop.call_at(ending.at, self._ring, loop)
        return ending

    def over(self, ending: Ending) -> None:
        self._begun.pop(ending, None)

    def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        self._alarm = None
        now = loop.time()
        for ending in [*self._begun]:
            if ending.at > now:
                self._alarm = loop.call_at(ending.at, self._ring, loop)
                break
            self.over(ending)
            ending.late()


class Ending:
    """Cancels a task, once: ``at`` that time of its loop, or when ``gone`` is called. To be stopped
    when the task goes on to something else.
    """

    __slots__ = ("_deadlines", "_task", "at", "why")

    def __init__(self, deadlines: Deadlines, task: asyncio.Task[Any], at: float) -> None:
        self._deadlines = deadlines
        self._task = task
        self.at = at
        self.why: Why | None = None

    def gone(self) -> None:
        self._end(Why.GONE)

    def late(self) -> None:
        self._end(Why.LATE)

    def stop(self) -> None:
        self._deadlines.over(self)

    def cancelled(self) -> Why | None:
        """Why the task was cancelled, which is then taken back, having done its work; ``None``
        where somebody else did that as well.
        """
        if self.why is None or self._task.uncancel() > 0:
            return None
        return self.why

    def _end(self, why: Why) -> None:
        if self.why is None:
            self.why = why
            self._task.cancel()
