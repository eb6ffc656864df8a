"""The queue in front of the slots, fair between apps: whoever has the fewest answers at work comes
first, then whoever was served longest ago; within one app, first come, first served.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, Protocol, TypeVar


class Asker(Protocol):
    """What must be known of a request to queue it."""

    @property
    def key(self) -> Hashable: ...
    @property
    def app(self) -> str: ...


J = TypeVar("J", bound=Asker)


class Waiting(Generic[J]):
    """Requests that have no slot yet."""

    def __init__(self) -> None:
        # In the order of service: whoever was served last stands last.
        self._apps: dict[str, deque[J]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[J]:
        return (job for jobs in self._apps.values() for job in jobs)

    def push(self, job: J) -> None:
        self._apps.setdefault(job.app, deque()).append(job)
        self._count += 1

    def remove(self, key: Hashable) -> None:
        """Forget a request, if it is here."""
        for app, jobs in self._apps.items():
            for job in jobs:
                if job.key == key:
                    self._take(app, job)
                    return

    def next(self, at_work: Counter[str], may_begin: Callable[[J], bool]) -> J | None:
        """Take out whoever is to begin; ``at_work`` counts the answers of each app."""
        for app in sorted(self._apps, key=lambda app: at_work[app]):
            for job in self._apps[app]:
                if may_begin(job):
                    self._take(app, job)
                    self._serve_last(app)
                    return job
        return None

    def _take(self, app: str, job: J) -> None:
        self._apps[app].remove(job)
        self._count -= 1
        if not self._apps[app]:
            del self._apps[app]

    def _serve_last(self, app: str) -> None:
        if app in self._apps:
            self._apps[app] = self._apps.pop(app)
