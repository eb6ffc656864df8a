"""Which processes write to a log: each holds the lock of a small file until it ends, so that one
that was killed is known by a file that nobody holds, whatever has become of its process id.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec

from gateway.audit.files import append_all, held

RUNNING = "running"
"""The folder of those files, inside that of the log."""


class Mark(msgspec.Struct, frozen=True):
    """``role`` is what the process is there for; ``since`` in RFC 3339."""

    role: str = ""
    pid: int = 0
    since: str = ""


@dataclass(frozen=True, slots=True)
class Present:
    """This process's file, and its lock."""

    path: Path
    file: int

    def leave(self) -> None:
        """As one that has written all that it had to."""
        self.path.unlink(missing_ok=True)
        os.close(self.file)

    def drop(self) -> None:
        """As one that was killed: what it had to write is not all in the log."""
        os.close(self.file)


def enter(folder: Path, mark: Mark) -> Present:
    """For who holds the log's lock: else another could take this one for gone. Raises
    ``OSError``.
    """
    path = folder / RUNNING / f"{mark.pid}-{time.time_ns()}.json"
    path.parent.mkdir(exist_ok=True, mode=0o700)
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    held(file)
    try:
        append_all(file, msgspec.json.encode(mark), durable=True)
    except OSError:
        os.close(file)
        path.unlink(missing_ok=True)
        raise
    return Present(path, file)


def ended(folder: Path) -> dict[Path, Mark]:
    """Those that ended without a word, by their files. For who holds the log's lock. Raises
    ``OSError``.
    """
    found = {}
    for path in sorted((folder / RUNNING).glob("*.json")):
        with path.open("rb") as file:
            if not held(file.fileno()):
                continue
            found[path] = Mark()
            with contextlib.suppress(msgspec.DecodeError):
                found[path] = msgspec.json.decode(file.read(), type=Mark)
    return found
