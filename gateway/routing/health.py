"""What is remembered of a target: breaker, rest periods, marks. A value; ``now`` in seconds.

The breaker opens after ``FAILURES_IN_ROW`` failures in a row, or when at least half of at least
``WINDOW_MINIMUM`` attempts within ``WINDOW`` seconds failed. The n-th opening in a row lasts
``OPEN_SECONDS`` × n, at most ``OPEN_MOST``, ±20 %. Then one attempt goes through as a probe: its
success closes the breaker, its failure opens it for longer.
"""

from __future__ import annotations

from enum import IntEnum

import msgspec
from msgspec.structs import replace

from gateway.domain.events import Failed
from gateway.domain.plan import LeftOut
from gateway.routing.failover import Mark

FAILURES_IN_ROW = 5
WINDOW = 60.0
WINDOW_MINIMUM = 20
OPEN_SECONDS = 30.0
OPEN_MOST = 300.0
JITTER = 0.2
REST_DEFAULT = 5.0
"""Seconds that a target rests after a 429 that does not say for how long."""
REST_MOST = 3600.0
BLOCKED_SECONDS = 600.0

_BUCKET = 5.0
_EARLIER = int(WINDOW // _BUCKET) - 1
"""Buckets of the window before the one that is filled."""


class Breaker(IntEnum):
    """The worse, the greater."""

    CLOSED = 0
    HALF_OPEN = 1
    """One attempt may go through, or is under way."""
    OPEN = 2


class _Bucket(msgspec.Struct, frozen=True, gc=False):
    index: int
    passed: int
    failed: int


class Health(msgspec.Struct, frozen=True, gc=False):
    """A target of which nothing is known is ``Health()``."""

    in_row: int = 0
    buckets: tuple[_Bucket, ...] = ()
    openings: int = 0
    open_until: float | None = None
    probing: bool = False
    rest_until: float = 0.0
    rest_why: LeftOut = LeftOut.RESTING
    misconfigured: bool = False

    def obstacle(self, now: float) -> LeftOut | None:
        """Why the target may not be tried at ``now``; ``None`` where it may."""
        if self.misconfigured:
            return LeftOut.MISCONFIGURED
        if now < self.rest_until:
            return self.rest_why
        if self.open_until is not None and (now < self.open_until or self.probing):
            return LeftOut.BREAKER_OPEN
        return None

    def breaker(self, now: float) -> Breaker:
        if self.open_until is None:
            return Breaker.CLOSED
        return Breaker.OPEN if now < self.open_until else Breaker.HALF_OPEN

    def available_in(self, now: float) -> float | None:
        """Seconds until the target may be tried; ``None`` where time alone does not help."""
        if self.misconfigured:
            return None
        return max(0.0, self.rest_until - now, (self.open_until or 0.0) - now)

    def dispatched(self) -> Health:
        """An attempt is made now. With an open breaker it is the one probe."""
        return self if self.open_until is None else replace(self, probing=True)

    def released(self) -> Health:
        """An attempt ended without saying anything of the target (the app went away)."""
        return replace(self, probing=False) if self.probing else self

    def succeeded(self, now: float) -> Health:
        if self.open_until is not None:
            return Health()
        # Of every request that goes well: ``replace`` would cost as much as all the rest.
        return Health(
            0,
            _counted(self.buckets, now, failed=False),
            self.openings,
            None,
            self.probing,
            self.rest_until,
            self.rest_why,
            self.misconfigured,
        )

    def failed(self, failure: Failed, mark: Mark, now: float, spread: float) -> Health:
        """``spread`` is a random number in [-1, 1]: where within ±20 % an opening ends."""
        match mark:
            case Mark.NOTHING:
                return self.released()
            case Mark.REST:
                seconds = REST_DEFAULT if failure.retry_after is None else failure.retry_after
                return self._resting(now + min(seconds, REST_MOST), LeftOut.RESTING)
            case Mark.BLOCKED:
                return self._resting(now + BLOCKED_SECONDS, LeftOut.VENDOR_BLOCKED)
            case Mark.MISCONFIGURED:
                return replace(self.released(), misconfigured=True)
            case Mark.COUNT:
                return self._counted_failure(now, spread)

    def _resting(self, until: float, why: LeftOut) -> Health:
        # A shorter rest never replaces a longer one that is still running.
        if until <= self.rest_until:
            return self.released()
        return replace(self.released(), rest_until=until, rest_why=why)

    def _counted_failure(self, now: float, spread: float) -> Health:
        buckets = _counted(self.buckets, now, failed=True)
        passed = sum(bucket.passed for bucket in buckets)
        failed = sum(bucket.failed for bucket in buckets)
        in_row = self.in_row + 1
        tripped = in_row >= FAILURES_IN_ROW or (
            passed + failed >= WINDOW_MINIMUM and failed >= passed
        )
        still_open = self.open_until is not None and now < self.open_until
        if still_open or not (self.probing or tripped):
            return replace(self, in_row=in_row, buckets=buckets)
        openings = self.openings + 1
        lasts = min(OPEN_SECONDS * openings, OPEN_MOST) * (1 + JITTER * spread)
        return replace(
            self,
            in_row=in_row,
            buckets=buckets,
            openings=openings,
            open_until=now + lasts,
            probing=False,
        )


def _counted(buckets: tuple[_Bucket, ...], now: float, *, failed: bool) -> tuple[_Bucket, ...]:
    index = int(now // _BUCKET)
    if buckets and buckets[-1].index == index:
        last = buckets[-1]
        buckets = buckets[:-1]
    else:
        last = _Bucket(index, 0, 0)
        buckets = tuple(bucket for bucket in buckets if bucket.index >= index - _EARLIER)
    return (*buckets, _Bucket(index, last.passed + (not failed), last.failed + failed))
