"""What is counted of work in the background that came to an unforeseen end."""

from __future__ import annotations

from gateway.background import Background
from gateway.telemetry.counts import Counter, Counts

FAILURES = Counter(
    "gateway_background_failures",
    "Times that work in the background of a process has come to an unforeseen end and was begun "
    "again: the log says where.",
    ("work",),
)


class BackgroundTally:
    """Of this process."""

    def __init__(self, counts: Counts, background: Background) -> None:
        self._background = background
        self._failures = counts.counter(FAILURES)

    def take(self) -> None:
        """What has failed since the last time."""
        for work, times in self._background.failures.items():
            self._failures[work,].reach(times)
