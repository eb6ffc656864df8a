"""Server-sent events come out the same whatever pieces they come in."""

from __future__ import annotations

import pytest

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
