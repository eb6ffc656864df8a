"""Token buckets as values: what is left of a rate, and when there is more.

A bucket for ``n`` a minute holds ``n`` and is refilled evenly. It is counted in parts, of which one
has 60 million: so many that the refill of a microsecond is a whole number, and nothing is rounded.
"""

from __future__ import annotations

from typing import Self

import msgspec

PARTS = 60_000_000
"""In one: the microseconds of a minute."""
DEBT = 10
"""A bucket may come to owe this many times what it holds, where more was used than reserved: a
count that somebody else tells may be a mistake, and closes a key for ten minutes at most.
"""
LONG_AGO = -(1 << 60)
"""When a bucket that is full was last looked at."""


class Bucket(msgspec.Struct, frozen=True):
    """``level`` in parts, below zero where more was used than there was; ``at`` is the instant that
    it is of, in microseconds of a clock that does not jump. Where that clock has begun anew, as it
    does with the machine, the level stands as it was.
    """

    level: int = 0
    at: int = LONG_AGO

    def filled(self, limit: int, now: int) -> Self:
        """The same bucket at ``now``, for ``limit`` a minute."""
        level, full, since = self.level, limit * PARTS, now - self.at
        if since > 0:
            level += since * limit
        return type(self)(full if level > full else level, now)

    def changed(self, limit: int, by: int) -> Self:
        """With ``by`` more in it, or less."""
        level, full = self.level + by * PARTS, limit * PARTS
        return type(self)(full if level > full else max(level, -DEBT * full), self.at)

    def left(self) -> int:
        """How many whole ones there are."""
        return max(0, self.level // PARTS)

    def wait(self, limit: int, wanted: int) -> int:
        """Microseconds until there are ``wanted``, which the bucket must be able to hold."""
        missing = wanted * PARTS - self.level
        return 0 if missing <= 0 else -(-missing // limit)
