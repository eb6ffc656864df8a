"""Chat completions that pass between an app and a vendor of the same dialect, byte for byte but for
the model's name. Only what the gateway must know is decoded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import msgspec

from gateway.domain.call import Api, Begun, Call, Chat
from gateway.domain.events import Called, Delta, Likely, Piece, Reasoned, Scored
from gateway.domain.identity import Locality
from gateway.domain.target import Target
from gateway.wire.model_name import model_parts, with_model
from gateway.wire.openai_request import PREFIXED, written
from gateway.wire.openai_told import (
    ChunkReader,
    WrittenChunk,
    WrittenUsage,
    reason_of,
    text_only,
    usage_of,
    vendor_error,
)
from gateway.wire.relay import Answer, Chunk, VendorError
from gateway.wire.sent import Sent
from gateway.wire.sse import event

_NULL = msgspec.Raw(b"null")


class _Content(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None
    tool_calls: Any = None
    function_call: Any = None
    audio: Any = None
    reasoning: Any = None
    reasoning_content: Any = None
    provider_metadata: Any = None

    def says(self) -> bool:
        """Whether there is any text in it, reasoning that an app shows included."""
        return bool(self.content or self.reasoning_content or self.reasoning)

    def thought(self) -> str:
        thought = self.reasoning_content or self.reasoning
        return thought if isinstance(thought, str) else ""

    def binds(self) -> bool:
        """Whether there is anything in it that no other target could go on from."""
        return bool(self.tool_calls or self.function_call or self.refusal or self.audio)


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _Call(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


_Byte = Annotated[int, msgspec.Meta(ge=0, le=255)]


class _Likely(msgspec.Struct):
    token: str
    logprob: float
    bytes: tuple[_Byte, ...] | None = None


class _Token(_Likely):
    top_logprobs: list[_Likely] | None = None


class _Scores(msgspec.Struct):
    content: list[_Token] | None = None


class _Choice(msgspec.Struct):
    message: _Content
    finish_reason: str | None = None
    logprobs: msgspec.Raw = _NULL
    stop_reason: Any = None
    """The stop string, as vLLM's server tells it."""


class _Answer(msgspec.Struct):
    choices: list[_Choice]
    model: str | None = None
    usage: WrittenUsage | None = None
    provider: Any = None


class _StreamChoice(msgspec.Struct):
    index: int = 0
    delta: _Content | None = None
    finish_reason: str | None = None
    logprobs: msgspec.Raw = _NULL
    stop_reason: Any = None


class _Chunk(WrittenChunk, kw_only=True):
    choices: list[_StreamChoice] | None = None


_answers = msgspec.json.Decoder(_Answer)
_chunks = msgspec.json.Decoder(_Chunk)
_scores = msgspec.json.Decoder(_Scores | None)
_objects = msgspec.json.Decoder(dict[str, msgspec.Raw])
_messages = msgspec.json.Decoder(list[msgspec.Raw])
_TRUE, _FALSE = msgspec.Raw(b"true"), msgspec.Raw(b"false")
_FIRST = (0,)
_CHAT = Api.CHAT


class OpenAISpeech:
    """Implements ``Speech`` for chat completions."""

    def request(self, call: Call, target: Target) -> Sent:
        if call.api is not _CHAT:
            return written(call, target)
        if call.begun is not None and isinstance(call.task, Chat):
            body = with_model(call.body, call.model, target.model)
            return _going_on(body, call.task, call.begun, target)
        parts = model_parts(call.body, call.model, target.model) if call.alone else None
        return parts or with_model(call.body, call.model, target.model)

    def answer(self, body: bytes, asked: str, *, typed: bool) -> Answer:
        return _answer(body, asked, typed)

    def error(self, body: bytes) -> VendorError:
        return vendor_error(body)

    def reader(self, asked: str, *, typed: bool) -> ChatReader:
        return ChatReader(asked, typed=typed)


def _going_on(body: bytes, chat: Chat, begun: Begun, target: Target) -> bytes:
    """The request for the rest of an answer: what there is of it stands as the assistant's turn.
    How a server is told to go on with that, rather than to answer it, is as in vLLM's server and in
    the APIs of Mistral and DeepSeek; others do so by themselves, or begin a turn of their own.
    """
    members = _objects.decode(body)
    messages = _messages.decode(members["messages"])
    turn: dict[str, Any] = {"role": "assistant", "content": chat.prefill}
    if target.identity.channel in PREFIXED:
        turn["prefix"] = True
    if chat.prefill != begun.text:
        # The app itself gave the turn's beginning, as its last message.
        messages.pop()
    if chat.prefill:
        messages.append(msgspec.Raw(msgspec.json.encode(turn)))
        members["messages"] = msgspec.Raw(msgspec.json.encode(messages))
        if target.locality is Locality.SOVEREIGN:
            members["continue_final_message"] = _TRUE
            members["add_generation_prompt"] = _FALSE
    # Without it the answer's usage could not be told as a whole.
    members["stream_options"] = msgspec.Raw(b'{"include_usage":true}')
    for name in ("max_tokens", "max_completion_tokens"):
        if chat.max_tokens is not None and name in members:
            members[name] = msgspec.Raw(b"%d" % chat.max_tokens)
    return msgspec.json.encode(members)


