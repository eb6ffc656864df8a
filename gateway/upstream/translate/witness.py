"""What a vendor really answers, seen where its bytes come in and before anybody translates them.

litellm calls the model of an answer what it was asked for, ends a stream that broke off as if it
were complete, leaves out events that it cannot read and words errors anew. So whether an answer is
whole, by whom it is, and what an error was, is read from the bytes themselves.
"""

from __future__ import annotations

import base64
from typing import Any, Protocol

import msgspec
from botocore.eventstream import EventStreamBuffer, ParserError

from gateway.domain.events import FailureKind
from gateway.upstream.fault import AttemptFault
from gateway.wire.sse import EventSplitter

MOST_BODY = 64 * 1024 * 1024
METRICS = "amazon-bedrock-invocationMetrics"
"""A member that Bedrock adds to the last chunk of an answer."""


class _Message(msgspec.Struct):
    model: Any = None


class _Candidate(msgspec.Struct):
    """Of Gemini, and of the APIs that are like OpenAI's."""

    finishReason: Any = None  # noqa: N815 - the API's name
    finish_reason: Any = None


class _Feedback(msgspec.Struct):
    blockReason: Any = None  # noqa: N815 - the API's name


class _Said(msgspec.Struct):
    """What must be known of an answer or an event, in whichever API."""

    type: Any = None
    model: Any = None
    modelVersion: Any = None  # noqa: N815 - the API's name
    message: Any = None
    error: Any = None
    candidates: list[_Candidate] | None = None
    choices: list[_Candidate] | None = None
    promptFeedback: _Feedback | None = None  # noqa: N815 - the API's name
    metrics: Any = msgspec.field(default=None, name=METRICS)


_said = msgspec.json.Decoder(_Said)
_LAST = frozenset({"message_stop", "message-end"})
"""``type`` of the last event: Anthropic's, Cohere's."""


class Seen:
    """One answer. ``model`` is what the vendor calls it; ``complete`` once its end has come."""

    def __init__(self) -> None:
        self.model: str | None = None
        self.complete = False

    def note(self, payload: bytes) -> None:
        """One JSON object of the answer. Raises ``AttemptFault`` where it is none, or an error."""
        try:
            said = _said.decode(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise AttemptFault("the answer is not the API's shape", FailureKind.MALFORMED) from None
        if said.error is not None or said.type == "error":
            raise AttemptFault("the vendor sent an error in the answer", FailureKind.STREAM_ERROR)
        inner = said.message.get("model") if isinstance(said.message, dict) else None
        for named in (said.model, said.modelVersion, inner):
            if isinstance(named, str) and named:
                self.model = named
        choices = (*(said.candidates or ()), *(said.choices or ()))
        blocked = said.promptFeedback is not None and said.promptFeedback.blockReason is not None
        if (
            blocked
            or said.metrics is not None
            or (isinstance(said.type, str) and said.type in _LAST)
            or any(one.finishReason or one.finish_reason for one in choices)
        ):
            self.complete = True


class Reader(Protocol):
    """Reads an answer's bytes as they come. Both raise ``AttemptFault``."""

    def feed(self, data: bytes) -> None: ...
    def end(self) -> None: ...


def reader(media: str, seen: Seen) -> Reader:
    """What reads an answer of a media type. Raises ``AttemptFault`` where none does."""
    match media.partition(";")[0].strip().lower():
        case "application/json":
            return _Whole(seen)
        case "text/event-stream":
            return _Events(seen)
        case "application/vnd.amazon.eventstream":
            return _Frames(seen)
    raise AttemptFault("the answer is of no media type of the API's", FailureKind.MALFORMED)


class _Whole:
    def __init__(self, seen: Seen) -> None:
        self._seen = seen
        self._pieces: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> None:
        self._pieces.append(data)
        self._size += len(data)
        if self._size > MOST_BODY:
            raise AttemptFault("the answer is too long", FailureKind.MALFORMED)

    def end(self) -> None:
        self._seen.note(b"".join(self._pieces))
        self._seen.complete = True


class _Events:
    def __init__(self, seen: Seen) -> None:
        self._seen = seen
        self._splitter = EventSplitter()

    def feed(self, data: bytes) -> None:
        self._take(self._splitter.feed(data))
        if self._splitter.oversized:
            raise AttemptFault("an event of the stream is too long", FailureKind.MALFORMED)

    def end(self) -> None:
        self._take(self._splitter.end())
        if not self._seen.complete:
            raise AttemptFault("the stream ended without its terminator", FailureKind.TRUNCATED)

    def _take(self, payloads: list[bytes]) -> None:
        for payload in payloads:
            if payload.strip() == b"[DONE]":
                self._seen.complete = True
            else:
                self._seen.note(payload)


class _Frames:
    """Amazon's binary event stream, with its checksums."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen
        self._buffer = EventStreamBuffer()

    def feed(self, data: bytes) -> None:
        try:
            self._buffer.add_data(data)
            for frame in self._buffer:
                self._take(frame.headers, frame.payload)
        except ParserError:
            raise AttemptFault("the answer is no event stream", FailureKind.MALFORMED) from None

    def end(self) -> None:
        if not self._seen.complete:
            raise AttemptFault("the stream ended without its terminator", FailureKind.TRUNCATED)

    def _take(self, headers: dict[str, Any], payload: bytes) -> None:
        if headers.get(":message-type") != "event":
            raise AttemptFault("the vendor sent an error in the stream", FailureKind.STREAM_ERROR)
        match headers.get(":event-type"):
            case "messageStop":
                self._seen.complete = True
            case "chunk":
                # Of models that are not asked by Converse: their own event, in base64.
                self._seen.note(_inner(payload))


class _Chunk(msgspec.Struct):
    bytes: str


def _inner(payload: bytes) -> bytes:
    try:
        return base64.b64decode(msgspec.json.decode(payload, type=_Chunk).bytes)
    except (msgspec.MsgspecError, ValueError):
        raise AttemptFault("the answer is not the API's shape", FailureKind.MALFORMED) from None
