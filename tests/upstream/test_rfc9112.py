"""RFC 9112 on the client's side, case by case, on a real socket: each answer is sent whole, and
again byte by byte, and the request after it must get its own answer.

A case says what the first request comes to (``None``: it is answered), whether the second one may
go over the same connection, and what the peer does behind its bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from gateway.domain.events import Failed, FailureKind
from gateway.upstream.answer import CHUNK_LINE, MOST_FRAMING
from gateway.upstream.channel import Channel
from gateway.upstream.framing import MOST_HEAD, MOST_HEADERS
from tests.upstream import channels
from tests.upstream.raw_peer import RawPeer, Relay, raw_peer, relay_to

MALFORMED = FailureKind.MALFORMED
TRUNCATED = FailureKind.TRUNCATED
LATE = FailureKind.FIRST_TOKEN_TIMEOUT
IDLE = FailureKind.IDLE_TIMEOUT
REFUSED = FailureKind.REFUSED


def said(word: str) -> bytes:
    return b'{"model":"m","choices":[{"message":{"content":"%b"}}]}' % word.encode()


BODY = said("first")
LENGTH = b"Content-Length: %d" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked"


def answer(
    *fields: bytes, body: bytes = BODY, status: bytes = b"200 OK", version: bytes = b"HTTP/1.1"
) -> bytes:
    return b"\r\n".join([version + b" " + status, *fields, b"", body])


def chunks(
    *, size: bytes = b"%x" % len(BODY), tail: bytes = b"\r\n", last: bytes = b"0\r\n\r\n"
) -> bytes:
    """A chunked answer, a part of whose framing is another."""
    return answer(CHUNKED, body=size + b"\r\n" + BODY + tail + last)


SMUGGLED = answer(b"Content-Length: %d" % len(said("smuggled")), body=said("smuggled"))
SECOND = answer(b"Content-Length: %d" % len(said("second")), body=said("second"))
PLAIN = answer(LENGTH)
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@dataclass(frozen=True)
class Case:
    """``size`` is that of the pieces where a byte at a time would take too long."""

    name: str
    raw: bytes
    kind: FailureKind | None = None
    kept: bool = False
    then: str = "keep"
    size: int = 1


SPLITTING = [
    Case("two answers in one read", PLAIN + SMUGGLED),
    Case("two answers in one read, the first chunked", chunks() + SMUGGLED),
    Case("an answer behind one without a body", answer(status=b"204 X", body=SMUGGLED), MALFORMED),
    Case("an answer behind a 304", answer(LENGTH, status=b"304 X", body=SMUGGLED), MALFORMED),
    Case("an answer behind an empty one", answer(b"Content-Length: 0", body=SMUGGLED), MALFORMED),
    Case("an interim answer behind the answer", PLAIN + CONTINUE),
    Case("one byte behind the answer", PLAIN + b"H"),
    Case("an empty line behind the answer", PLAIN + b"\r\n"),
    Case("an empty line behind chunks", chunks() + b"\r\n"),
    Case("half a line's end behind chunks", chunks() + b"\r"),
    Case("an empty line behind a trailer", chunks(last=b"0\r\nA: b\r\n\r\n") + b"\r\n"),
    Case("a body that is longer than it says", answer(LENGTH, body=BODY + b"}")),
]

LENGTHS = [
    Case("a length", PLAIN, kept=True),
    Case("a length with zeros before it", answer(b"Content-Length: 00%d" % len(BODY)), kept=True),
    Case("a length with blanks around it", answer(LENGTH.replace(b" ", b" \t ") + b" "), kept=True),
    Case("a length twice", answer(LENGTH, LENGTH), MALFORMED),
    Case("a length twice, first another", answer(b"Content-Length: 1", LENGTH), MALFORMED),
    Case("a length twice, then another", answer(LENGTH, b"content-length: 1"), MALFORMED),
    Case("a list of the same length", answer(LENGTH + b", %d" % len(BODY)), MALFORMED),
    Case("a length with a plus", answer(b"Content-Length: +%d" % len(BODY)), MALFORMED),
    Case("a negative length", answer(b"Content-Length: -1"), MALFORMED),
    Case("an empty length", answer(b"Content-Length:"), MALFORMED),
    Case("a length in hexadecimal", answer(b"Content-Length: 0x%x" % len(BODY)), MALFORMED),
    Case("a length with an underscore", answer(b"Content-Length: 5_4"), MALFORMED),
    Case("a length with a blank inside", answer(b"Content-Length: 5 4"), MALFORMED),
    Case("a length with a fraction", answer(b"Content-Length: 54.0"), MALFORMED),
    Case("a length of 2^64", answer(b"Content-Length: 18446744073709551616"), MALFORMED),
    Case("a length of 100 digits", answer(b"Content-Length: " + b"9" * 100), MALFORMED),
    Case("a length and chunks", answer(LENGTH, CHUNKED, body=chunks()[-70:]), MALFORMED),
    Case("chunks and a length", answer(CHUNKED, LENGTH, body=chunks()[-70:]), MALFORMED),
    Case("a body that is shorter than it says", answer(LENGTH, body=BODY[:-1]), IDLE),
    Case("and then a close", answer(LENGTH, body=BODY[:-1]), TRUNCATED, then="close"),
    Case("and then a FIN", answer(LENGTH, body=BODY[:-1]), TRUNCATED, then="half"),
    Case("and then a reset", answer(LENGTH, body=BODY[:-1]), TRUNCATED, then="reset"),
]

CODINGS = [
    Case("chunks", chunks(), kept=True),
    Case("the coding in capitals", chunks().replace(b": chunked", b": CHUNKED"), kept=True),
    *(
        Case(f"the coding {coding!r}", chunks().replace(b": chunked", b": " + coding), MALFORMED)
        for coding in (
            *(b"chunked, gzip", b"gzip, chunked", b"chunked, chunked", b"chunked,", b",chunked"),
            *(
                b"xchunked",
                b"chunkedx",
                b"chunked;q=1",
                b'"chunked"',
                b"identity",
                b"",
                b"\x0bchunked",
            ),
            *(b"chunked\x00", b"chunked\x0c", b"chun ked", b"\xc3\xa7hunked"),
        )
    ),
    Case("the coding twice", answer(CHUNKED, CHUNKED, body=chunks()[-70:]), MALFORMED),
    Case("the coding folded", chunks().replace(b": chunked", b":\r\n chunked"), MALFORMED),
    Case("a blank before the colon", chunks().replace(b": chunked", b" : chunked"), MALFORMED),
    Case("a blank before the name", chunks().replace(b"Transfer", b" Transfer"), MALFORMED),
    Case("chunks of HTTP/1.0", chunks().replace(b"HTTP/1.1", b"HTTP/1.0"), MALFORMED),
    Case("a content coding", answer(LENGTH, b"Content-Encoding: gzip"), MALFORMED),
]

LINES = [
    Case("a folded field", answer(LENGTH, b"A: b\r\n c"), MALFORMED),
    Case("a bare CR in a value", answer(LENGTH, b"A: b\rc"), MALFORMED),
    Case("a bare CR that hides a field", answer(b"A: b\rContent-Length: 1", LENGTH), MALFORMED),
    Case("a bare LF in the head", PLAIN.replace(b"OK\r\n", b"OK\n"), MALFORMED),
    Case("a bare LF behind a field", answer(LENGTH + b"\nA: b"), MALFORMED),
    Case("line ends of LF only", PLAIN.replace(b"\r\n", b"\n"), MALFORMED),
    Case("a head that ends in LF", PLAIN.replace(b"\r\n\r\n", b"\r\n\n"), MALFORMED),
    Case("a blank before a colon", answer(LENGTH, b"A : b"), MALFORMED),
    Case("a NUL in a value", answer(LENGTH, b"A: \x00"), MALFORMED),
    Case("a NUL in a name", answer(LENGTH, b"A\x00: b"), MALFORMED),
    Case("a control character in a value", answer(LENGTH, b"A: \x01"), MALFORMED),
    Case("DEL in a value", answer(LENGTH, b"A: \x7f"), MALFORMED),
    Case("no name", answer(LENGTH, b": b"), MALFORMED),
    Case("no colon", answer(LENGTH, b"Abc"), MALFORMED),
    Case("a name that is no token", answer(LENGTH, b"A(b): c"), MALFORMED),
    Case("a name beyond ASCII", answer(LENGTH, b"\xe9: c"), MALFORMED),
    Case("a value beyond ASCII", answer(LENGTH, b"A: \xe9\xff"), kept=True),
    Case("a field with no value", answer(LENGTH, b"A:"), kept=True),
]

STATUS_LINES = [
    *(
        Case(f"the status line {line!r}", b"%b\r\n%b\r\n\r\n%b" % (line, LENGTH, BODY), MALFORMED)
        for line in (
            *(b"HTTP/1.1 20 OK", b"HTTP/1.1 2000 OK", b"HTTP/1.1 099 OK", b"HTTP/1.1 600 X"),
            *(b"HTTP/1.1 -20 OK", b"HTTP/1.1 2x0 OK", b"HTTP/1.1  200 OK", b"HTTP/1.1\t200 OK"),
            *(b"HTTP/1.1 200 O\x00K", b"HTTP/1.1 200 O\x01K", b"HTTP/1.1 200 O\x7fK"),
            *(b"HTTP/1.1 200OK", b"HTTP/1.1", b"HTTP/11 200 OK", b"HTTP/1.1.1 200 OK"),
            *(b"http/1.1 200 OK", b"HTTP/0.9 200 OK", b"HTTP/1.2 200 OK", b"HTTP/2.0 200 OK"),
            *(b"HTTP/2 200", b"HTTP/3 200", b"HTTPS/1.1 200 OK", b"RTSP/1.0 200 OK", b"ICY 200 OK"),
            *(
                b" HTTP/1.1 200 OK",
                b"GET / HTTP/1.1",
                b"200 OK",
                b"{}",
                b"\xef\xbb\xbfHTTP/1.1 200 OK",
            ),
        )
    ),
    Case("an empty line before the answer", b"\r\n" + PLAIN, MALFORMED),
    Case("an empty LF before the answer", b"\n" + PLAIN, MALFORMED),
    Case("HTTP/0.9", b"<html>the body</html>", MALFORMED, then="close"),
    Case("HTTP/0.9 that goes on", b"<html>the body</html>", MALFORMED),
    Case("HTTP/2's preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", MALFORMED),
    Case("HTTP/2's first frame", b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + b"\x00" * 18, MALFORMED),
    Case("a TLS alert", b"\x15\x03\x03\x00\x02\x02\x28", MALFORMED),
    Case("SSH", b"SSH-2.0-OpenSSH_9.2\r\n", MALFORMED),
    Case("no reason phrase", PLAIN.replace(b" OK", b" "), kept=True),
    Case("no blank before no reason phrase", PLAIN.replace(b" OK", b""), kept=True),
    Case("a reason phrase beyond ASCII", PLAIN.replace(b"OK", b"\xc3\xa9 \t!"), kept=True),
]

CHUNKS = [
    Case("an extension", chunks(size=b"%x;a" % len(BODY)), kept=True),
    Case("an extension with a value", chunks(size=b"%x;a=b;c=d" % len(BODY)), kept=True),
    Case("a quoted extension", chunks(size=b'%x;a="b;c\\"d"' % len(BODY)), kept=True),
    Case("a quoted line's end", chunks(size=b'%x;a="b\r\nc"' % len(BODY)), MALFORMED),
    Case("a bare CR in an extension", chunks(size=b"%x;a\rb" % len(BODY)), MALFORMED),
    Case("a bare LF behind an extension", chunks(size=b"%x;a\nb" % len(BODY)), MALFORMED),
    Case("a NUL in an extension", chunks(size=b"%x;a=\x00" % len(BODY)), MALFORMED),
    Case(
        "a long extension", chunks(size=b"%x;a=%b" % (len(BODY), b"b" * 9000)), kept=True, size=99
    ),
    Case(
        "an extension that is too long",
        chunks(size=b"%x;a=%b" % (len(BODY), b"b" * (MOST_FRAMING + 2 * CHUNK_LINE))),
        *(MALFORMED, False, "keep", 999),
    ),
    Case(
        "extensions that are too long together",
        answer(CHUNKED, body=(b"1;a=%b\r\n \r\n" % (b"b" * 9000)) * 9 + b"0\r\n\r\n"),
        *(MALFORMED, False, "keep", 999),
    ),
    Case(
        "an extension without an end",
        answer(CHUNKED, body=b"1;a=" + b"b" * 300_000),
        *(MALFORMED, False, "keep", 4096),
    ),
    *(
        Case(f"the chunk size {size!r}", chunks(size=size), MALFORMED)
        for size in (
            *(b"3_6", b"+36", b"-36", b"0x36", b" 36", b"36 ", b"\t36", b"36h", b"", b";a", b"3 6"),
            *(b"10000000000000000", b"f" * 17, b"36;", b"36 ;a", b"36,37", b"36\x00"),
        )
    ),
    Case("a chunk size with zeros", chunks(size=b"000%x" % len(BODY)), kept=True),
    Case("a chunk of 2^64-1", chunks(size=b"f" * 16), IDLE),
    Case("a chunk size that ends in LF", chunks().replace(b"\r\n{", b"\n{"), MALFORMED),
    Case("no line's end behind a chunk", chunks(tail=b""), MALFORMED),
    Case("LF behind a chunk", chunks(tail=b"\n"), MALFORMED),
    Case("CR behind a chunk", chunks(tail=b"\r"), MALFORMED),
    Case("a chunk that is longer than it says", chunks(tail=b"}\r\n"), MALFORMED),
    Case("no last chunk", chunks(last=b""), IDLE),
    Case("no last chunk, then a close", chunks(last=b""), TRUNCATED, then="close"),
    Case("no end behind the last chunk", chunks(last=b"0\r\n"), TRUNCATED, then="close"),
    Case("no last chunk, then a reset", chunks(last=b""), TRUNCATED, then="reset"),
]

TRAILERS = [
    Case("a trailer", chunks(last=b"0\r\nA: b\r\n\r\n"), kept=True),
    Case(
        "a trailer that says the media type",
        chunks(last=b"0\r\nContent-Type: a/b\r\n\r\n"),
        kept=True,
    ),
    Case("a length in a trailer", chunks(last=b"0\r\nContent-Length: 1\r\n\r\n"), MALFORMED),
    Case(
        "a coding in a trailer", chunks(last=b"0\r\nTransfer-Encoding: chunked\r\n\r\n"), MALFORMED
    ),
    Case("a folded trailer", chunks(last=b"0\r\nA: b\r\n c\r\n\r\n"), MALFORMED),
    Case("a trailer with LF", chunks(last=b"0\r\nA: b\n\r\n"), MALFORMED),
    Case("a trailer with a blank", chunks(last=b"0\r\nA : b\r\n\r\n"), MALFORMED),
    Case("an answer as a trailer", chunks(last=b"0\r\n") + SMUGGLED, MALFORMED),
    Case(
        "trailers that are too long",
        chunks(last=b"0\r\n" + b"A: bcdef\r\n" * 7000 + b"\r\n"),
        *(MALFORMED, False, "keep", 999),
    ),
    Case(
        "trailers without an end",
        chunks(last=b"0\r\n" + b"A: bcdef\r\n" * 30_000),
        *(MALFORMED, False, "keep", 4096),
    ),
]

INTERIM = [
    Case("a 100", CONTINUE + PLAIN, kept=True),
    Case("a 102", b"HTTP/1.1 102 Processing\r\n\r\n" + PLAIN, kept=True),
    Case("a 103 with fields", b"HTTP/1.1 103 X\r\nLink: a\r\n\r\n" + PLAIN, kept=True),
    Case(
        "a 100 that says a length",
        b"HTTP/1.1 100 X\r\nContent-Length: 9\r\n\r\n" + PLAIN,
        kept=True,
    ),
    Case(
        "a 100 that says chunks", b"HTTP/1.1 100 X\r\n" + CHUNKED + b"\r\n\r\n" + PLAIN, kept=True
    ),
    Case("several", (CONTINUE + b"HTTP/1.1 103 X\r\nA: b\r\n\r\n") * 4 + chunks(), kept=True),
    Case(
        "a 101", b"HTTP/1.1 101 X\r\nUpgrade: a\r\nConnection: upgrade\r\n\r\n" + PLAIN, MALFORMED
    ),
    Case("a 101 without a word", b"HTTP/1.1 101 X\r\n\r\n" + PLAIN, MALFORMED),
    Case("many", CONTINUE * 17 + PLAIN, MALFORMED),
    Case("without an end", CONTINUE * 20_000, MALFORMED, size=4096),
    Case("and no answer", CONTINUE, LATE),
    Case("and then a close", CONTINUE, TRUNCATED, then="close"),
]

BOUNDS = [
    Case("fields, as many as may be", answer(LENGTH, *[b"a: b"] * (MOST_HEADERS - 1)), kept=True),
    Case("a field too many", answer(LENGTH, *[b"a: b"] * MOST_HEADERS), MALFORMED),
    Case("a long head", answer(LENGTH, b"A: " + b"b" * (MOST_HEAD - 99)), kept=True, size=99),
    Case("a head that is too long", answer(LENGTH, b"A: " + b"b" * MOST_HEAD), MALFORMED, size=999),
    Case("a field of 5 MB", answer(LENGTH, b"A: " + b"b" * 5_000_000), MALFORMED, size=9999),
    Case("fields of 5 MB", answer(LENGTH, *[b"A: b"] * 900_000), MALFORMED, size=9999),
    Case("a name of 5 MB", answer(LENGTH, b"A" * 5_000_000), MALFORMED, size=9999),
    Case("a reason of 5 MB", PLAIN.replace(b"OK", b"a" * 5_000_000), MALFORMED, size=9999),
]

ENDS = [
    Case("closed behind the answer", PLAIN, then="close"),
    Case("closed behind chunks", chunks(), then="close"),
    Case("FIN behind the answer", PLAIN, then="half"),
    Case("reset behind the answer", PLAIN, then="reset"),
    Case("a body to the close", answer(), then="close"),
    Case("a body to the FIN", answer(), then="half"),
    Case("a body to the reset", answer(), TRUNCATED, then="reset"),
    Case("a body to nowhere", answer(), IDLE),
    Case("it says that it closes", answer(LENGTH, b"Connection: close")),
    Case("it says so in a list", answer(LENGTH, b"Connection: a, Close")),
    Case("it says both", answer(LENGTH, b"Connection: keep-alive", b"Connection: close")),
    Case("HTTP/1.0", answer(LENGTH, version=b"HTTP/1.0")),
    Case("HTTP/1.0 to the close", answer(version=b"HTTP/1.0"), then="close"),
    Case(
        "HTTP/1.0 that is kept alive",
        answer(LENGTH, b"Connection: keep-alive", version=b"HTTP/1.0"),
        kept=True,
    ),
    Case(
        "HTTP/1.0 that is kept alive and ends with the connection",
        answer(b"Connection: keep-alive", version=b"HTTP/1.0"),
        then="close",
    ),
    Case("204", answer(status=b"204 X", body=b""), MALFORMED, kept=True),
    Case("204 with a length", answer(LENGTH, status=b"204 X", body=b""), MALFORMED, kept=True),
    Case("204 with chunks", answer(CHUNKED, status=b"204 X", body=b""), MALFORMED, kept=True),
    Case("304 with a length", answer(LENGTH, status=b"304 X", body=b""), MALFORMED, kept=True),
    Case("205", answer(b"Content-Length: 0", status=b"205 X", body=b""), MALFORMED, kept=True),
    Case("nothing, and a close", b"", REFUSED, then="close"),
    Case("nothing, and a FIN", b"", REFUSED, then="half"),
    Case("nothing, and a reset", b"", REFUSED, then="reset"),
    Case("half a status line, and a close", b"HTTP/1.1 2", TRUNCATED, then="close"),
    Case("half a head, and a close", PLAIN.partition(b"\r\n\r\n")[0], TRUNCATED, then="close"),
    Case("half a head, and a reset", PLAIN.partition(b"\r\n\r\n")[0], TRUNCATED, then="reset"),
]

TABLE = {
    "splitting": SPLITTING,
    "length": LENGTHS,
    "coding": CODINGS,
    "line": LINES,
    "status line": STATUS_LINES,
    "chunk": CHUNKS,
    "trailer": TRAILERS,
    "interim": INTERIM,
    "bound": BOUNDS,
    "end": ENDS,
}
CASES = [
    pytest.param(case, id=f"{subject}: {case.name}")
    for subject, cases in TABLE.items()
    for case in cases
]


def channel_at(port: int) -> Channel:
    return channels.channel(f"http://127.0.0.1:{port}/v1", wait=0.3)


async def outcome(relay: Relay) -> FailureKind | str:
    """The kind of the failure, or which answer it is."""
    came = await relay.ask()
    if isinstance(came, Failed):
        return came.kind
    return next(word for word in ("first", "second", "smuggled") if word in came)


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "in pieces"])
@pytest.mark.parametrize("case", CASES)
async def test_an_answer(case: Case, whole: bool) -> None:
    """One row of the tables, and the request after it."""
    peer = RawPeer(case.raw, 1 << 30 if whole else case.size, case.then)
    async with raw_peer(peer), relay_to(channel_at(peer.port)) as relay:
        assert await outcome(relay) == (case.kind or "first")
        assert len(peer.requests) == 1
        peer.answer, peer.then, peer.size = SECOND, "keep", 1 << 30
        assert await outcome(relay) == "second"
        assert peer.connections == (1 if case.kept else 2)


def test_cases_are_told_apart() -> None:
    """No row hides another by its name."""
    names = [param.id for param in CASES]
    assert len(set(names)) == len(names)
