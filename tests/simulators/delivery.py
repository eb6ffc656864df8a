"""An answer in its parts, and the ways in which it does or does not arrive: the same for every
dialect. ``WAYS`` has them by name. Pure but for ``deliver``.

A plain answer's body is cut into parts too, so that every way has a meaning for both.
"""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from functools import cache
from typing import Any

from tests.simulators.peer import Peer

EVENT_STREAM = "text/event-stream"
JSON = "application/json"
WHOLE = -1
"""Of the pieces that are sent ahead: all."""
STAGES = ("request", "head", "opening", "content", "terminator")
"""Where an answer can stop: after the request, after its head, after the opening (which says who
answers), within the content, before the terminator.
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """The parts of a body. Of a stream, each is an event."""

    opening: tuple[bytes, ...]
    content: tuple[bytes, ...]
    closing: tuple[bytes, ...]
    terminator: tuple[bytes, ...]
    streamed: bool

    @classmethod
    def plain(cls, body: bytes) -> Answer:
        """A whole body: its first half is its content, its last byte its terminator."""
        half = len(body) // 2
        return cls((), (body[:half],), (body[half:-1],), (body[-1:],), streamed=False)

    @property
    def pieces(self) -> tuple[bytes, ...]:
        return (*self.opening, *self.content, *self.closing, *self.terminator)

    def before(self, stage: str, after: int) -> tuple[bytes, ...]:
        """What has been sent at a stage; ``after`` pieces of the content if it is within that."""
        if stage == "content":
            return (*self.opening, *self.content[: after if self.streamed else 1])
        sent = {"opening": self.opening, "terminator": self.pieces[: -len(self.terminator)]}
        return sent.get(stage, ())


class End(Enum):
    """What comes after the last piece."""

    WHOLE = "whole"
    """The body's end; the connection goes on."""
    CLOSE = "close"
    """The body's end, and the connection's right behind it."""
    NO_LAST_CHUNK = "no_last_chunk"
    """FIN where a chunk was to come, or more of the length that was told."""
    RESET = "reset"
    STALL = "stall"


@dataclass(frozen=True, slots=True)
class Delivery:
    """``length`` is what ``content-length`` says, ``None`` for a body in chunks. After the pieces
    comes ``half``, a chunk of which only the half is sent, or ``endless``, over and over again.
    Without ``head`` nothing is sent; ``drip`` is the peer's.
    """

    pieces: tuple[bytes, ...]
    length: int | None
    media: str
    end: End = End.WHOLE
    lines: tuple[str, ...] = ()
    half: bytes = b""
    endless: bytes = b""
    head: bool = True
    drip: float | None = None


Options = Mapping[str, Any]
Way = Callable[[Answer, Options], Delivery]


async def deliver(peer: Peer, delivery: Delivery, options: Options) -> bool:
    """Send it; whether the connection goes on. ``pause`` seconds are between two pieces,
    ``linger`` between the last one and the end of the body; only ``ahead`` pieces are sent before
    ``released`` (a ``threading.Event``) is set, or ``WHOLE`` all of them and not the body's end.
    """
    peer.drip = delivery.drip
    if delivery.head:
        framing = "transfer-encoding: chunked"
        if delivery.length is not None:
            framing = f"content-length: {delivery.length}"
        await peer.head(200, delivery.media, *delivery.lines, framing)
    send = peer.send if delivery.length is not None else peer.chunk
    for number, piece in enumerate(delivery.pieces):
        if number == options.get("ahead"):
            await released(options)
        await send(piece)
        await asyncio.sleep(options.get("pause", 0))
    while delivery.endless:
        await send(delivery.endless)
        await asyncio.sleep(options.get("every", 0.02))
    if delivery.half:
        await peer.half_chunk(delivery.half)
    if delivery.end is End.RESET:
        return await peer.reset()
    if delivery.end is End.STALL:
        return await peer.wait()
    if delivery.end is not End.NO_LAST_CHUNK and delivery.length is None:
        await asyncio.sleep(options.get("linger", 0))
        if options.get("ahead") == WHOLE:
            await released(options)
        await peer.send(b"0\r\n\r\n")
    return delivery.end is End.WHOLE


async def released(options: Options) -> None:
    """Until the event is set by whichever thread; at once where there is none."""
    while "released" in options and not options["released"].is_set():  # noqa: ASYNC110 - threads
        await asyncio.sleep(0.01)


def whole(answer: Answer, options: Options) -> Delivery:
    return Delivery(
        pieces=answer.pieces,
        length=None if answer.streamed else sum(map(len, answer.pieces)),
        media=EVENT_STREAM if answer.streamed else JSON,
        lines=tuple(options.get("headers", "").splitlines()),
    )


