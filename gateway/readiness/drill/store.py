"""The drill that runs, and those that were, in files that all processes share.

``drill.json`` of the state's folder is the one that runs: every serving process follows it, and it
is there once. One that has ended is in ``drills/<id>.json``, and what was seen of the local models
meanwhile beside it. All of it blocks.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from io import BufferedWriter
from pathlib import Path
from typing import TypeVar

import msgspec

from gateway.domain.drill import Drill
from gateway.domain.drilled import End, Moved, Report
from gateway.errors import NotThere, Refused, StateError
from gateway.files import locked, write_atomically
from gateway.readiness.drill.sampling import Queue

RUNNING = "drill.json"
FOLDER = "drills"
LEADER = ".leader"
_ID = re.compile(r"[0-9A-Za-z-]{1,64}\Z")
T = TypeVar("T")


class Kept(msgspec.Struct, frozen=True):
    """A drill with what was known when it began (``moved``), how it ended, its newest report."""

    drill: Drill
    moved: tuple[Moved, ...] = ()
    end: End | None = None
    report: Report | None = None


class Drills:
    """Those of a state's folder. Everything raises ``StateError`` where a file cannot be read or
    written.
    """

    def __init__(self, state: Path) -> None:
        self._running = state / RUNNING
        self._folder = state / FOLDER

    def leader(self) -> BufferedWriter:
        """The file whose lock is held by the process that does what only one is to do."""
        path = self._folder / LEADER
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            return path.open("ab")
        except OSError as error:
            raise _unwritable(path, error) from None

    def version(self) -> Hashable:
        """Another one whenever another drill runs; ``None`` where none does."""
        try:
            found = os.stat(self._running)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unreadable(self._running, error) from None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def running(self) -> Kept | None:
        """The one that runs, or has run out and is not put away yet."""
        return _read(self._running, _KEPT.decode)

    def begin(self, kept: Kept) -> None:
        """Raises ``Refused`` where one runs already."""
        with self._locked():
            there = self.running()
            if there is not None:
                other = there.drill
                raise Refused(
                    f"a drill runs already: {other.id} of {other.vendor} until "
                    f"{other.until.isoformat(timespec='seconds')} (gateway drill stop ends it)",
                    code="drill_runs",
                )
            _write(self._running, msgspec.json.encode(kept))

    def close(self, id: str, end: End) -> Kept | None:
        """Put the drill of that id away: it runs no more. ``None`` where somebody else has done
        that.
        """
        with self._locked():
            there = self.running()
            if there is None or there.drill.id != id:
                return None
            ended = msgspec.structs.replace(there, end=end)
            _write(self._of(id), msgspec.json.encode(ended))
            try:
                self._running.unlink()
            except OSError as error:
                raise _unwritable(self._running, error) from None
            return ended

    def find(self, id: str) -> Kept:
        """One that runs or was. Raises ``NotThere``."""
        there = self.running()
        if there is not None and there.drill.id == id:
            return there
        found = _read(self._of(id), _KEPT.decode) if _ID.match(id) else None
        if found is None:
            raise NotThere(
                f"there is no drill {id[:64]!r}: `gateway drill list` shows all", code="no_drill"
            )
        return found

    def newest(self, most: int) -> list[Kept]:
        """So many at the most, the newest first."""
        names = sorted((path.name for path in self._folder.glob("*.json")), reverse=True)[:most]
        there = self.running()
        ended = [_read(self._folder / name, _KEPT.decode) for name in names]
        id = None if there is None else there.drill.id
        found = (there, *(one for one in ended if one and one.drill.id != id))
        return [one for one in found if one][:most]

    def keep(self, kept: Kept) -> None:
        """One that has ended, with its report. What that was made of goes once it is final, and no
        report that somebody else began before comes in the place of that.
        """
        path, report = self._of(kept.drill.id), kept.report
        with self._locked():
            there = _read(path, _KEPT.decode)
            if there is not None and there.report is not None and there.report.final:
                return
            _write(path, msgspec.json.encode(kept))
            if report is not None and report.final:
                self._queues(kept.drill.id).unlink(missing_ok=True)

    def queues(self, id: str) -> dict[str, Queue]:
        """What was seen of the local models."""
        return _read(self._queues(id), _QUEUES.decode) or {}

    def keep_queues(self, id: str, queues: Mapping[str, Queue]) -> None:
        _write(self._queues(id), msgspec.msgpack.encode(queues))

    def _of(self, id: str) -> Path:
        return self._folder / f"{id}.json"

    def _queues(self, id: str) -> Path:
        return self._folder / f"{id}.queues"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with locked(self._folder / ".lock"):
                yield
        except OSError as error:
            raise _unwritable(self._folder, error) from None


_KEPT = msgspec.json.Decoder(Kept)
_QUEUES = msgspec.msgpack.Decoder(dict[str, Queue])


def _read(path: Path, decode: Callable[[bytes], T]) -> T | None:
    try:
        return decode(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unreadable(path, error) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StateError(f"{path} is no drill ({error}): remove it") from None


def _write(path: Path, content: bytes) -> None:
    try:
        write_atomically(path, content)
    except OSError as error:
        raise _unwritable(path, error) from None


def _unreadable(path: Path, error: OSError) -> StateError:
    return StateError(f"{path} cannot be read: {error.strerror or error}")


def _unwritable(path: Path, error: OSError) -> StateError:
    return StateError(f"{path} cannot be written: {error.strerror or error}")
