"""Walks along a log and finds the first line that is not as it was written.

What the chain shows by itself: no line was altered, taken out, put in or moved without all behind
it being written anew. What a checkpoint adds: nobody did that who has not its private key. What
only a copy kept elsewhere adds: nor did who has that key, and no lines are missing at the end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.audit.chain import NOTHING, Kind, digest
from gateway.audit.copies import Broken, Copy, copies
from gateway.audit.proofs import Keys, Told, Untrue, told
from gateway.audit.reader import Text, texts
from gateway.audit.verified import Check, External, Fault, Mark, Noted, Torn, Verified

OF_THE_LOG = "audit."
"""How events begin that tell of the log itself."""
DELETED = "audit.deleted"
SHORTENED = "audit.shortened"
_NOTES = 100
_NAME = re.compile(r"audit-([0-9]{8})\.jsonl\Z")
_STEP = 1 << 20
"""Bytes between two words of progress."""


def verify(
    files: Sequence[Path],
    keys: Keys,
    *,
    external: Path | None = None,
    progress: Callable[[int], None] = lambda count: None,
) -> Verified:
    """Walk along a log, in memory that does not grow with it. ``keys`` are those that checkpoints
    may be signed with; ``external`` has copies of checkpoints that were kept elsewhere.
    ``progress`` is told how many bytes were read since the last time. Raises StateError where a
    file cannot be read.
    """
    walk = _Walk(keys, external)
    walk.result.segments = len(files)
    lines = ((file, text) for file in files for text in texts(file))
    read = 0
    try:
        walk.begin()
        for file, text in lines:
            read += len(text.content) + 1
            if read > _STEP:
                progress(read)
                read = 0
            if not walk.take(file, text, lines):
                break
        walk.end(files[-1])
    except Broken as broken:
        walk.result.fault = broken.fault
    progress(read)
    return walk.result


@dataclass(frozen=True, slots=True)
class _Seen:
    """A line, and its hash."""

    file: Path
    line: int
    told: Told
    hash: str


class _Walk:
    """Where a walk stands: ``result`` is of all lines that were good so far, ``_last`` the last one
    of them, ``_before`` the one before.
    """

    def __init__(self, keys: Keys, external: Path | None) -> None:
        self.result = Verified(external=None if external is None else External())
        self._keys = keys
        self._external = external
        self._copies = iter(()) if external is None else copies(external, keys)
        self._copy: Copy | None = None
        self._last: _Seen | None = None
        self._before: _Seen | None = None
        self._beginning: Path | None = None
        self._vouched = False
        self._shortened: Fault | None = None

    def begin(self) -> None:
        """Raises ``Broken`` where the first copy is none."""
        self._copy = next(self._copies, None)

    def take(self, file: Path, text: Text, following: Iterator[tuple[Path, Text]]) -> bool:
        """Look at a line. Whether to go on."""
        try:
            if not text.ended:
                self._unended(file, text, following)
                return False
            found = told(text)
            seen = _Seen(file, text.line, found, digest(text.content))
            mark = found.mark(self._keys) if found.kind is Kind.CHECKPOINT else None
            self._follows(seen, mark, following)
            self._compare(found, mark)
        except Untrue as untrue:
            self.result.fault = untrue.at(str(file), text.line, self._due)
        if self.result.fault is not None:
            return False
        self._good(seen, mark)
        return True

    def end(self, file: Path) -> None:
        """There are no more lines, ``file`` being the last one; or none that are good."""
        result = self.result
        if result.fault is not None:
            return
        if result.first > 1 and not self._vouched:
            result.fault = Fault(
                file=str(self._beginning),
                line=1,
                seq=1,
                check=Check.BEGINNING,
                expected="seq 1, or an event further on that tells of the removal of what is older",
                found=f"seq {result.first}, and no such event",
            )
        elif self._shortened is not None:
            result.fault = self._shortened
        elif self._copy is not None:
            result.fault = Fault(
                file=str(file),
                line=0,
                seq=self._due,
                check=Check.EXTERNAL,
                expected=f"lines up to seq {self._copy.told.seq} at least, the checkpoint in line "
                f"{self._copy.line} of {self._external}",
                found=f"the end of the log behind seq {result.seq}",
            )

    @property
    def _due(self) -> int:
        """The number of the next line."""
        return self.result.seq + 1

    def _unended(self, file: Path, text: Text, following: Iterator[tuple[Path, Text]]) -> None:
        """The last line of a file has no end: so it may be only where it is the last of all."""
        if next(following, None) is not None:
            raise Untrue(Check.END, "a newline at the end of the line", "the end of the file")
        size = len(text.content)
        self.result.torn = Torn(str(file), text.line, size)

    def _follows(
        self, seen: _Seen, mark: Mark | None, following: Iterator[tuple[Path, Text]]
    ) -> None:
        """Raises ``Untrue`` where a line is not the one behind the last; or notes it, where that
        was not the fault of this line.
        """
        found = seen.told
        if self._last is None:
            if found.seq == 1 and found.prev != NOTHING:
                raise Untrue(Check.PREV, f"prev {NOTHING} in the first line of all", found.prev)
            if found.seq != 1 and found.prev == NOTHING:
                raise Untrue(Check.SEQ, "seq 1 in the first line of all", f"seq {found.seq}")
        elif found.seq != self._due:
            self._out_of_number(self._last, seen, mark, following)
        elif found.prev != self.result.hash:
            self._unchained(self._last, seen, mark, following)

    def _out_of_number(
        self,
        last: _Seen,
        seen: _Seen,
        mark: Mark | None,
        following: Iterator[tuple[Path, Text]],
    ) -> None:
        """Another number than that of the next line. Of two lines with the same number, one was put
        in: that which is not signed, and which the line behind them does not name.
        """
        seq = seen.told.seq
        if seq == last.told.seq and seen.told.prev == last.told.prev:
            if mark is not None or _named(following) == seen.hash:
                self._take_back(
                    last, Check.SEQ, f"seq {seq} once", "another line with it, that was put in"
                )
                return
            raise Untrue(Check.SEQ, f"seq {self._due}", f"seq {seq} again: a line was put in")
        check = Check.SEQ
        missing = ""
        if seq > self._due:
            missing = f": {seq - self._due} lines are not here"
            if (_number(seen.file) or 0) - (_number(last.file) or 0) > 1:
                check = Check.SEGMENT
                missing += f", of files between {last.file.name} and this one"
        raise Untrue(check, f"seq {self._due}", f"seq {seq}{missing}")

    def _unchained(
        self,
        last: _Seen,
        seen: _Seen,
        mark: Mark | None,
        following: Iterator[tuple[Path, Text]],
    ) -> None:
        """The hash of the last line is not the one that this line names: one of them was altered.
        It is not the one that is signed, and not the one that the line behind it names; where there
        is none behind it, it may be either, and the log is good up to the last but one.
        """
        prev, hash = seen.told.prev, self.result.hash
        named = _named(following)
        if last.told.kind is Kind.CHECKPOINT or (mark is None and named not in (None, seen.hash)):
            raise Untrue(Check.PREV, f"prev {hash}, the hash of the line before", f"prev {prev}")
        doubt = "" if mark is not None or named else " (or that one was altered itself)"
        where = f"line {seen.line} of {seen.file.name}{doubt}"
        self._take_back(
            last, Check.PREV, f"the line with the hash {prev} that {where} names", f"{hash}"
        )

    def _take_back(self, last: _Seen, check: Check, expected: str, found: str) -> None:
        """The last line was not good."""
        result, before = self.result, self._before
        result.lines -= 1
        result.kinds[last.told.kind] -= 1
        result.seq, result.hash = last.told.seq - 1, last.told.prev
        result.ends = "" if before is None else before.told.at
        if result.noted and result.noted[-1].seq == last.told.seq:
            result.noted.pop()
            result.notes -= 1
        result.fault = Fault(str(last.file), last.line, last.told.seq, check, expected, found)

    def _compare(self, found: Told, mark: Mark | None) -> None:
        """With the copy of the same number, where there is one."""
        external = self.result.external
        if external is None:
            return
        while self._copy is not None and self._copy.told.seq < found.seq:
            external.earlier += 1
            self._copy = next(self._copies, None)
        if self._copy is None or self._copy.told.seq != found.seq:
            return
        if self._copy.told.content != found.content:
            since = "" if external.last is None else f" behind seq {external.last.seq}"
            raise Untrue(
                Check.EXTERNAL,
                f"the checkpoint in line {self._copy.line} of {self._external}",
                f"another line: what stands here{since} was written anew",
            )
        external.agreed += 1
        external.last = mark
        self._copy = next(self._copies, None)

    def _good(self, seen: _Seen, mark: Mark | None) -> None:
        result, found = self.result, seen.told
        if self._last is None:
            self._beginning = seen.file
            result.first, result.prev, result.begins = found.seq, found.prev, found.at
        result.lines += 1
        result.kinds[found.kind] = result.kinds.get(found.kind, 0) + 1
        result.seq, result.hash, result.ends = found.seq, seen.hash, found.at
        result.mark = mark or result.mark
        if found.kind is Kind.EVENT and str(found.fields.get("event")).startswith(OF_THE_LOG):
            self._note(seen)
        self._before, self._last = self._last, seen

    def _note(self, seen: _Seen) -> None:
        """An event of the log itself."""
        result, found, fields = self.result, seen.told, seen.told.fields
        detail = fields.get("detail")
        noted = Noted(
            seq=found.seq,
            at=found.at,
            event=fields["event"],
            subject=str(fields.get("subject", "")),
            detail=detail if isinstance(detail, dict) else {},
        )
        result.notes += 1
        result.noted = [*result.noted[1 - _NOTES :], noted]
        if noted.event == DELETED and self._covers(noted.detail):
            self._vouched = True
        if noted.event == SHORTENED and self._shortened is None:
            self._shortened = Fault(
                *(str(seen.file), seen.line, found.seq, Check.SHORTENED),
                expected=f"lines up to seq {noted.detail.get('seq')}, which had been written",
                found=f"the end of the log behind seq {noted.detail.get('left')}, at that time",
            )

    def _covers(self, detail: Mapping[str, object]) -> bool:
        """Whether the removal of a segment is that of all before the beginning of this log. One
        that was just begun leaves a log that begins earlier.
        """
        last, begin = detail.get("last_seq"), self.result.first
        if not isinstance(last, int) or last < begin - 1:
            return False
        return last > begin - 1 or detail.get("last_hash") == self.result.prev


def _named(following: Iterator[tuple[Path, Text]]) -> str | None:
    """The hash that the next line names, where there is one that is a line."""
    _, text = next(following, (None, None))
    try:
        return None if text is None else told(text).prev
    except Untrue:
        return None


def _number(file: Path) -> int | None:
    """Of a segment, by its name."""
    match = _NAME.match(file.name)
    return None if match is None else int(match[1])
