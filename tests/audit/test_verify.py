"""Whatever is done to a log is found, and named at the place where it was done."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit.chain import NOTHING, Head, Kind, digest, line
from gateway.audit.happening import Happening
from gateway.audit.reader import LONGEST_LINE
from gateway.audit.verified import Check, Fault, Verified
from gateway.audit.verify import verify
from tests.audit.logs import NOW, Signer, Written, joined, request
from tests.audit.test_reader import MADE

SIGNER = Signer()
KEYS = {SIGNER.id: SIGNER.public}
BREAKS = (4, 9)
"""Behind which lines the segments of the log below end."""


def made(*, signed: bool) -> Written:
    """Twelve lines; the fifth, the tenth and, where it is ``signed``, the last are checkpoints."""
    log = Written(SIGNER)
    for number in range(1, 13):
        if number in (5, 10) or (signed and number == 12):
            log.sign()
        elif number == 7:
            log.add(Happening("vendor.banned", NOW, "local:root", "openai", "a reason"))
        else:
            log.add(request(number, targets=(), attempts=[], client_request_id="é" * (number % 3)))
    return log


SIGNED, UNSIGNED = made(signed=True), made(signed=False)


def saved(folder: Path, parts: Iterable[bytes]) -> list[Path]:
    """Segments with this content."""
    files = []
    for number, part in enumerate(parts, 1):
        file = folder / f"audit-{number:08}.jsonl"
        file.write_bytes(part)
        files.append(file)
    return files


def parts(lines: list[bytes], breaks: tuple[int, ...] = BREAKS) -> list[bytes]:
    ends = [*breaks, len(lines)]
    return [joined(lines[begin:end]) for begin, end in zip([0, *breaks], ends, strict=True)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("log")


def where(fault: Fault | None, breaks: tuple[int, ...] = BREAKS) -> int | None:
    """The line over all segments, from 0."""
    if fault is None:
        return None
    number = int(Path(fault.file).stem.removeprefix("audit-"))
    return [0, *breaks][number - 1] + fault.line - 1


def test_a_log_as_it_was_written_is_good(folder: Path) -> None:
    """And it is said how far it is vouched for."""
    found = verify(saved(folder, parts(UNSIGNED.lines)), KEYS)
    assert found.fault is None
    assert (found.segments, found.lines, found.first, found.seq) == (3, 12, 1, 12)
    assert found.kinds == {"request": 9, "event": 1, "checkpoint": 2}
    assert found.hash == UNSIGNED.head.hash
    assert found.mark is not None
    assert (found.mark.seq, found.mark.key, found.unvouched) == (10, SIGNER.id, 2)
    assert verify(saved(folder, parts(SIGNED.lines)), KEYS).unvouched == 0


def altered(log: Written, folder: Path, at: int, byte: int) -> tuple[int, Verified]:
    """With another byte at one place of all: the line that it was in, and what is found."""
    content = bytearray(joined(log.lines))
    content[at] = byte
    ends: list[int] = []
    for one in log.lines:
        ends.append(len(one) + 1 + (ends[-1] if ends else 0))
    touched = next(number for number, end in enumerate(ends) if at < end)
    cuts = [0, *(ends[stop - 1] for stop in BREAKS), len(content)]
    pieces = [bytes(content[a:b]) for a, b in pairwise(cuts)]
    return touched, verify(saved(folder, pieces), KEYS)


def test_another_byte_anywhere_is_named_in_its_line(folder: Path) -> None:
    """Each byte of a log whose end is signed; at its very end the line has no end any more."""
    content = joined(SIGNED.lines)
    for at in range(len(content) - 1):
        touched, found = altered(SIGNED, folder, at, content[at] ^ 1)
        assert where(found.fault) == touched, (at, content[at], found.fault)
        assert found.seq == touched
        assert found.lines == touched
    _, found = altered(SIGNED, folder, len(content) - 1, 0x0B)
    assert found.torn is not None
    assert (found.torn.line, found.seq, found.fault) == (3, 11, None)


@given(st.data())
def test_any_other_byte_is_found_as_far_as_the_log_is_vouched_for(
    folder: Path, data: st.DataObject
) -> None:
    """And in the last line behind it, which nothing names, only what no line may be."""
    log = data.draw(st.sampled_from([SIGNED, UNSIGNED]))
    content = joined(log.lines)
    at = data.draw(st.integers(0, len(content) - 2))
    byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != content[at]))
    touched, found = altered(log, folder, at, byte)
    if touched < 11 or log is SIGNED:
        assert where(found.fault) == touched
    else:
        assert where(found.fault) in (None, 10, 11)


@given(st.sampled_from([SIGNED, UNSIGNED]), st.integers(0, 10))
def test_a_line_that_was_taken_out_is_missed_where_it_was(
    folder: Path, log: Written, at: int
) -> None:
    """The first line, too: nothing in the log tells why it should be gone."""
    lines = log.lines[:at] + log.lines[at + 1 :]
    found = verify(saved(folder, parts(lines)), KEYS)
    assert found.fault is not None
    assert where(found.fault) == at
    assert found.fault.check == (Check.SEQ if at else Check.BEGINNING)
    assert found.fault.seq == at + 1
    if at:
        assert found.fault.found == f"seq {at + 2}: 1 lines are not here"


@given(st.integers(0, 11), st.integers(0, 11))
def test_lines_that_changed_places_are_named(folder: Path, one: int, other: int) -> None:
    """The first of them; the very first line of a log may have any number, and the next not."""
    lines = list(SIGNED.lines)
    lines[one], lines[other] = lines[other], lines[one]
    found = verify(saved(folder, parts(lines)), KEYS)
    first = min(one, other)
    assert where(found.fault) == (None if one == other else first or 1)


@given(st.sampled_from([SIGNED, UNSIGNED]), st.integers(0, 11))
def test_a_line_that_was_put_in_with_the_right_number_and_hash_is_named(
    folder: Path, log: Written, at: int
) -> None:
    """Though it follows the line before as well as the real one does. Behind the last checkpoint
    there is nobody to tell which of two last lines is the real one.
    """
    prev = Head(at, NOTHING if at == 0 else digest(log.lines[at - 1]))
    forged, _ = line(prev, Kind.EVENT, {"at": "2026-01-01T00:00:00Z", "event": "nothing"})
    lines = [*log.lines[:at], forged, *log.lines[at:]]
    found = verify(saved(folder, parts(lines)), KEYS)
    last = at == 11 and log is UNSIGNED
    assert where(found.fault) == (12 if last else at)


@given(st.integers(0, 11), st.integers(0, 12))
def test_a_line_that_is_there_twice_is_named(folder: Path, which: int, at: int) -> None:
    """Where it was put, or where it stood, if that is beside it."""
    lines = [*SIGNED.lines[:at], SIGNED.lines[which], *SIGNED.lines[at:]]
    found = verify(saved(folder, parts(lines)), KEYS)
    beside = {which, which + 1} if at in (which, which + 1) else set()
    assert where(found.fault) in {at or 1, *beside}


def copy(folder: Path, *lines: bytes) -> Path:
    """A file of checkpoints that is kept elsewhere."""
    file = folder / "checkpoints.jsonl"
    file.write_bytes(joined(lines))
    return file


@given(st.integers(0, 20_000), st.booleans())
def test_a_log_that_was_cut_off_anywhere_is_missed_by_its_copied_checkpoints(
    folder: Path, at: int, external: bool
) -> None:
    """Without them, what is gone behind the last checkpoint that is left cannot be noticed, nor can
    that checkpoint; a line that has no end is told.
    """
    content = joined(SIGNED.lines)[: at % len(joined(SIGNED.lines))]
    whole = content.count(b"\n")
    if whole == 0 and not content:
        return
    file = folder / "cut" / "audit-00000001.jsonl"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content)
    copied = copy(folder, SIGNED.lines[4], SIGNED.lines[9], SIGNED.lines[11])
    found = verify([file], KEYS, external=copied if external else None)
    rest = content[content.rfind(b"\n") + 1 :]
    assert found.seq == whole
    assert (found.torn is not None) == bool(rest)
    if found.torn is not None:
        assert (found.torn.line, found.torn.bytes) == (whole + 1, len(rest))
    if not external:
        assert found.fault is None
        return
    assert found.fault is not None
    assert (found.fault.check, found.fault.seq) == (Check.EXTERNAL, whole + 1)
    missing = next(seq for seq in (5, 10, 12) if seq > whole)
    assert f"lines up to seq {missing} at least" in found.fault.expected


@given(st.integers(0, 1), st.integers(1, 20_000))
def test_a_segment_that_was_cut_off_is_missed_by_the_next(
    folder: Path, which: int, cut: int
) -> None:
    """In the middle of a line in that line, and between two by the number behind."""
    pieces = parts(SIGNED.lines)
    pieces[which] = pieces[which][: -(1 + cut % len(pieces[which]))]
    found = verify(saved(folder, pieces), KEYS)
    before = sum(len(piece.splitlines()) for piece in pieces[:which])
    whole = before + pieces[which].count(b"\n")
    assert found.fault is not None
    if pieces[which].endswith(b"\n") or not pieces[which]:
        place = Path(found.fault.file).name, found.fault.line
        assert place == (f"audit-{which + 2:08}.jsonl", 1 if whole else place[1])
        assert found.fault.check is (Check.SEQ if whole else Check.BEGINNING)
    else:
        assert (where(found.fault), found.fault.check) == (whole, Check.END)
    assert found.seq in (whole, 12)


@given(st.lists(st.one_of(MADE, st.sampled_from(SIGNED.lines)), min_size=1, max_size=4))
def test_no_garbage_makes_verify_raise(folder: Path, pieces: list[bytes]) -> None:
    """Nor any that stands between lines of a log, or among copies of checkpoints."""
    (file,) = saved(folder, [b"\n".join(pieces)])
    found = verify([file], KEYS)
    assert found.lines <= len(pieces)
    again = verify(saved(folder, parts(SIGNED.lines)), KEYS, external=copy(folder, *pieces))
    assert again.fault is None or again.fault.check in set(Check)


def test_a_line_that_is_longer_than_any_is_a_fault(folder: Path) -> None:
    (file,) = saved(folder, [b"x" * (LONGEST_LINE + 1) + b"\n"])
    found = verify([file], KEYS)
    assert found.fault is not None
    assert (found.fault.check, found.fault.line, found.lines) == (Check.LENGTH, 1, 0)


FORGED = SIGNED.lines[4].replace(b'"at":"2026', b'"at":"2025')


@pytest.mark.parametrize(
    ("lines", "check", "line_"),
    [
        ([SIGNED.lines[4], SIGNED.lines[0]], Check.EXTERNAL, 2),
        ([SIGNED.lines[9], SIGNED.lines[4]], Check.EXTERNAL, 2),
        ([SIGNED.lines[4], b"{}"], Check.JSON, 2),
        ([FORGED], Check.SIGNATURE, 1),
    ],
)
def test_copies_that_are_none_are_told(
    folder: Path, lines: list[bytes], check: Check, line_: int
) -> None:
    """A line that is no checkpoint, an order that cannot be, another signature."""
    copied = copy(folder, *lines)
    found = verify(saved(folder, parts(SIGNED.lines)), KEYS, external=copied)
    assert found.fault is not None
    assert (found.fault.file, found.fault.line, found.fault.check) == (str(copied), line_, check)


def test_copies_that_are_older_than_the_log_are_counted(folder: Path) -> None:
    """As those of lines that were removed; twice the same line is once."""
    gone = Happening("audit.deleted", NOW, detail={"last_seq": 5, "last_hash": "", "first_seq": 1})
    detail = {**gone.detail, "last_hash": digest(SIGNED.lines[4])}
    log = made(signed=True).add(Happening(gone.event, NOW, detail=detail)).sign()
    (file,) = saved(folder, [joined(log.lines[5:])])
    copied = copy(folder, *log.lines[4:5], *log.lines[9:10] * 2, log.lines[13])
    found = verify([file], KEYS, external=copied)
    assert found.fault is None
    assert found.external is not None
    assert (found.external.earlier, found.external.agreed, found.first) == (1, 2, 6)
    assert found.external.last == found.mark
