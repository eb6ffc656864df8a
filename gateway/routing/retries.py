"""How often the same target may be asked again, and when. Pure: ``now`` is monotonic, in seconds.

Only second attempts on one target count, and none on our own processes: that another target is
tried after the first has failed must never be refused, and in an outage every request does it.
"""

from __future__ import annotations

MOST_ATTEMPTS = 4
"""Of one request, on all its targets."""
MOST_ON_ONE = 2
"""Of one request, on the same target."""
SHARE = 0.2
"""Second attempts, of the requests."""
LEAST = 3
"""Second attempts a second that there may be in any case."""
WINDOW = 10
"""Seconds that the share is measured over."""
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 2.0


class RetryBudget:
    """Counts requests and second attempts over the last seconds, one slot a second."""

    def __init__(self) -> None:
        self._seconds = [0] * WINDOW
        self._requests = [0] * WINDOW
        self._retries = [0] * WINDOW

    def request(self, now: float) -> None:
        """A request has come."""
        self._requests[self._slot(now)] += 1

    def take(self, now: float) -> bool:
        """Whether a second attempt may be made now; it then counts as made."""
        slot = self._slot(now)
        recent = [i for i in range(WINDOW) if self._seconds[i] > int(now) - WINDOW]
        requests = sum(self._requests[i] for i in recent)
        retries = sum(self._retries[i] for i in recent)
        if retries >= SHARE * requests and self._retries[slot] >= LEAST:
            return False
        self._retries[slot] += 1
        return True

    def _slot(self, now: float) -> int:
        second = int(now)
        slot = second % WINDOW
        if self._seconds[slot] != second:
            self._seconds[slot] = second
            self._requests[slot] = self._retries[slot] = 0
        return slot


def pause(again: int, spread: float) -> float:
    """Seconds before the ``again``-th second attempt of a request (from 0). ``spread`` is a random
    number in [0, 1]: full jitter.
    """
    longest: float = min(LONGEST_PAUSE, FIRST_PAUSE * 2**again)
    return longest * spread
