"""Plain completions that pass between an app and a vendor of the same API, byte for byte but for
the model's name. Only what the gateway must know is decoded.
"""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.domain.call import Call, Completion
from gateway.domain.events import Delta
from gateway.domain.target import Target
from gateway.wire.model_name import with_model
from gateway.wire.openai_told import (
    ChunkReader,
    WrittenChunk,
    reason_of,
    text_only,
    usage_of,
    vendor_error,
)
from gateway.wire.relay import Answer, Chunk, VendorError
from gateway.wire.sse import event


class _Choice(msgspec.Struct):
    text: str | None = None
    index: int = 0
    finish_reason: str | None = None
    stop_reason: Any = None
    """The stop string, as vLLM's server tells it."""


class _Body(WrittenChunk, kw_only=True):
    """An answer, or a chunk of one: in this API they have one shape."""

    choices: list[_Choice] | None = None


_bodies = msgspec.json.Decoder(_Body)
_objects = msgspec.json.Decoder(dict[str, msgspec.Raw])


class CompletionSpeech:
    """Implements ``Speech`` for plain completions."""

    def request(self, call: Call, target: Target) -> bytes:
        body = with_model(call.body, call.model, target.model)
        if call.begun is None or not isinstance(call.task, Completion):
            return body
        return _going_on(body, call.task)

    def answer(self, body: bytes, asked: str, *, typed: bool) -> Answer:
        try:
            answer = _bodies.decode(body)
            data = with_model(body, answer.model, asked)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise ValueError("the answer is not a completion") from None
        if not answer.choices:
            raise ValueError("the answer has no choice")
        texts = [choice.text or "" for choice in answer.choices]
        said = enumerate(texts if typed else ())
        return Answer(
            data=data,
            model=answer.model,
            provider=text_only(answer.provider),
            usage=usage_of(answer.usage),
            reasons=tuple(reason_of(choice.finish_reason) for choice in answer.choices),
            text="".join(texts),
            pieces=tuple(Delta(text, number) for number, text in said if text),
            stop=text_only(answer.choices[0].stop_reason),
        )

    def error(self, body: bytes) -> VendorError:
        return vendor_error(body)

    def reader(self, asked: str, *, typed: bool) -> CompletionReader:
        return CompletionReader(asked, typed=typed)


def _going_on(body: bytes, rest: Completion) -> bytes:
    """The request for the rest of an answer: what there is of it stands behind the prompt."""
    members = _objects.decode(body)
    members["prompt"] = msgspec.Raw(msgspec.json.encode(rest.prompts[0]))
    members["max_tokens"] = msgspec.Raw(msgspec.json.encode(rest.max_tokens))
    # Without it the answer's usage could not be told as a whole.
    members["stream_options"] = msgspec.Raw(b'{"include_usage":true}')
    return msgspec.json.encode(members)


class CompletionReader(ChunkReader[_Body]):
    """For plain completions."""

    _chunks = _bodies

    def _told(self, chunk: _Body, data: bytes) -> Chunk:
        choices = chunk.choices or []
        text, reason, stop = "", None, None
        for choice in choices:
            text += choice.text or ""
            if choice.finish_reason is not None:
                reason = (choice.index, reason_of(choice.finish_reason))
                stop = text_only(choice.stop_reason)
        said = choices if self._typed else ()
        return Chunk(
            data=event(data),
            text=text,
            pieces=tuple(Delta(one.text, one.index) for one in said if one.text),
            choices=tuple([choice.index for choice in choices]),
            content=bool(text) or reason is not None,
            # The chunk with the finish, or with the usage behind it: nothing of the answer itself.
            closing=not text and (reason is not None or not choices),
            usage=usage_of(chunk.usage),
            reason=reason,
            stop=stop,
            model=chunk.model,
            provider=text_only(chunk.provider),
            id=text_only(chunk.id),
            created=chunk.created if isinstance(chunk.created, int) else None,
        )
