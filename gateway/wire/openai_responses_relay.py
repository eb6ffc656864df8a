"""Responses that pass between an app and a vendor that has the Responses API itself, byte for byte
but for the model's name. Only what the gateway must know is decoded.

Sources: the typed models of the official SDK, and the published page on streaming. New kinds of
events and items come often: they are passed on, and taken for what no other target could go on
from.
"""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.domain.call import Call
from gateway.domain.events import Called, Delta, FinishReason, Piece, Reasoned, Usage
from gateway.domain.target import Target
from gateway.wire import sse
from gateway.wire.likeness import LikenessReader
from gateway.wire.model_name import with_model
from gateway.wire.openai_responses_asked import asked_of, counted_by
from gateway.wire.openai_told import vendor_error
from gateway.wire.relay import Answer, AnswerFailed, Chunk, VendorError

_TROUBLE = frozenset(
    {"server_error", "rate_limit_exceeded", "vector_store_timeout", "data_residency_mismatch"}
)
"""Codes of a response that failed by no fault of the request: another target may do better."""
_CALLS = frozenset({"function_call", "custom_tool_call"})


class _InputDetails(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _OutputDetails(msgspec.Struct):
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None


class _Part(msgspec.Struct):
    type: str | None = None
    text: str | None = None
    refusal: str | None = None


class _Item(msgspec.Struct):
    type: str | None = None
    content: Any = None
    summary: Any = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None

    def parts(self) -> list[_Part]:
        """Raises msgspec.ValidationError where they are not of the API's shape."""
        return msgspec.convert(self.content or [], list[_Part])


class _Error(msgspec.Struct):
    code: str | None = None


class _Incomplete(msgspec.Struct):
    reason: str | None = None


class _Response(msgspec.Struct):
    status: str | None = None
    model: str | None = None
    id: Any = None
    created_at: Any = None
    output: list[_Item] = []
    error: _Error | None = None
    incomplete_details: _Incomplete | None = None
    usage: _Usage | None = None


class _Whole(_Response, kw_only=True):
    """One that must say how it stands, and what it holds."""

    status: str
    output: list[_Item]


class _Event(msgspec.Struct):
    type: str
    response: _Response | None = None
    item: _Item | None = None
    output_index: int = 0
    delta: Any = None


class _Count(msgspec.Struct):
    input_tokens: int


_wholes = msgspec.json.Decoder(_Whole)
_events = msgspec.json.Decoder(_Event)
_counts = msgspec.json.Decoder(_Count)
_objects = msgspec.json.Decoder(dict[str, msgspec.Raw])
_items = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_any = msgspec.json.Decoder()


class ResponsesSpeech:
    """Implements ``Speech`` for responses."""

    def request(self, call: Call, target: Target) -> bytes:
        return asked_of(call, target)

    def answer(self, body: bytes, asked: str, *, typed: bool) -> Answer:
        try:
            response = _wholes.decode(body)
            data = with_model(body, response.model, asked)
            pieces = _pieces(response.output)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise ValueError("the answer is not a response") from None
        if _troubled(response):
            raise AnswerFailed("the vendor says that the response failed")
        if response.status not in ("completed", "incomplete", "failed"):
            raise ValueError("the answer is a response that is not there yet")
        return Answer(
            data=data,
            model=response.model,
            provider=None,
            usage=_usage(response.usage),
            reasons=(_reason(response),),
            text="".join(piece.text for piece in pieces if isinstance(piece, Delta)),
            pieces=tuple(pieces) if typed else (),
        )

    def error(self, body: bytes) -> VendorError:
        """The envelope is that of the vendor's other APIs."""
        return vendor_error(body)

    def reader(self, asked: str, *, typed: bool) -> ResponseReader:
        return ResponseReader(asked, typed=typed)


class InputTokensSpeech(ResponsesSpeech):
    """For the question how many tokens an input has."""

    def request(self, call: Call, target: Target) -> bytes:
        return counted_by(call, target)

    def answer(self, body: bytes, asked: str, *, typed: bool) -> Answer:
        try:
            tokens = _counts.decode(body).input_tokens
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise ValueError("the answer is not a count") from None
        return Answer(body, None, None, Usage(tokens, 0), (), "")


class ResponseReader(LikenessReader):
    """Reads the events of a stream for an app that asked for ``asked``. What an item begins with is
    held back as what closes one is, until something is in it.
    """

    terminator = b""
    """There is none but the event that says how the response ended, which nobody can make up."""

    def __init__(self, asked: str, *, typed: bool) -> None:
        super().__init__()
        self._asked = asked
        self._typed = typed
        self._calls: dict[int, int] = {}

    def _read(self, payload: bytes) -> Chunk:
        try:
            return self._told(_events.decode(payload), payload)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return Chunk(malformed=True)

    def _told(self, event: _Event, payload: bytes) -> Chunk:
        kind = event.type.removeprefix("response.")
        match kind:
            case "created" | "queued" | "in_progress" if event.response is not None:
                return self._opened(event, event.response, payload)
            case "completed" | "incomplete" | "failed" if event.response is not None:
                return self._ended(event, event.response, payload)
            case "error":
                return Chunk(error=True)
            case "output_item.added" if event.item is not None:
                return self._entered(event, event.item, payload)
            case "output_text.delta" if isinstance(event.delta, str):
                said = (Delta(event.delta),) if self._typed and event.delta else ()
                return _chunk(event, payload, text=event.delta, content=True, pieces=said)
            case "reasoning_text.delta" | "reasoning_summary_text.delta":
                thought = event.delta if self._typed and isinstance(event.delta, str) else ""
                pieces = (Reasoned(thought),) if thought else ()
                return _chunk(event, payload, content=True, pieces=pieces)
            case "refusal.delta" | "function_call_arguments.delta":
                return _chunk(
                    event, payload, content=True, binding=True, pieces=self._more(event, kind)
                )
            case _ if kind in _OF_AN_ITEM:
                return _chunk(event, payload, closing=True)
            case _ if kind == event.type:
                # None of this API's: ``keepalive`` and what may join it.
                return _chunk(event, payload)
            case "created" | "completed" | "incomplete" | "failed":
                return Chunk(malformed=True)
            case _:
                return _chunk(event, payload, content=True, binding=True)

    def _opened(self, event: _Event, response: _Response, payload: bytes) -> Chunk:
        return _chunk(
            event,
            _with_response(payload, response.model, self._asked),
            choices=(0,),
            model=response.model,
            id=response.id if isinstance(response.id, str) else None,
            created=int(response.created_at) if _is_time(response.created_at) else None,
        )

    def _ended(self, event: _Event, response: _Response, payload: bytes) -> Chunk:
        if _troubled(response):
            return Chunk(error=True)
        return _chunk(
            event,
            _with_response(payload, response.model, self._asked),
            choices=(0,),
            content=True,
            closing=True,
            usage=_usage(response.usage),
            reason=(0, _reason(response)),
            model=response.model,
            done=True,
        )

    def _entered(self, event: _Event, item: _Item, payload: bytes) -> Chunk:
        self._anew()
        binding = item.type not in ("message", "reasoning")
        pieces: tuple[Piece, ...] = ()
        if self._typed and item.type == "function_call":
            number = self._calls.setdefault(event.output_index, len(self._calls))
            pieces = (Called(number, "", item.call_id, item.name),)
        return _chunk(
            event, payload, content=binding, binding=binding, closing=not binding, pieces=pieces
        )

    def _more(self, event: _Event, kind: str) -> tuple[Piece, ...]:
        """The piece of a call or of a refusal."""
        if not self._typed or not isinstance(event.delta, str) or not event.delta:
            return ()
        if kind == "refusal.delta":
            return (Delta(event.delta),)
        number = self._calls.get(event.output_index)
        return () if number is None else (Called(number, event.delta),)


_OF_AN_ITEM = frozenset(
    {
        *("content_part.added", "content_part.done", "output_text.done", "refusal.done"),
        *("reasoning_summary_part.added", "reasoning_summary_part.done"),
        *("reasoning_summary_text.done", "reasoning_text.done"),
        *("function_call_arguments.done", "output_item.done"),
    }
)
"""Events that open or close what holds text, and hold none that was not told before."""


def _chunk(event: _Event, payload: bytes, **told: Any) -> Chunk:
    unspoken = event.delta if isinstance(event.delta, str) and "text" not in told else ""
    return Chunk(data=sse.event(payload, event.type), unspoken=unspoken, **told)


def _with_response(payload: bytes, model: str | None, asked: str) -> bytes:
    members = _objects.decode(payload)
    members["response"] = msgspec.Raw(with_model(bytes(members["response"]), model, asked))
    return msgspec.json.encode(members)


def _pieces(items: list[_Item]) -> list[Piece]:
    """What whole items say. Raises msgspec.ValidationError for those that are not of the API's
    shape.
    """
    pieces: list[Piece] = []
    calls = 0
    for item in items:
        match item.type:
            case "message":
                said = (part.text or part.refusal for part in item.parts())
                pieces += [Delta(text) for text in said if text]
            case "reasoning":
                summary = msgspec.convert(item.summary or [], list[_Part])
                pieces += [Reasoned(part.text) for part in summary + item.parts() if part.text]
            case "function_call":
                pieces.append(Called(calls, item.arguments or "", item.call_id, item.name))
                calls += 1
    return pieces


def _troubled(response: _Response) -> bool:
    """Whether it failed in a way in which another target need not. What the vendor has against the
    request itself is its verdict, and the app's to read.
    """
    if response.status in ("cancelled",):
        return True
    if response.status != "failed":
        return False
    return response.error is None or response.error.code is None or response.error.code in _TROUBLE


def _reason(response: _Response) -> FinishReason:
    if response.status == "failed":
        return FinishReason.CONTENT_FILTER
    if response.status == "incomplete":
        why = response.incomplete_details.reason if response.incomplete_details else None
        return FinishReason.CONTENT_FILTER if why == "content_filter" else FinishReason.LENGTH
    called = any(item.type in _CALLS for item in response.output)
    return FinishReason.TOOL_CALLS if called else FinishReason.STOP


def _usage(usage: _Usage | None) -> Usage | None:
    if usage is None:
        return None
    given = usage.input_tokens_details or _InputDetails()
    told = usage.output_tokens_details or _OutputDetails()
    return Usage(
        prompt=usage.input_tokens or 0,
        completion=usage.output_tokens or 0,
        cached=given.cached_tokens or 0,
        reasoning=told.reasoning_tokens or 0,
        stored=given.cache_write_tokens or 0,
    )


def _is_time(value: object) -> bool:
    return isinstance(value, int | float)
