"""Locks between processes, which the kernel takes from whoever dies."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
import struct
from collections.abc import Callable
from functools import partial

_FLOCK = struct.Struct("hhqqi0q")
"""``struct flock`` of Linux: kind, whence, start, length, process."""

# With the interpreter's own lock held: what is guarded takes less time than to give that back, and
# another thread of this process must not come between and keep all other processes waiting.
_C = ctypes.PyDLL(None)
_SHARED = _ROBUST = 1
"""``PTHREAD_PROCESS_SHARED``, ``PTHREAD_MUTEX_ROBUST``; the same in glibc and musl."""
_ROOM = 64
"""Bytes that a ``pthread_mutex_t`` has room in on every processor, and its attributes too."""


class Lock:
    """A part of an open file, for one process at a time."""

    def __init__(self, file: int, start: int, length: int) -> None:
        self._file = file
        self._take = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, start, length, 0)
        self._give = _FLOCK.pack(fcntl.F_UNLCK, os.SEEK_SET, start, length, 0)

    def __enter__(self) -> None:
        fcntl.fcntl(self._file, fcntl.F_OFD_SETLKW, self._take)

    def __exit__(self, *_: object) -> None:
        self.give()

    def taken(self) -> bool:
        """Take it, where nobody has it; whether that was so."""
        try:
            fcntl.fcntl(self._file, fcntl.F_OFD_SETLK, self._take)
        except BlockingIOError:
            return False
        return True

    def give(self) -> None:
        fcntl.fcntl(self._file, fcntl.F_OFD_SETLK, self._give)


class Mutex:
    """A robust mutex (``pthread_mutexattr_setrobust(3)``) at byte ``place`` of a file that all have
    mapped: a seventh of a ``Lock`` to take and give, as the kernel is asked only where somebody
    waits. For a thread that does not take it twice. It must be ``made`` while nobody uses it: what
    stands there may be of before the machine started.

    Where fractions of a microsecond matter, ``take`` and ``give`` stand for a ``with``: they are
    the library's own functions. What ``take`` tells, if it is not 0, goes to ``mend`` at once.
    """

    def __init__(self, file: int, place: int) -> None:
        self._page = mmap.mmap(file, place + _ROOM)
        # Pointing at it costs half of what a number that is made a pointer does, at each call.
        self._at = ctypes.byref(ctypes.c_char.from_buffer(self._page, place))
        # Of its own, so that no other user of the library is told other types.
        kind = ctypes.PYFUNCTYPE(ctypes.c_int)
        self.take: Callable[[], int] = partial(kind(("pthread_mutex_lock", _C)), self._at)
        self.give: Callable[[], int] = partial(kind(("pthread_mutex_unlock", _C)), self._at)
        self._consistent = kind(("pthread_mutex_consistent", _C))

    def make(self) -> None:
        """Raises ``OSError``."""
        kind = ctypes.create_string_buffer(_ROOM)
        for code in (
            _C.pthread_mutexattr_init(kind),
            _C.pthread_mutexattr_setpshared(kind, _SHARED),
            _C.pthread_mutexattr_setrobust(kind, _ROBUST),
            _C.pthread_mutex_init(self._at, kind),
        ):
            if code:
                raise OSError(code, os.strerror(code))

    def mend(self, code: int) -> None:
        """It was taken with a word of that. Raises ``OSError``: then it was not."""
        if code != errno.EOWNERDEAD:
            raise OSError(code, os.strerror(code))
        # What it guards is whole at any instant: see the ledger's theory.
        self._consistent(self._at)

    def __enter__(self) -> None:
        code = self.take()
        if code:
            self.mend(code)

    def __exit__(self, *_: object) -> None:
        self.give()
