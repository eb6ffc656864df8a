"""Messages that pass between an app and a vendor of the same dialect, byte for byte but for the
model's name. Only what the gateway must know is decoded.

Sources: the typed models of the official SDK, and the published pages on streaming and errors. New
kinds of events, blocks and deltas may come at any time: they are passed on, and what a block of an
unknown kind holds is taken for what no other target could go on from.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from gateway.domain.call import Begun, Call, Chat
from gateway.domain.events import Called, Delta, FinishReason, Piece, Reasoned, Usage
from gateway.domain.target import Target
from gateway.wire import sse
from gateway.wire.likeness import LikenessReader
from gateway.wire.model_name import model_parts, with_model
from gateway.wire.relay import Answer, Chunk, VendorError
from gateway.wire.sent import Sent

_REASONS = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "pause_turn": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    "refusal": FinishReason.CONTENT_FILTER,
}
_THOUGHTS = frozenset({"thinking", "redacted_thinking"})
_UNSIGNED = re.compile(rb'"signature"[ \t\r\n]*:[ \t\r\n]*""')
_CODES = (
    ("prompt is too long", "context_length_exceeded"),
    ("input length and `max_tokens` exceed context limit", "context_length_exceeded"),
    ("Your credit balance is too low", "account_suspended"),
    ("This organization has been disabled", "organization_deactivated"),
    ("Request not allowed", "unsupported_country"),
)
"""How messages begin in which this API says what others have codes for."""


class _OutputDetails(msgspec.Struct):
    thinking_tokens: int | None = None


class _Usage(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    output_tokens_details: _OutputDetails | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None


class _Block(msgspec.Struct):
    type: str
    text: str | None = None
    thinking: str | None = None
    id: Any = None
    name: Any = None
    input: msgspec.Raw = msgspec.Raw(b"{}")


class _Message(msgspec.Struct):
    content: list[_Block]
    model: str | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    usage: _Usage | None = None


class _Start(msgspec.Struct):
    model: str | None = None
    id: Any = None
    usage: _Usage | None = None


class _Delta(msgspec.Struct):
    type: str | None = None
    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None


class _Event(msgspec.Struct):
    type: str
    message: _Start | None = None
    index: int = 0
    content_block: _Block | None = None
    delta: _Delta | None = None
    usage: _Usage | None = None


class _ErrorBody(msgspec.Struct):
    type: Any = None
    message: Any = None


class _ErrorEnvelope(msgspec.Struct):
    error: _ErrorBody | None = None


class _Count(msgspec.Struct):
    input_tokens: int


_messages = msgspec.json.Decoder(_Message)
_events = msgspec.json.Decoder(_Event)
_errors = msgspec.json.Decoder(_ErrorEnvelope)
_counts = msgspec.json.Decoder(_Count)
_objects = msgspec.json.Decoder(dict[str, msgspec.Raw])
_turns = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_blocks = msgspec.json.Decoder(list[msgspec.Raw])
_thoughts = msgspec.json.Decoder(dict[str, Any])


class AnthropicSpeech:
    """Implements ``Speech`` for messages."""

    def request(self, call: Call, target: Target) -> Sent:
        if call.alone and call.begun is None:
            parts = model_parts(call.body, call.model, target.model)
            if parts is not None:
                return parts
        body = with_model(call.body, call.model, target.model)
        if _UNSIGNED.search(body):
            body = _without_unsigned(body)
        if call.begun is None or not isinstance(call.task, Chat):
            return body
        return _going_on(body, call.task, call.begun)

    def answer(self, body: bytes, asked: str, *, typed: bool) -> Answer:
        try:
            message = _messages.decode(body)
            data = with_model(body, message.model, asked)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise ValueError("the answer is not a message") from None
        return Answer(
            data=data,
            model=message.model,
            provider=None,
            usage=_usage(message.usage),
            reasons=(_reason(message.stop_reason),),
            text="".join(block.text or "" for block in message.content),
            pieces=tuple(_pieces(message.content)) if typed else (),
            stop=message.stop_sequence,
        )

    def error(self, body: bytes) -> VendorError:
        try:
            error = _errors.decode(body).error or _ErrorBody()
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return VendorError()
        message = error.message if isinstance(error.message, str) else None
        kind = error.type if isinstance(error.type, str) else None
        code = next((code for begin, code in _CODES if (message or "").startswith(begin)), None)
        return VendorError(message, kind, code)

    def reader(self, asked: str, *, typed: bool) -> MessageReader:
        return MessageReader(asked, typed=typed)


class CountSpeech(AnthropicSpeech):
    """For the question how many tokens a request has."""

    def answer(self, body: bytes, asked: str, *, typed: bool) -> Answer:
        try:
            tokens = _counts.decode(body).input_tokens
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise ValueError("the answer is not a count") from None
        return Answer(body, None, None, Usage(tokens, 0), (), "")


def _without_unsigned(body: bytes) -> bytes:
    """Without the thinking of other targets: it has no signature, and a turn that holds it would be
    refused.
    """
    members = _objects.decode(body)
    turns = []
    for turn in _turns.decode(members.get("messages", b"[]")):
        content = bytes(turn.get("content", b""))
        if _UNSIGNED.search(content) and content.startswith(b"["):
            kept = [block for block in _blocks.decode(content) if not _unsigned(block)]
            if not kept:
                continue
            turn["content"] = msgspec.Raw(msgspec.json.encode(kept))
        turns.append(turn)
    members["messages"] = msgspec.Raw(msgspec.json.encode(turns))
    return msgspec.json.encode(members)


def _unsigned(block: msgspec.Raw) -> bool:
    found = _thoughts.decode(block)
    return found.get("type") == "thinking" and not found.get("signature")


def _going_on(body: bytes, chat: Chat, begun: Begun) -> bytes:
    """The request for the rest of an answer: what there is of it stands as the assistant's turn,
    which this API goes on with. It takes no such turn that ends in blanks, nor beside thinking.
    """
    members = _objects.decode(body)
    turns = _turns.decode(members["messages"])
    if chat.prefill != begun.text:
        # The app itself gave the turn's beginning, as its last message.
        turns.pop()
    text = chat.prefill.rstrip()
    if text:
        turn = {"role": "assistant", "content": text}
        turns.append({name: msgspec.Raw(msgspec.json.encode(turn[name])) for name in turn})
        members.pop("thinking", None)
    members["messages"] = msgspec.Raw(msgspec.json.encode(turns))
    members["max_tokens"] = msgspec.Raw(b"%d" % (chat.max_tokens or 1))
    return msgspec.json.encode(members)


class MessageReader(LikenessReader):
    """Reads the events of a stream for an app that asked for ``asked``. What a block begins with is
    held back as what closes one is, until something is in it: where the stream breaks off between
    two blocks, the app still has the first one open.
    """

    terminator = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'

    def __init__(self, asked: str, *, typed: bool) -> None:
        super().__init__()
        self._asked = asked
        self._typed = typed
        self._usage = _Usage()
        self._kinds: dict[int, str] = {}
        self._calls: dict[int, int] = {}
        self._block: int | None = None
        self._between = False

    def _read(self, payload: bytes) -> Chunk:
        try:
            event = _events.decode(payload)
            if event.type == "error":
                return Chunk(error=True)
            return self._told(event, payload)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return Chunk(malformed=True)

    def _told(self, event: _Event, payload: bytes) -> Chunk:
        match event:
            case _Event(type="message_start", message=_Start() as message):
                self._count(message.usage)
                data = _with_message(payload, message.model, self._asked)
                id = message.id if isinstance(message.id, str) else None
                return self._chunk(event, data, choices=(0,), model=message.model, id=id)
            case _Event(type="content_block_start", content_block=_Block() as block):
                return self._entered(event, block, payload)
            case _Event(type="content_block_delta", delta=_Delta() as delta):
                return self._added(event, delta, payload)
            case _Event(type="content_block_stop"):
                self._anew()
                self._between = True
                return self._chunk(event, payload, closing=True)
            case _Event(type="message_delta", delta=_Delta() as delta):
                self._count(event.usage)
                return self._chunk(
                    event,
                    payload,
                    content=delta.stop_reason is not None,
                    closing=True,
                    reason=delta.stop_reason and (0, _reason(delta.stop_reason)),
                    usage=_usage(self._usage),
                    stop=delta.stop_sequence,
                )
            case _Event(type="message_stop"):
                return self._chunk(event, payload, closing=True, done=True)
            case _Event(type="message_start" | "content_block_start" | "content_block_delta"):
                return Chunk(malformed=True)
            case _:
                return self._chunk(event, payload, closing=self._between)

    def _entered(self, event: _Event, block: _Block, payload: bytes) -> Chunk:
        self._anew()
        self._block = event.index
        self._kinds[event.index] = block.type
        binding = block.type != "text" and block.type not in _THOUGHTS
        text = (block.text or "") if block.type == "text" else ""
        says = bool(text or block.thinking or binding or block.type == "redacted_thinking")
        self._between = not says
        pieces: tuple[Piece, ...] = ()
        if self._typed and block.type == "tool_use":
            self._calls[event.index] = len(self._calls)
            pieces = (Called(self._calls[event.index], "", block.id, block.name),)
        elif self._typed:
            pieces = tuple(_pieces([block]))
        return self._chunk(
            event,
            payload,
            text=text,
            content=says,
            binding=binding,
            closing=not says,
            pieces=pieces,
        )

    def _added(self, event: _Event, delta: _Delta, payload: bytes) -> Chunk:
        self._between = False
        kind = self._kinds.get(event.index)
        text = (delta.text or "") if kind == "text" else ""
        return self._chunk(
            event,
            payload,
            text=text,
            unspoken="" if text else delta.text or delta.thinking or delta.partial_json or "",
            content=True,
            binding=kind != "text" and kind not in _THOUGHTS,
            pieces=tuple(self._delta(event.index, text, delta)) if self._typed else (),
        )

    def _delta(self, index: int, text: str, delta: _Delta) -> Iterator[Piece]:
        if text:
            yield Delta(text)
        if delta.thinking:
            yield Reasoned(delta.thinking)
        if delta.partial_json and index in self._calls:
            yield Called(self._calls[index], delta.partial_json)

    def _chunk(self, event: _Event, payload: bytes, **told: Any) -> Chunk:
        return Chunk(data=sse.event(payload, event.type), block=self._block, **told)

    def _count(self, usage: _Usage | None) -> None:
        """Counts are totals, and those that are left out stay what they were."""
        for name in _Usage.__struct_fields__ if usage is not None else ():
            if (value := getattr(usage, name)) is not None:
                setattr(self._usage, name, value)


def _with_message(payload: bytes, model: str | None, asked: str) -> bytes:
    members = _objects.decode(payload)
    members["message"] = msgspec.Raw(with_model(bytes(members["message"]), model, asked))
    return msgspec.json.encode(members)


def _pieces(blocks: list[_Block]) -> Iterator[Piece]:
    """What whole blocks say."""
    calls = 0
    for block in blocks:
        match block.type:
            case "text" if block.text:
                yield Delta(block.text)
            case "thinking" if block.thinking:
                yield Reasoned(block.thinking)
            case "tool_use":
                yield Called(calls, bytes(block.input).decode(), block.id, block.name)
                calls += 1


def _reason(word: str | None) -> FinishReason:
    return _REASONS.get(word or "", FinishReason.STOP)


def _usage(usage: _Usage | None) -> Usage | None:
    """All tokens of the prompt, whether they were read from a cache or not."""
    if usage is None:
        return None
    cached = usage.cache_read_input_tokens or 0
    stored = usage.cache_creation_input_tokens or 0
    details = usage.output_tokens_details or _OutputDetails()
    return Usage(
        prompt=(usage.input_tokens or 0) + stored + cached,
        completion=usage.output_tokens or 0,
        cached=cached,
        reasoning=details.thinking_tokens or 0,
        stored=stored,
    )
