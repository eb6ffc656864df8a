"""What the answers of the OpenAI dialect's APIs tell alike: what was used, why text ended, what
went wrong, and how the events of a stream are read.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec

from gateway.domain.events import FinishReason, Usage
from gateway.wire.likeness import LikenessReader
from gateway.wire.model_name import with_model
from gateway.wire.relay import Chunk, VendorError

_STOP = FinishReason.STOP
_REASONS = {reason.value: reason for reason in FinishReason} | {
    "function_call": FinishReason.TOOL_CALLS
}


class _PromptDetails(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _CompletionDetails(msgspec.Struct):
    reasoning_tokens: int | None = None


class WrittenUsage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None


class WrittenChunk(msgspec.Struct, kw_only=True):
    """A chunk of a stream, but for what makes its choices."""

    choices: list[Any] | None = None
    model: str | None = None
    usage: WrittenUsage | None = None
    error: Any = None
    provider: Any = None
    id: Any = None
    created: Any = None


class _ErrorBody(msgspec.Struct):
    message: Any = None
    type: Any = None
    code: Any = None
    param: Any = None


class _ErrorEnvelope(msgspec.Struct):
    error: _ErrorBody | str | None = None


_errors = msgspec.json.Decoder(_ErrorEnvelope)
_NO_PROMPT_DETAILS, _NO_COMPLETION_DETAILS = _PromptDetails(), _CompletionDetails()


def usage_of(usage: WrittenUsage | None) -> Usage | None:
    if usage is None:
        return None
    prompt = usage.prompt_tokens_details or _NO_PROMPT_DETAILS
    completion = usage.completion_tokens_details or _NO_COMPLETION_DETAILS
    return Usage(
        prompt=usage.prompt_tokens or 0,
        completion=usage.completion_tokens or 0,
        cached=prompt.cached_tokens or 0,
        reasoning=completion.reasoning_tokens or 0,
        stored=prompt.cache_write_tokens or 0,
    )


def reason_of(word: str | None) -> FinishReason:
    return _REASONS.get(word or "", _STOP)


def vendor_error(body: bytes) -> VendorError:
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


_C = TypeVar("_C", bound=WrittenChunk)


class ChunkReader(LikenessReader, Generic[_C]):
    """Reads the events of a stream for an app that asked for ``asked``."""

    terminator = b"data: [DONE]\n\n"
    _chunks: msgspec.json.Decoder[_C]

    def __init__(self, asked: str, *, typed: bool) -> None:
        super().__init__()
        self._asked = asked
        self._typed = typed

    def _read(self, payload: bytes) -> Chunk:
        if payload.strip() == b"[DONE]":
            return Chunk(self.terminator, closing=True, done=True)
        try:
            chunk = self._chunks.decode(payload)
            if chunk.error is not None:
                return Chunk(error=True)
            if chunk.choices is None:
                return Chunk(malformed=True)
            return self._told(chunk, with_model(payload, chunk.model, self._asked))
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return Chunk(malformed=True)

    def _told(self, chunk: _C, data: bytes) -> Chunk:
        """``data`` is the chunk as the app gets it. Raises msgspec.ValidationError where what it
        says is not of the API's shape.
        """
        raise NotImplementedError


def text_only(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _text(value: object) -> str | None:
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) else None
