"""The log in its folder, as one process writes to it: each batch behind what stands there, under a
lock that all processes take in turn (decision 16).

Where the chain ends is remembered from the last batch, and read again where the file has another
size than it was left with: another process has written since.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import structlog

from gateway.audit.chain import Head, digest, line, link
from gateway.audit.checkpoint import Signer, made
from gateway.audit.entries import UNWRITABLE, entry, event, in_part
from gateway.audit.files import APPENDING, append_all, locked
from gateway.audit.happening import Happening
from gateway.audit.lines import Lines
from gateway.audit.record import Record
from gateway.audit.rules import Fsync, Rules
from gateway.audit.segments import Tail, first_line, numbers, segment, tail
from gateway.files import sync_folder, write_atomically

LOCK = "lock"
MOST_UNCOPIED = 1000
"""Checkpoints that wait to be copied; each vouches for all before it, so the oldest can go."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the log ends. Times are seconds since 1970; of ``signed_at``, 0 where not known."""

    number: int
    file: int
    size: int
    head: Head
    unsigned: int
    signed_at: float
    began: float


_UNSEEN = _Place(number=0, file=-1, size=0, head=Head(), unsigned=0, signed_at=0.0, began=0.0)


class Log:
    """Without ``signs`` no checkpoint is made here and no segment ends, but by the next process
    that does sign. Raises ``StateError`` where the key is none, ``OSError`` where the folder cannot
    be written.
    """

    def __init__(
        self,
        folder: Path,
        rules: Rules | None = None,
        *,
        signing_key: Path | None = None,
        signs: bool = True,
    ) -> None:
        self.folder = folder
        self._rules = rules or Rules()
        self._place = _UNSEEN
        self._lines = Lines()
        self._found: list[Happening] = []
        self._uncopied: list[bytes] = []
        self._signer: Signer | None = None
        self._log = structlog.get_logger("gateway.audit")
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if signs:
            with self.locked():
                self._signer = made(folder) if signing_key is None else Signer(signing_key)
                self._signer.show(folder)

    def append(self, entries: Sequence[Record | Happening], *, sign: bool = False) -> None:
        """Write one batch, and a checkpoint where one is due or it is to ``sign``. Raises
        ``OSError``: then nothing of the batch is in the log.
        """
        with self.locked():
            self.put(entries, sign=sign)

    def locked(self) -> AbstractContextManager[None]:
        """While this process alone may write. Raises ``OSError``."""
        return locked(self.folder / LOCK)

    def put(self, entries: Sequence[Record | Happening], *, sign: bool = False) -> None:
        """``append`` for who holds the lock."""
        self._catch_up()
        full = self._full()
        if full:
            self._write((), sign=True)
            self._begin_next()
        signed = self._write([*self._found, *entries], sign=sign)
        self._found.clear()
        if (full or signed) and self._signer is not None:
            self._retire()

    def close(self) -> None:
        if self._place is not _UNSEEN:
            os.close(self._place.file)
            self._place = _UNSEEN

    def _catch_up(self) -> None:
        """See where the log ends now. What is torn is set aside; what is to be told of it waits in
        ``_found`` for the next line.
        """
        before = self._place
        if before is not _UNSEEN and self._unchanged(before):
            return
        known = numbers(self.folder)
        number = known[-1] if known else 1
        if number == before.number and _grown(before):
            end = tail(segment(self.folder, number), before.size)
            self._place = replace(
                before,
                size=end.size,
                head=end.head or before.head,
                unsigned=end.unsigned + (0 if end.signed_at else before.unsigned),
                signed_at=_seconds(end.signed_at) if end.signed_at else before.signed_at,
            )
        else:
            self._place, end = self._opened(number, known[:-1])
            if before is not _UNSEEN:
                os.close(before.file)
                self._compare(before.head, self._place.head)
        if end.torn:
            self._set_aside(self._place, end.torn)

    def _unchanged(self, place: _Place) -> bool:
        found = os.fstat(place.file)
        return (
            found.st_size == place.size
            and found.st_nlink > 0
            and not segment(self.folder, place.number + 1).exists()
        )

    def _opened(self, number: int, older: Sequence[int]) -> tuple[_Place, Tail]:
        path = segment(self.folder, number)
        file = os.open(path, APPENDING, 0o600)
        end = last = tail(path)
        # A segment without a line was begun by a process that was ended at that moment.
        for one in reversed(older):
            if last.head is not None:
                break
            last = tail(segment(self.folder, one))
        place = _Place(
            number=number,
            file=file,
            size=end.size,
            head=last.head or Head(),
            unsigned=last.unsigned,
            signed_at=_seconds(last.signed_at) if last.signed_at else 0.0,
            began=time.time() if end.head is None else _seconds(link(first_line(path)).at),
        )
        return place, end

    def _set_aside(self, place: _Place, torn: bytes) -> None:
        """Cut off what is no line, and keep it in a file of its own."""
        kept = f"torn-{place.head.seq + 1}.bin"
        write_atomically(self.folder / kept, torn)
        os.ftruncate(place.file, place.size)
        self._log.warning("audit.torn", bytes=len(torn), kept=kept)
        name = segment(self.folder, place.number).name
        self._found.append(
            event("audit.torn", name, bytes=len(torn), sha256=digest(torn), kept=kept)
        )

    def _compare(self, was: Head, now: Head) -> None:
        """What this process knows to have been written must still be there."""
        if now.seq >= was.seq:
            return
        self._log.error("audit.shortened", lines=was.seq, left=now.seq)
        self._found.append(event("audit.shortened", seq=was.seq, hash=was.hash, left=now.seq))

    def _write(self, entries: Sequence[Record | Happening], *, sign: bool = False) -> bool:
        """Whether a checkpoint was written."""
        place, now = self._place, time.time()
        end, lines = place.head, list[bytes]()
        for one in entries:
            try:
                if isinstance(one, Record):
                    written, end = self._lines.line(end, one)
                else:
                    written, end = line(end, *entry(one))
                lines.append(written)
            except UNWRITABLE:
                end = self._write_in_part(end, one, lines)
        unsigned, signed = place.unsigned + len(lines), False
        if self._signer is not None and unsigned and (sign or self._due(place, unsigned, now)):
            written, end = self._signer.line(end, _written(now))
            lines.append(written)
            signed = True
        if not lines:
            return False
        data = b"\n".join([*lines, b""])
        rule = self._rules.fsync
        durable = rule is Fsync.BATCHES or (rule is Fsync.CHECKPOINTS and signed)
        append_all(place.file, data, durable=durable)
        place = replace(place, size=place.size + len(data), head=end, unsigned=unsigned)
        self._place = replace(place, unsigned=0, signed_at=now) if signed else place
        if signed:
            self._copy(lines[-1])
        return signed

    def _write_in_part(self, end: Head, one: Record | Happening, lines: list[bytes]) -> Head:
        """What can be written of a defect of ours: it must not hold up what comes behind it."""
        part, incomplete = in_part(one)
        self._log.error("audit.incomplete", of=incomplete.subject, fields=dict(incomplete.detail))
        for told in (part, entry(incomplete)):
            written, end = line(end, *told)
            lines.append(written)
        return end

    def _due(self, place: _Place, unsigned: int, now: float) -> bool:
        since = now - place.signed_at
        return (
            unsigned >= self._rules.checkpoint_lines
            or not 0 <= since < self._rules.checkpoint_seconds
        )

    def _copy(self, checkpoint: bytes) -> None:
        """A copy that fails is no failure of the log: it is made up for with the next."""
        path = self._rules.copy_to
        if path is None:
            return
        self._uncopied = [*self._uncopied[1 - MOST_UNCOPIED :], checkpoint + b"\n"]
        try:
            file = os.open(path, APPENDING, 0o600)
            try:
                append_all(file, b"".join(self._uncopied), durable=True)
            finally:
                os.close(file)
        except OSError as error:
            self._log.error("audit.checkpoint_not_copied", to=str(path), error=error.strerror)
        else:
            self._uncopied.clear()

    def _full(self) -> bool:
        """A segment ends with a checkpoint: who makes none ends none."""
        place, rules = self._place, self._rules
        if self._signer is None or not place.size:
            return False
        age = time.time() - place.began
        return place.size >= rules.segment_bytes or age >= rules.segment_seconds

    def _begin_next(self) -> None:
        place = self._place
        path = segment(self.folder, place.number + 1)
        file = os.open(path, APPENDING | os.O_EXCL, 0o600)
        os.close(place.file)
        self._place = replace(place, number=place.number + 1, file=file, size=0, began=time.time())
        sync_folder(self.folder)

    def _retire(self) -> None:
        """Delete what need not be kept, behind a signed word of what it was."""
        try:
            leaving = list(self._leaving(numbers(self.folder)[:-1]))
            if leaving:
                self._write([_deleted(path) for path in leaving], sign=True)
            for path in leaving:
                path.unlink()
                sync_folder(self.folder)
        except (OSError, ValueError) as error:
            # The batch itself is written: what could not be deleted is tried again.
            self._log.error("audit.not_deleted", error=str(error))

    def _leaving(self, old: Sequence[int]) -> Iterator[Path]:
        keep, most = self._rules.keep_seconds, self._rules.keep_bytes
        found = [(path, path.stat()) for path in (segment(self.folder, one) for one in old)]
        total = self._place.size + sum(stat.st_size for _, stat in found)
        for path, stat in found:
            old_enough = keep is not None and time.time() - stat.st_mtime > keep
            if not old_enough and (most is None or total <= most):
                return
            total -= stat.st_size
            yield path


def _deleted(path: Path) -> Happening:
    first, last = first_line(path), tail(path).last
    return event(
        "audit.deleted",
        path.name,
        first_seq=link(first).seq,
        last_seq=link(last).seq,
        last_hash=digest(last),
    )


def _grown(place: _Place) -> bool:
    found = os.fstat(place.file)
    return found.st_nlink > 0 and found.st_size > place.size


def _seconds(written: str) -> float:
    return datetime.fromisoformat(written).timestamp()


def _written(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
