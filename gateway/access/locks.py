"""Parts of a file for one process at a time, which the kernel takes from whoever dies."""

from __future__ import annotations

import fcntl
import os
import struct

_FLOCK = struct.Struct("hhqqi0q")
"""``struct flock`` of Linux: kind, whence, start, length, process."""


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
