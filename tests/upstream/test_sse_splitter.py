"""Server-sent events come out the same whatever pieces they come in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.sse import EventSplitter

CASES = [
    (b"data: a\n\ndata: b\n\n", [b"a", b"b"]),
    (b"data: a\r\n\r\ndata: b\r\n\r\n", [b"a", b"b"]),
    (b"data: a\r\rdata: b\r\r", [b"a", b"b"]),
    (b"data: a\r\n\ndata: b\n\r\n", [b"a", b"b"]),
    (b"\xef\xbb\xbfdata: a\n\n", [b"a"]),
    (b": ping\n\nevent: x\nid: 1\ndata:a\ndata:  b\n\n", [b"a\n b"]),
    (b"data\n\ndatax: no\n\n", [b""]),
    ("data: é\u2028ü\n\n".encode(), ["é\u2028ü".encode()]),
    (b"data: cut", []),
    (b"data: a\n\ndata: 0123456789012345678901234567890\n\ndata: b\n\n", [b"a"]),
    (b"data: 012345\ndata: 012345\ndata: 012345\n\n", []),
]
LIMIT = 30


@pytest.mark.parametrize(("stream", "events"), CASES)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_pieces_do_not_matter(stream: bytes, events: list[bytes], size: int) -> None:
    """Any newline convention, any cut, the same events, and the same verdict on their size."""
    whole, pieces = EventSplitter(LIMIT), EventSplitter(LIMIT)
    got = [e for at in range(0, len(stream), size) for e in pieces.feed(stream[at : at + size])]
    assert got == whole.feed(stream) == events
    assert pieces.oversized is whole.oversized is (b"012345" in stream)


def test_comments_do_not_add_up() -> None:
    """A stream kept alive by comments never becomes too long."""
    splitter = EventSplitter(LIMIT)
    for _ in range(100):
        assert splitter.feed(b": keep alive\n") == []
    assert not splitter.oversized


def test_the_end_gives_an_event_without_its_blank_line() -> None:
    """A terminator that the vendor did not close with a blank line is not lost."""
    splitter = EventSplitter()
    assert splitter.feed(b"data: [DONE]\n") == []
    assert splitter.end() == [b"[DONE]"]
    assert splitter.end() == []


_EVENTS = st.one_of(
    st.sampled_from(
        [b"data: a\n\n", b"data: \n\n", b"data:b\n\n", b"data: a\r\n\r\n", b"\n", b"\r"]
    ),
    st.sampled_from([b"data: a\ndata: b\n\n", b": c\n\n", b"event: e\ndata: a\n\n", b"data\n\n"]),
    st.sampled_from([b"data: a", b"data: 0123456789\n\n", b"data: \r\n\n", b"x"]),
)


@given(st.lists(st.lists(_EVENTS, max_size=3), max_size=6), st.sampled_from([8, 16, 1024]))
def test_events_that_come_alone_are_those_that_come_byte_by_byte(
    reads: list[list[bytes]], limit: int
) -> None:
    """A read that is one event is not split: it is the same event, and bounded as it is."""
    by_read, by_byte = EventSplitter(limit), EventSplitter(limit)
    for read in map(b"".join, reads):
        alone = by_read.feed(read)
        got = [event for at in range(len(read)) for event in by_byte.feed(read[at : at + 1])]
        assert by_read.oversized == by_byte.oversized
        if not by_read.oversized:
            assert alone == got
