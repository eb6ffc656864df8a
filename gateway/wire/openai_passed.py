"""Requests and answers of the OpenAI dialect that are passed on as they are, but for the model's
name: moderations, audio, images, rerank. Of an answer only what the gateway must know is decoded.

Sources: as in ``openai_passing``; for events of a stream OpenAI's API reference, "Create speech",
"Create transcription", "Create image", and vLLM's server, whose transcriptions come in chunks.
"""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.domain.call import Api, Call, Passing
from gateway.domain.events import FinishReason, Usage
from gateway.domain.target import Target
from gateway.wire import sse
from gateway.wire.model_name import with_model
from gateway.wire.openai_told import text_only, vendor_error
from gateway.wire.relay import Answer, Chunk, VendorError

_LAST = (".done", ".completed")
"""How the types of events end behind which no more need come."""
_FIELD = b'Content-Disposition: form-data; name="model"\r\n\r\n'


class _Usage(msgspec.Struct):
    """Of the newer APIs, of the older ones, and of those that tell a total only."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None


class _Answer(msgspec.Struct):
    model: Any = None
    usage: Any = None
    results: Any = None
    data: Any = None
    text: Any = None
    provider: Any = None


class _Event(msgspec.Struct):
    type: str | None = None
    model: Any = None
    error: Any = None
    usage: Any = None
    provider: Any = None


_answers = msgspec.json.Decoder(_Answer)
_events = msgspec.json.Decoder(_Event)


class PassingSpeech:
    """Implements ``Speech`` for one API."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def request(self, call: Call, target: Target) -> bytes:
        task = call.task
        if not isinstance(task, Passing):
            raise TypeError(f"{call.api} is no request that is passed on")
        if task.boundary is not None:
            return _with_field(call.body, task, target.model)
        return with_model(call.body, call.model, target.model)

    def answer(self, body: bytes, asked: str, *, typed: bool) -> Answer:
        try:
            answer = _answers.decode(body)
            if not self._whole(answer):
                raise ValueError(f"the answer is none of /{self._api}")
            model = text_only(answer.model)
            data = body if model is None else with_model(body, model, asked)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise ValueError(f"the answer is none of /{self._api}") from None
        return Answer(
            data=data,
            model=model,
            provider=text_only(answer.provider),
            usage=_usage(answer.usage),
            reasons=(FinishReason.STOP,),
            text="",
        )

    def error(self, body: bytes) -> VendorError:
        return vendor_error(body)

    def reader(self, asked: str, *, typed: bool) -> PassingReader:
        return PassingReader(asked)

    def _whole(self, answer: _Answer) -> bool:
        """Whether it has what the app asked for."""
        match self._api:
            case Api.MODERATIONS:
                return isinstance(answer.results, list)
            case Api.RERANK:
                return isinstance(answer.results, list) or isinstance(answer.data, list)
            case Api.TRANSCRIPTIONS | Api.TRANSLATIONS:
                return isinstance(answer.text, str)
            case _:
                return isinstance(answer.data, list)


class PassingReader:
    """Reads the events of a stream for an app that asked for ``asked``. What ends such a stream is
    the end of its body, behind an event that says so. Where several images are made, each is a
    choice: one that has begun must come to its end.
    """

    terminator = b""
    likeness = None

    def __init__(self, asked: str) -> None:
        self._asked = asked
        self._complete = 0

    def read(self, payload: bytes) -> Chunk:
        if payload.strip() == b"[DONE]":
            return Chunk(b"data: [DONE]\n\n", closing=True, done=True)
        try:
            event = _events.decode(payload)
            kind, model = event.type or "", text_only(event.model)
            if event.error is not None or kind == "error":
                return Chunk(error=True)
            if model is not None:
                payload = with_model(payload, model, self._asked)
            data = sse.event(payload, kind)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return Chunk(malformed=True)
        last, choice = kind.endswith(_LAST), self._complete
        self._complete += last
        return Chunk(
            data=data,
            choices=(choice,),
            content=True,
            binding=True,
            # An image that is complete is itself the answer.
            closing=last and not kind.startswith("image"),
            usage=_usage(event.usage),
            reason=(choice, FinishReason.STOP) if last else None,
            model=model,
            provider=text_only(event.provider),
        )


def _with_field(body: bytes, task: Passing, model: str) -> bytes:
    """A form whose model is ``model``, put together once."""
    start, end = task.place
    field = _FIELD + model.encode()
    if start == end:
        field += b"\r\n--%b\r\n" % (task.boundary or "").encode("ascii")
    whole = memoryview(body)
    return b"".join((whole[:start], field, whole[end:]))


def _usage(given: object) -> Usage | None:
    """Not all APIs count in tokens."""
    try:
        usage = msgspec.convert(given, _Usage | None)
    except msgspec.ValidationError:
        return None
    if usage is None:
        return None
    counts = (usage.input_tokens, usage.prompt_tokens, usage.total_tokens)
    prompt = next((count for count in counts if count is not None), None)
    if prompt is None:
        return None
    return Usage(prompt, usage.output_tokens or usage.completion_tokens or 0)
