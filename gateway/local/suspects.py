"""Which requests may be what ends workers: so that one that does so ends no third.

Theory of operation. When a worker is lost, each request that had said nothing yet is under
suspicion. It is asked again as a suspect, and a worker begins one suspect after the other: the next
when the last has said something, which clears it. So whoever was being computed as a suspect when a
second worker is lost has ended both, as far as can be known, and is not tried again for a while.
Requests are known by what they ask, so that an app that asks again is known again. Pure.
"""

from __future__ import annotations

import hashlib

import msgspec

from gateway.domain.call import Task

REMEMBERED = 600.0
"""Seconds."""
MOST = 1000
"""Requests that are remembered at once."""


class Suspects:
    """For one model. ``now`` is in monotonic seconds."""

    def __init__(self) -> None:
        self._until: dict[bytes, float] = {}
        self._convicted: set[bytes] = set()

    def suspect(self, task: Task, now: float) -> None:
        """It had said nothing when its worker was lost."""
        self._remember(_print(task), now)

    def convict(self, task: Task, now: float) -> None:
        """It was the only suspect at work when another worker was lost."""
        known = _print(task)
        self._remember(known, now)
        self._convicted.add(known)

    def clear(self, task: Task) -> None:
        """It has said something, and the worker lives."""
        if self._until:
            self._until.pop(_print(task), None)

    def suspected(self, task: Task, now: float) -> bool:
        # Nearly always there are none, and a long prompt need not be looked at.
        return bool(self._until) and self._until.get(_print(task), 0.0) > now

    def convicted(self, task: Task, now: float) -> bool:
        if not self._convicted or not self.suspected(task, now):
            return False
        return _print(task) in self._convicted

    def _remember(self, known: bytes, now: float) -> None:
        self._until = {one: until for one, until in self._until.items() if until > now}
        self._convicted &= self._until.keys()
        while len(self._until) >= MOST:
            self._until.pop(next(iter(self._until)))
        self._until[known] = now + REMEMBERED


def _print(task: Task) -> bytes:
    return hashlib.sha256(msgspec.msgpack.encode(task)).digest()
