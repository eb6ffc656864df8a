"""Waiting for what comes true, for as long as a machine that is busy with other things may need."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal, TypeVar

PATIENCE = 30.0
"""Seconds: who waits this long in vain does so for another reason than a slow machine."""
Seen = TypeVar("Seen")


def until(read: Callable[[], Seen | Literal[False] | None], seconds: float = PATIENCE) -> Seen:
    """The first true value that is read. An ``AssertionError`` of what reads means: not yet; the
    last one is raised when time is up.
    """
    end = time.monotonic() + seconds
    while True:
        late = time.monotonic() > end
        try:
            if seen := read():
                return seen
        except AssertionError:
            if late:
                raise
        assert not late, f"not within {seconds:g} s: the last that was seen is {seen!r}"
        time.sleep(0.02)
