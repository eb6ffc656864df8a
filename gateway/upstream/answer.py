"""The answers out of a connection's bytes: strict by RFC 9112, bounded, without I/O.

Theory of operation. A reader is ``IDLE`` until it is to ``begin``; it waits for the ``HEAD``, skips
interim answers, then gathers ``pieces`` of the ``BODY`` until the answer is ``DONE``; or it comes
to a ``fault``, after which nothing counts. ``keep`` says whether another request may follow on the
connection: never where a single byte came behind the answer. The parser (llhttp, strict) splits and
refuses; what it passes without a word is looked at here: how a head begins, what follows an answer,
how much of a body is only framing.
"""

from __future__ import annotations

from enum import Enum

import httptools

from gateway.upstream.framing import FramingError, HeadReader

MOST_INTERIM = 16
MOST_FRAMING = 64 * 1024
"""Bytes of a chunked body that are neither content nor ``CHUNK_LINE`` for each chunk: extensions
and trailers."""
CHUNK_LINE = 256
_TOO_MUCH_FRAMING = "the answer's chunks are more framing than content"
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})


class Phase(Enum):
    IDLE = "idle"
    HEAD = "head"
    BODY = "body"
    DONE = "done"


IDLE, HEAD, BODY, DONE = Phase
"""By themselves: to read a member of an enumeration's class is slow in Python 3.11."""


class AnswerReader:
    """``status`` and ``headers`` (names in lower case) count once the phase is no longer ``HEAD``;
    ``buffered`` is the size of ``pieces``; ``begun`` whether any byte has come; ``unframed`` that
    the body ends where the peer's bytes do. With ``unread``, what comes of a body is not gathered.
    """

    __slots__ = (
        *("_end", "_framing", "_heads", "_interim", "_left", "_parser", "begun"),
        *("buffered", "fault", "headers", "keep", "phase", "pieces", "status", "unframed"),
        "unread",
    )

    def __init__(self) -> None:
        self._heads = HeadReader()
        self._parser = httptools.HttpResponseParser(self)
        self.fault: str | None = None
        self.status = 0
        self.begin()
        self.idle()

    def begin(self) -> None:
        """Wait for an answer; the one before has come to its end, and nothing behind it."""
        self.phase = HEAD
        self.headers: dict[bytes, bytes] = {}
        self.pieces: list[bytes] = []
        self.buffered = 0
        self.begun = self.keep = self.unframed = self.unread = False
        self._heads.begin()
        self._left: int | None = None
        self._framing = self._interim = 0
        self._end = b""

    def idle(self) -> None:
        """An answer is over, and no other is waited for: nothing of its body is kept."""
        self.phase = IDLE
        self.pieces = []
        self.buffered = 0

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the connection, not empty."""
        self.begun = True
        rest: bytes | None = data
        while rest and self.phase is HEAD and self.fault is None:
            rest = self._head(rest)
        if rest and self.fault is None:
            self._body(rest)

    def ended(self) -> None:
        """The peer will send no more, and means it: the end of a body without another one."""
        if self.phase is BODY and self.unframed and self.fault is None:
            self.phase = DONE

    def take(self) -> bytes:
        """The gathered part of the body."""
        pieces, self.pieces, self.buffered = self.pieces, [], 0
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def taken(self) -> None:
        """All that was gathered is with its reader."""
        self.pieces.clear()
        self.buffered = 0

    # What the parser calls.

    def on_header(self, name: bytes, value: bytes) -> None:
        lowered = name.lower()
        if self.phase is not HEAD:
            # A trailer: its bytes are counted, and it is nothing more than that. What comes behind
            # the answer is not even read.
            if lowered in _FRAMING and self.phase is BODY:
                self._fail("the answer's trailer says where it ends")
            return
        if lowered in self.headers and lowered in _FRAMING:
            self._fail("the answer says twice where it ends")
        self.headers[lowered] = value

    def on_headers_complete(self) -> None:
        # The parser reads on to the end of its data after a fault: nothing of it may count.
        if self.phase is not HEAD or self.fault is not None:
            return
        self.status = self._parser.get_status_code()
        if self.status < 200:
            self._interim += 1
            self.headers = {}
            if self.status == 101 or self._interim > MOST_INTERIM:
                self._fail("the answer does not come to its point")
            return
        why = self._unsound()
        if why is not None:
            self._fail(why)
            return
        length = self.headers.get(b"content-length")
        chunked = b"transfer-encoding" in self.headers
        self.unframed = length is None and not chunked and self.status not in (204, 304)
        self.keep = self._parser.should_keep_alive() and not self.unframed
        self._left = None if length is None else int(length)
        self.phase = BODY

    def on_chunk_header(self) -> None:
        self._framing -= CHUNK_LINE

    def on_body(self, body: bytes) -> None:
        self._framing -= len(body)
        if self.phase is BODY and not self.unread:
            self.pieces.append(body)
            self.buffered += len(body)

    def on_message_complete(self) -> None:
        if self._framing > MOST_FRAMING:
            self._fail(_TOO_MUCH_FRAMING)
        if self.phase is BODY and self.fault is None:
            self.phase = DONE

    # Inside.

    def _unsound(self) -> str | None:
        """Why it cannot be told without doubt where an answer with this head ends."""
        headers = self.headers
        coding = headers.get(b"transfer-encoding")
        version = self._parser.get_http_version()
        if coding is not None and b"content-length" in headers:
            return "the answer has a length and a transfer encoding"
        if version not in ("1.0", "1.1") or (coding is not None and version == "1.0"):
            return "the answer is not HTTP/1.1"
        if coding is not None and coding.rstrip(b" \t").lower() != b"chunked":
            return "the answer's transfer encoding is not plain chunks"
        if headers.get(b"content-encoding", b"identity").lower() != b"identity":
            return "the answer is encoded in a way that was not asked for"
        return None

    def _head(self, data: bytes) -> bytes | None:
        """What stands behind the head, where it ends in these bytes."""
        try:
            size = self._heads.cut(data)
        except FramingError as error:
            self._fail(str(error))
            return None
        self._parse(data if size is None else data[:size])
        return None if size is None else data[size:]

    def _body(self, data: bytes) -> None:
        if self.phase is DONE:
            # The answer has no body.
            self.keep = False
        elif self._left is not None:
            if len(data) > self._left:
                self.keep = False
                data = data[: self._left]
            self._left -= len(data)
            self._parse(data)
        elif self.unframed:
            self._parse(data)
        else:
            self._chunks(data)

    def _chunks(self, data: bytes) -> None:
        self._framing += len(data)
        # One byte more than a chunked body's end: an empty line behind it would go unnoticed.
        self._end = (self._end + data[-5:])[-5:]
        self._parse(data)
        if self.phase is DONE:
            if self._end[1:] != b"\r\n\r\n" or self._end[:1] in b"\r\n":
                self.keep = False
        elif self._framing > MOST_FRAMING:
            self._fail(_TOO_MUCH_FRAMING)

    def _parse(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail("the answer switches protocols")
        except httptools.HttpParserError:
            self.keep = False
            if self.phase is not DONE:
                self._fail("the answer is not HTTP")

    def _fail(self, message: str) -> None:
        self.keep = False
        if self.fault is None:
            self.fault = message
