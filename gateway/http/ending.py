"""What ends a request before it is answered: its deadline, or that its app goes away."""

from __future__ import annotations

import asyncio
from enum import Enum, auto


class Why(Enum):
    LATE = auto()
    GONE = auto()


class Ending:
    """Cancels the task that makes it, once: ``within`` seconds from now, or when ``gone`` is
    called. To be stopped when the task goes on to something else.
    """

    __slots__ = ("_task", "_timer", "why")

    def __init__(self, within: float) -> None:
        self._task = asyncio.current_task()
        self._timer = asyncio.get_running_loop().call_later(within, self._end, Why.LATE)
        self.why: Why | None = None

    def gone(self) -> None:
        self._end(Why.GONE)

    def stop(self) -> None:
        self._timer.cancel()

    def cancelled(self) -> Why | None:
        """Why the task was cancelled, which is then taken back, having done its work; ``None``
        where somebody else did that as well.
        """
        if self.why is None or self._task is None or self._task.uncancel() > 0:
            return None
        return self.why

    def _end(self, why: Why) -> None:
        if self.why is None and self._task is not None:
            self.why = why
            self._task.cancel()
