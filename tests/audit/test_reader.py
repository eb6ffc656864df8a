"""Lines of a log, forwards and backwards, and whatever else a file may hold."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit.happening import Happening
from gateway.audit.reader import (
    LONGEST_LINE,
    BadLine,
    Checkpoint,
    Event,
    Line,
    Place,
    Request,
    Text,
    backwards,
    last,
    last_texts,
    log_files,
    parsed,
    read_log,
    texts,
)
from gateway.errors import StateError
from tests.audit.logs import NOW, Written, joined, request

BAN = Happening("vendor.banned", NOW, "local:root", "openai", detail={"revision": "r2"})


@pytest.fixture
def written() -> Written:
    """Three requests, an event, a checkpoint and a request."""
    log = Written()
    return log.add(*(request(n) for n in (1, 2, 3)), BAN).sign().add(request(4))


def says(line: Line) -> object:
    """What a line says, without its place."""
    if isinstance(line, BadLine):
        return (line.reason, line.cut)
    rest = line.record if isinstance(line, Request) else None
    return (line.seq, line.prev, line.happening if isinstance(line, Event) else rest)


def test_each_line_is_of_its_type_and_knows_its_place(written: Written, tmp_path: Path) -> None:
    """Over the segments, in their order."""
    first, second = written.save(tmp_path / "log", 2)
    lines = list(read_log(log_files(tmp_path / "log")))
    assert [type(line) for line in lines] == [*[Request] * 3, Event, Checkpoint, Request]
    assert [line.place for line in lines[1:4]] == [
        Place(str(first), 2),
        Place(str(second), 1),
        Place(str(second), 2),
    ]
    one, event, mark = lines[0], lines[3], lines[4]
    assert isinstance(one, Request)
    assert (one.seq, one.record) == (1, request(1))
    assert isinstance(event, Event)
    assert event.happening == BAN
    assert isinstance(mark, Checkpoint)
    assert (mark.seq, mark.at, mark.key) == (5, NOW, written.signer.id)


def test_the_last_lines_come_from_the_end_and_from_older_segments(
    written: Written, tmp_path: Path
) -> None:
    """Oldest first, of all or of those that are wanted; as many as there are."""
    written.save(tmp_path / "log", 2, 4)
    log = tmp_path / "log"
    forwards = [says(line) for line in read_log(log_files(log))]
    for count in range(8):
        assert [says(line) for line in last(log, count)] == forwards[max(0, 6 - count) :]
    requests = last(log, 2, lambda line: isinstance(line, Request))
    assert [says(line) for line in requests] == [forwards[2], forwards[5]]
    assert [line.place.line for line in last(log, 3)] == [-1, -2, -1]
    assert [text.content for text in last_texts(log, 3)] == written.lines[-3:]


def test_nothing_is_the_end_of_no_log(tmp_path: Path) -> None:
    """A gateway that has not written yet; a log that a person names must be there."""
    assert last(tmp_path / "none", 5) == []
    assert last(tmp_path, 5) == []
    with pytest.raises(StateError, match="there is no audit log in"):
        log_files(tmp_path)


def test_a_segment_that_is_removed_meanwhile_ends_the_way_back(
    written: Written, tmp_path: Path
) -> None:
    """Retention removes the oldest."""
    files = written.save(tmp_path / "log", 2, 4)
    coming = backwards(files)
    for _ in range(2):
        next(coming)
    files[0].unlink()
    assert len(list(coming)) == 2


def test_what_has_no_end_is_cut(written: Written, tmp_path: Path) -> None:
    """And what is broken in the middle is not."""
    file = tmp_path / "audit-00000001.jsonl"
    file.write_bytes(b"nonsense\n" + written.lines[0] + b"\n" + written.lines[1][:-40])
    one, two, three = read_log([file])
    assert isinstance(one, BadLine)
    assert isinstance(two, Request)
    assert isinstance(three, BadLine)
    assert (one.place.line, one.cut) == (1, False)
    assert (three.place.line, three.cut) == (3, True)
    assert "truncated" in three.reason
    assert [says(line) for line in backwards([file])] == [says(line) for line in (three, two, one)]


def test_of_a_line_that_is_longer_than_any_no_more_is_kept_than_is_read(tmp_path: Path) -> None:
    """Forwards and backwards: 40 MB of one line, and the one behind it is read."""
    log = Written().add(request())
    file = tmp_path / "audit-00000001.jsonl"
    with file.open("wb") as stream:
        for _ in range(10):
            stream.write(b"x" * LONGEST_LINE)
        stream.write(b"\n" + joined(log.lines))
    for found in (read_log([file]), backwards([file])):
        tracemalloc.start()
        lines = list(found)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert sorted(type(line).__name__ for line in lines) == ["BadLine", "Request"]
        (bad,) = (line for line in lines if isinstance(line, BadLine))
        assert (bad.reason, bad.cut) == (f"longer than {LONGEST_LINE} bytes", False)
        assert peak < 3 * LONGEST_LINE
    assert [text.line for text in texts(file)] == [1, 2]


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    """By an error that says why."""
    (tmp_path / "audit-00000001.jsonl").mkdir()
    with pytest.raises(StateError, match="there is no audit log"):
        log_files(tmp_path)
    with pytest.raises(StateError, match=r"audit-00000001\.jsonl cannot be read: Is a directory"):
        list(backwards([tmp_path / "audit-00000001.jsonl"]))


KNOWN = [
    b'{"kind":"request","seq":1,"prev":"","at":"2026-01-01T00:00:00Z","id":"r","api":"x"}',
    b'{"kind":"event","seq":2,"prev":"","at":"2026-01-01T00:00:00Z","event":"e"}',
    b'{"kind":"checkpoint","seq":3,"prev":"","at":"2026-01-01T00:00:00Z","key":"","signature":""}',
]
MADE = st.one_of(
    st.binary(max_size=60),
    st.sampled_from(
        [
            *KNOWN,
            b"[" * 100_000,
            b'{"a":' * 50_000,
            b'{"kind":"request","seq":1,"prev":"","x":' + b"[" * 50_000,
            b'{"kind":"request","seq":1e999,"prev":""}',
            b'{"kind":"event","seq":99999999999999999999999,"prev":""}',
            b'{"kind":"other","seq":1,"prev":""}',
            b"\xff\xfe",
            b'{"kind":"request","seq":1,"prev":"\\ud800"}',
        ]
    ),
    st.builds(
        lambda line, at, byte: line[: at % len(line)] + bytes([byte]) + line[at % len(line) + 1 :],
        st.sampled_from(KNOWN),
        st.integers(0, 200),
        st.integers(0, 255),
    ),
)


@given(st.lists(MADE, max_size=6), st.booleans())
def test_no_garbage_makes_a_reader_raise(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes], ended: bool
) -> None:
    """And what is read backwards is what is read forwards."""
    file = tmp_path_factory.getbasetemp() / f"garbage-{os.getpid()}.jsonl"
    file.write_bytes(b"\n".join(pieces) + (b"\n" if ended else b""))
    forwards = [says(line) for line in read_log([file])]
    assert forwards[::-1] == [says(line) for line in backwards([file])]
    content = file.read_bytes()
    assert len(forwards) == content.count(b"\n") + (content[-1:] not in (b"", b"\n"))


def test_known_lines_are_lines() -> None:
    """So that the garbage above is made of something."""
    found = [parsed(Text(1, line, True), Place("", 1)) for line in KNOWN]
    assert [type(line) for line in found] == [Request, Event, Checkpoint]
