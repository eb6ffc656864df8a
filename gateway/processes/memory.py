"""How much memory that is free a serving process keeps for what comes next.

By itself the C library gives back to the kernel what is free at the end of its heap, and maps large
pieces apart: so each prompt of 300 KB, of which several copies live for a moment, is written to
pages that the kernel must first find, clear and map. That took a sixth of the processor's time of
such requests.
"""

from __future__ import annotations

import ctypes

KEPT = 32 * 1024 * 1024
"""Bytes at the end of the heap that are kept when they are free."""
APART = 4 * 1024 * 1024
"""Bytes from which on a piece is mapped by itself, and given back once it is free."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""``M_TRIM_THRESHOLD`` and ``M_MMAP_THRESHOLD`` of glibc's ``malloc.h``."""


def keep_memory() -> bool:
    """For a process that serves. Whether it could be said: other C libraries have no ``mallopt``,
    and other ways.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    # Either one alone would fix the other at its least.
    return bool(mallopt(_MMAP_THRESHOLD, APART) and mallopt(_TRIM_THRESHOLD, KEPT))