def _stopped(end: End, stage: str = "request") -> Way:
    """It stops at a stage: ``at`` in place of the one given, ``after`` so many pieces."""

    def way(answer: Answer, options: Options) -> Delivery:
        at = options.get("at", stage)
        if at not in STAGES:
            raise ValueError(f"no stage {at!r}: {', '.join(STAGES)}")
        sent = answer.before(at, options.get("after", 2))
        return replace(whole(answer, options), pieces=sent, end=end, head=at != "request")

    return way


def _close_after(answer: Answer, options: Options) -> Delivery:
    """``told``: the head says that the connection will be closed."""
    lines = ("connection: close",) if options.get("told") else ()
    return replace(whole(answer, options), end=End.CLOSE, lines=lines)


def _missing(answer: Answer, options: Options) -> Delivery:
    """Without the last event, or the last byte; the chunks end as they should."""
    end = End.WHOLE if answer.streamed else End.NO_LAST_CHUNK
    return replace(whole(answer, options), pieces=answer.before("terminator", 0), end=end)


def _missing_both(answer: Answer, options: Options) -> Delivery:
    return replace(_missing(answer, options), end=End.NO_LAST_CHUNK)


def _missing_end(answer: Answer, options: Options) -> Delivery:
    """The last event is there, the last chunk is not; a plain body comes in chunks for it."""
    return replace(whole(answer, options), length=None, end=End.NO_LAST_CHUNK)


def _half_chunk(answer: Answer, options: Options) -> Delivery:
    """The next piece is cut within its chunk."""
    sent = answer.before("content", options.get("after", 2))
    rest = answer.pieces[len(sent)]
    return replace(whole(answer, options), pieces=sent, length=None, half=rest, end=End.RESET)


def _half_character(answer: Answer, options: Options) -> Delivery:
    """Whole chunks, of which the last ends within a character."""
    sent: list[bytes] = []
    for piece in answer.pieces:
        halves = list(_split(piece))
        sent.append(halves[0])
        if len(halves) > 1:
            break
    return replace(whole(answer, options), pieces=tuple(sent), length=None, end=End.RESET)


def _split_characters(answer: Answer, options: Options) -> Delivery:
    """All of it, with the end of a chunk within each character that has several bytes."""
    pieces = tuple(part for piece in answer.pieces for part in _split(piece))
    return replace(whole(answer, options), pieces=pieces, length=None)


def _split(piece: bytes) -> Iterator[bytes]:
    begin = 0
    for at, byte in enumerate(piece):
        if byte >= 0xC0:
            yield piece[begin : at + 1]
            begin = at + 1
    yield piece[begin:]


def _drip(answer: Answer, options: Options) -> Delivery:
    """One byte at a time, every ``every`` seconds."""
    return replace(whole(answer, options), drip=options.get("every", 0.0))


def _wrong_length(answer: Answer, options: Options) -> Delivery:
    """Framed by a length that is ``by`` bytes more than there are, or fewer."""
    length = sum(map(len, answer.pieces)) + options["by"]
    return replace(whole(answer, options), length=length, end=End.NO_LAST_CHUNK)


def _gzip_bomb(answer: Answer, options: Options) -> Delivery:
    """64 MB in 64 KB, though nobody said that it may be packed."""
    bomb = _bomb()
    lines = ("content-encoding: gzip",)
    return replace(whole(answer, options), pieces=(bomb,), length=len(bomb), lines=lines)


@cache
def _bomb() -> bytes:
    return gzip.compress(bytes(64 << 20), 9)


def _big_header(answer: Answer, options: Options) -> Delivery:
    """A field of 5 MB in the head."""
    return replace(whole(answer, options), lines=(f"x-padding: {'x' * 5_000_000}",))


def _html(answer: Answer, options: Options) -> Delivery:
    page = b"<html><body>proxy</body></html>"
    return replace(whole(answer, options), pieces=(page,), length=len(page), media="text/html")


def _empty(answer: Answer, options: Options) -> Delivery:
    return replace(whole(answer, options), pieces=(), length=0)


WAYS: Mapping[str, Way] = {
    "answer": whole,
    "stall": _stopped(End.STALL),
    "stall_mid_stream": _stopped(End.STALL, "content"),
    "reset": _stopped(End.RESET),
    "break_off": _stopped(End.RESET, "content"),
    "hang_up": _stopped(End.NO_LAST_CHUNK),
    "close_after": _close_after,
    "missing_done": _missing,
    "missing_both": _missing_both,
    "missing_end": _missing_end,
    "half_chunk": _half_chunk,
    "half_character": _half_character,
    "split_characters": _split_characters,
    "drip": _drip,
    "wrong_length": _wrong_length,
    "gzip_bomb": _gzip_bomb,
    "big_header": _big_header,
    "html": _html,
    "empty": _empty,
}
