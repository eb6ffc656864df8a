"""The periods of time in which a policy says the same, and what it has said in the one that is."""

from __future__ import annotations

import bisect
from collections.abc import Iterable
from datetime import datetime

from gateway.domain.decision import Decision, Labels
from gateway.domain.identity import Identity

MOST_SAID = 4096
"""Who asks is told apart by what requests say of themselves: what is kept of it has a bound."""


class Period:
    """From ``since`` (inclusive; ``None``: ever) until ``until`` (exclusive; ``None``: for ever) no
    verdict changes by itself. What was decided in it stays true in it.
    """

    __slots__ = ("_said", "since", "until")

    def __init__(self, since: datetime | None, until: datetime | None) -> None:
        self.since = since
        self.until = until
        self._said: dict[tuple[str, int, Labels], tuple[Identity, Decision]] = {}

    def covers(self, now: datetime) -> bool:
        since, until = self.since, self.until
        return (since is None or since <= now) and (until is None or now < until)

    def said(self, target: str, identity: Identity, labels: Labels) -> Decision | None:
        """What was decided of the target, if it was."""
        known = self._said.get((target, id(identity), labels))
        return None if known is None else known[1]

    def keep(self, decision: Decision, identity: Identity, labels: Labels) -> None:
        """Remember a decision. The identity is kept with it: no other can then have its ``id``."""
        if len(self._said) >= MOST_SAID:
            self._said.clear()
        self._said[decision.target, id(identity), labels] = identity, decision


class Periods:
    """``moments`` are all instants at which something begins or ends to hold."""

    def __init__(self, moments: Iterable[datetime]) -> None:
        self._changes = tuple(sorted(set(moments)))
        self._last = self._found(0)

    def next_change(self, now: datetime) -> datetime | None:
        """The first of the moments after ``now``."""
        at = bisect.bisect_right(self._changes, now)
        return self._changes[at] if at < len(self._changes) else None

    def of(self, now: datetime) -> Period:
        """The period that ``now`` is in. One period is remembered, the one that was asked for last:
        time goes on, and does not come back.
        """
        last = self._last
        since, until = last.since, last.until
        # As ``covers``: it is asked several times of each request.
        if (since is not None and now < since) or (until is not None and until <= now):
            # Whoever still holds the other one adds to it, and not to this.
            last = self._last = self._found(bisect.bisect_right(self._changes, now))
        return last

    def _found(self, at: int) -> Period:
        changes = self._changes
        return Period(
            changes[at - 1] if at > 0 else None, changes[at] if at < len(changes) else None
        )