def _answer(body: bytes, asked: str, typed: bool) -> Answer:
    try:
        answer = _answers.decode(body)
        if not answer.choices:
            raise ValueError("the answer has no choice")
        data = with_model(body, answer.model, asked)
        pieces = tuple(_said(answer.choices)) if typed else ()
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise ValueError("the answer is not a chat completion") from None
    return Answer(
        data=data,
        model=answer.model,
        provider=_provider(answer.provider, answer.choices[0].message),
        usage=usage_of(answer.usage),
        reasons=tuple([reason_of(choice.finish_reason) for choice in answer.choices]),
        text="".join([choice.message.content or "" for choice in answer.choices]),
        pieces=pieces,
        stop=text_only(answer.choices[0].stop_reason),
    )


def _said(choices: Sequence[_Choice]) -> Iterator[Piece]:
    for number, choice in enumerate(choices):
        yield from _pieces(number, choice.message, choice.logprobs)


class ChatReader(ChunkReader[_Chunk]):
    """For chat completions."""

    _chunks = _chunks

    def _told(self, chunk: _Chunk, data: bytes) -> Chunk:
        choices = chunk.choices or ()
        numbers = _FIRST if len(choices) == 1 and not choices[0].index else _numbers(choices)
        text, thought, says, binding, reason, stop = "", "", False, False, None, None
        provider = _provider(chunk.provider)
        pieces: tuple[Piece, ...] = ()
        for choice in choices:
            delta = choice.delta
            if delta is not None:
                text += delta.content or ""
                binding = binding or delta.binds()
                says = says or delta.says()
                thought = thought or delta.thought()
                provider = provider or _provider(None, delta)
                if self._typed:
                    pieces += tuple(_pieces(choice.index, delta, choice.logprobs))
            if choice.finish_reason is not None:
                reason = (choice.index, reason_of(choice.finish_reason))
                stop = text_only(choice.stop_reason)
        return Chunk(
            data=event(data),
            text=text,
            unspoken="" if text else thought,
            pieces=pieces,
            choices=numbers,
            content=says or binding or reason is not None,
            binding=binding,
            # The chunk with the finish, or with the usage behind it: nothing of the answer itself.
            closing=not (says or binding) and (reason is not None or not choices),
            usage=usage_of(chunk.usage),
            reason=reason,
            stop=stop,
            model=chunk.model,
            provider=provider,
            id=text_only(chunk.id),
            created=chunk.created if isinstance(chunk.created, int) else None,
        )


def _numbers(choices: Sequence[_StreamChoice]) -> tuple[int, ...]:
    return tuple([choice.index for choice in choices])


def _pieces(choice: int, content: _Content, logprobs: msgspec.Raw) -> Iterator[Piece]:
    """What a message, or a part of one, says. Raises msgspec.ValidationError for calls and scores
    that are not of the API's shape.
    """
    if thought := content.thought():
        yield Reasoned(thought, choice)
    said = content.content or content.refusal
    if said:
        yield Delta(said, choice, tuple(_scored(logprobs)))
    calls = msgspec.convert(content.tool_calls or [], list[_Call])
    for place, call in enumerate(calls):
        function = call.function or _Function()
        index = place if call.index is None else call.index
        yield Called(index, function.arguments or "", call.id, function.name, choice)
    if content.function_call is not None:
        older = msgspec.convert(content.function_call, _Function)
        yield Called(0, older.arguments or "", None, older.name, choice)


def _scored(logprobs: msgspec.Raw) -> Iterator[Scored]:
    scores = _scores.decode(logprobs)
    for one in (scores and scores.content) or ():
        top = tuple(Likely(_raw(likely), likely.logprob) for likely in one.top_logprobs or ())
        yield Scored(_raw(one), one.logprob, top)


def _raw(one: _Likely) -> bytes:
    return one.token.encode() if one.bytes is None else bytes(one.bytes)


def _provider(top: object, content: _Content | None = None) -> str | None:
    """To whom a router says that it went: OpenRouter at the top of an answer, Vercel in
    ``provider_metadata.gateway.routing`` of what it answers.
    """
    if isinstance(top, str):
        return top
    found: object = content.provider_metadata if content is not None else None
    for name in ("gateway", "routing", "finalProvider"):
        if not isinstance(found, dict):
            return None
        found = found.get(name)
    return found if isinstance(found, str) else None
