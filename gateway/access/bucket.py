"""Token buckets: what is left of a rate, and when there is more.

A bucket for ``n`` a minute holds ``n`` and is refilled evenly. It is counted in parts, of which one
has 60 million: so many that the refill of a microsecond is a whole number, and nothing is rounded.
It is two numbers, since each request asks for two of them: its ``level`` in parts, below zero where
more was used than there was, and the instant ``at`` that this is of, in microseconds of a clock
that does not jump. Where that clock has begun anew, as it does with the machine, the level stands.
"""

from __future__ import annotations

PARTS = 60_000_000
"""In one: the microseconds of a minute."""
DEBT = 10
"""A bucket may come to owe this many times what it holds, where more was used than reserved: a
count that somebody else tells may be a mistake, and closes a key for ten minutes at most.
"""
LONG_AGO = -(1 << 60)
"""When a bucket that is full was last looked at."""


def filled(level: int, at: int, limit: int, now: int) -> int:
    """The level at ``now``, for ``limit`` a minute."""
    since, full = now - at, limit * PARTS
    if since > 0:
        level += since * limit
    return full if level > full else level


def changed(level: int, limit: int, by: int) -> int:
    """The level with ``by`` more in it, or less."""
    level, full = level + by * PARTS, limit * PARTS
    if level > full:
        return full
    return level if level >= 0 or level >= -DEBT * full else -DEBT * full


def left(level: int) -> int:
    """How many whole ones there are."""
    return level // PARTS if level > 0 else 0


def wait(level: int, limit: int, wanted: int) -> int:
    """Microseconds until there are ``wanted``, which the bucket must be able to hold."""
    missing = wanted * PARTS - level
    return 0 if missing <= 0 else -(-missing // limit)
