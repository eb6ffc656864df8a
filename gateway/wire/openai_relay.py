"""Chat completions that pass between an app and a vendor of the same dialect, byte for byte but for
the model's name. Only what the gateway must know is decoded.

The name is replaced in place where that is provably safe: in valid JSON whose only occurrence of
the key's pattern is one match, and in which no escape could spell the key another way, that match
is the top-level member. Anything else is decoded one level deep and written anew, which also
collapses duplicate keys, and drops those that differ from ``model`` in case only (some decoders,
Go's among them, take them for it), so that a vendor cannot read another model than policy judged.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import msgspec

from gateway.domain.events import FinishReason, Usage

_MODEL = re.compile(rb'"model"[ \t\r\n]*:[ \t\r\n]*"((?:[^"\\]|\\.)*)"', re.DOTALL)
_KEY = re.compile(rb'"model"[ \t\r\n]*:', re.IGNORECASE)
_ESCAPED_ASCII = re.compile(rb"\\u00[0-7]")
_REASONS = {reason.value: reason for reason in FinishReason} | {
    "function_call": FinishReason.TOOL_CALLS
}


class _Details(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Details | None = None


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
        """Whether there is anything of the answer in it, reasoning that an app shows included."""
        return bool(
            self.content
            or self.tool_calls
            or self.refusal
            or self.reasoning_content
            or self.reasoning
            or self.function_call
            or self.audio
        )


class _Choice(msgspec.Struct):
    message: _Content
    finish_reason: str | None = None


class _Answer(msgspec.Struct):
    choices: list[_Choice]
    model: str | None = None
    usage: _Usage | None = None
    provider: Any = None


class _StreamChoice(msgspec.Struct):
    delta: _Content | None = None
    finish_reason: str | None = None


class _Chunk(msgspec.Struct):
    choices: list[_StreamChoice] | None = None
    model: str | None = None
    usage: _Usage | None = None
    error: Any = None
    provider: Any = None


class _ErrorBody(msgspec.Struct):
    message: Any = None
    type: Any = None
    code: Any = None
    param: Any = None


class _ErrorEnvelope(msgspec.Struct):
    error: _ErrorBody | str | None = None


_answers = msgspec.json.Decoder(_Answer)
_chunks = msgspec.json.Decoder(_Chunk)
_errors = msgspec.json.Decoder(_ErrorEnvelope)
_objects = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer: ``data`` is what the app gets, ``model`` what the vendor says it is,
    ``provider`` to whom a router says that it went.
    """

    data: bytes
    model: str | None
    provider: str | None
    usage: Usage | None
    finish_reason: FinishReason | None
    text: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """One event of a stream. ``data`` are the bytes to relay, empty for an error or what is
    malformed; ``choice`` says whether it is about an answer at all, ``content`` whether it holds
    anything of it beyond its opening.
    """

    data: bytes = b""
    text: int = 0
    choice: bool = False
    content: bool = False
    usage: Usage | None = None
    finish_reason: FinishReason | None = None
    model: str | None = None
    provider: str | None = None
    done: bool = False
    error: bool = False
    malformed: bool = False


@dataclass(frozen=True, slots=True)
class VendorError:
    """A vendor's error envelope, as far as it has one."""

    message: str | None = None
    type: str | None = None
    code: str | None = None
    param: str | None = None


def request_body(body: bytes, asked: str, model: str) -> bytes:
    """The body to send for ``model`` where the app asked for ``asked``; ``body`` itself where
    nothing changes. Raises ``ValueError`` for what is no JSON object.
    """
    return _with_model(body, asked, model)


def read_answer(body: bytes, asked: str) -> Answer:
    """Read and rewrite a whole answer. Raises ``ValueError`` where it is not the API's shape."""
    try:
        answer = _answers.decode(body)
        if not answer.choices:
            raise ValueError("the answer has no choice")
        data = _with_model(body, answer.model, asked)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise ValueError("the answer is not a chat completion") from None
    return Answer(
        data=data,
        model=answer.model,
        provider=_provider(answer.provider, answer.choices[0].message),
        usage=_usage(answer.usage),
        finish_reason=_REASONS.get(answer.choices[0].finish_reason or ""),
        text=sum(len(choice.message.content or "") for choice in answer.choices),
    )


def read_error(body: bytes) -> VendorError:
    """A vendor's error envelope; an empty one where the body is something else."""
    try:
        error = _errors.decode(body).error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return VendorError()
    if isinstance(error, str):
        return VendorError(message=error)
    if error is None:
        return VendorError()
    return VendorError(
        message=_text(error.message),
        type=_text(error.type),
        code=_text(error.code),
        param=_text(error.param),
    )


class StreamReader:
    """Reads the events of a stream for an app that asked for ``asked``."""

    def __init__(self, asked: str) -> None:
        self._asked = asked

    def read(self, payload: bytes) -> Chunk:
        """Read the data of one event."""
        if payload.strip() == b"[DONE]":
            return Chunk(b"data: [DONE]\n\n", done=True)
        try:
            chunk = _chunks.decode(payload)
            if chunk.error is not None:
                return Chunk(error=True)
            if chunk.choices is None:
                return Chunk(malformed=True)
            data = _with_model(payload, chunk.model, self._asked)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return Chunk(malformed=True)
        if b"\n" in data or b"\r" in data:
            # Within valid JSON a line's end can only stand between tokens.
            data = data.replace(b"\n", b" ").replace(b"\r", b" ")
        text, content, reason = 0, False, None
        provider = _provider(chunk.provider)
        for choice in chunk.choices:
            delta = choice.delta
            if delta is not None:
                text += len(delta.content or "")
                content = content or delta.says()
                provider = provider or _provider(None, delta)
            if choice.finish_reason is not None:
                content = True
                reason = _REASONS.get(choice.finish_reason)
        return Chunk(
            data=b"data: %b\n\n" % data,
            text=text,
            choice=bool(chunk.choices),
            content=content,
            usage=_usage(chunk.usage),
            finish_reason=reason,
            model=chunk.model,
            provider=provider,
        )


def _with_model(body: bytes, present: str | None, wanted: str) -> bytes:
    """``body`` with its top-level model, which is ``present``, made ``wanted``."""
    if present is not None and len(_KEY.findall(body)) == 1 and not _ESCAPED_ASCII.search(body):
        match = _MODEL.search(body)
        if match is not None and match[1] == present.encode():
            if present == wanted:
                return body
            start, end = match.span(1)
            return b"".join((body[:start], msgspec.json.encode(wanted)[1:-1], body[end:]))
    members = {
        name: value
        for name, value in _objects.decode(body).items()
        if name == "model" or name.lower() != "model"
    }
    members["model"] = msgspec.Raw(msgspec.json.encode(wanted))
    return msgspec.json.encode(members)


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


def _usage(usage: _Usage | None) -> Usage | None:
    if usage is None:
        return None
    details = usage.prompt_tokens_details
    cached = details.cached_tokens if details is not None else None
    return Usage(usage.prompt_tokens or 0, usage.completion_tokens or 0, cached or 0)


def _text(value: object) -> str | None:
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) else None
