"""Lines at the end of a file: whole or not there, by one writer at a time over all processes."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCKED_WITHIN = 5.0
"""Seconds to wait for the other writers: one that is stopped while it writes holds all up."""
_LOOK_EVERY = 0.002

APPENDING = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """While this process alone has the lock. Raises ``OSError``."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        until = time.monotonic() + LOCKED_WITHIN
        while not held(handle):
            if time.monotonic() > until:
                raise TimeoutError(
                    errno.ETIMEDOUT, f"another process has held the lock for {LOCKED_WITHIN:g} s"
                )
            time.sleep(_LOOK_EVERY)
        yield
    finally:
        os.close(handle)


def held(handle: int) -> bool:
    """Take the lock of an open file, if nobody has it; whether that was so."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def append_all(handle: int, data: bytes, *, durable: bool) -> None:
    """All of it or, with the ``OSError`` that says why, nothing; on the disk itself where that is
    asked for.
    """
    before = os.fstat(handle).st_size
    left = memoryview(data)
    try:
        while left:
            left = left[os.write(handle, left) :]
        if durable:
            os.fsync(handle)
    except OSError:
        os.ftruncate(handle, before)
        raise
