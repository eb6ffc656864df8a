"""What the answers of the OpenAI dialect's APIs tell alike: what was used, why text ended, what
went wrong, and how an event of a stream is written.
"""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.domain.events import FinishReason, Usage
from gateway.wire.relay import VendorError

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


class _ErrorBody(msgspec.Struct):
    message: Any = None
    type: Any = None
    code: Any = None
    param: Any = None


class _ErrorEnvelope(msgspec.Struct):
    error: _ErrorBody | str | None = None


_errors = msgspec.json.Decoder(_ErrorEnvelope)


def usage_of(usage: WrittenUsage | None) -> Usage | None:
    if usage is None:
        return None
    prompt = usage.prompt_tokens_details or _PromptDetails()
    completion = usage.completion_tokens_details or _CompletionDetails()
    return Usage(
        prompt=usage.prompt_tokens or 0,
        completion=usage.completion_tokens or 0,
        cached=prompt.cached_tokens or 0,
        reasoning=completion.reasoning_tokens or 0,
        stored=prompt.cache_write_tokens or 0,
    )


def reason_of(word: str | None) -> FinishReason:
    return _REASONS.get(word or "", FinishReason.STOP)


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


def event(data: bytes) -> bytes:
    """The event that carries a JSON text."""
    if b"\n" in data or b"\r" in data:
        # Within valid JSON a line's end can only stand between tokens.
        data = data.replace(b"\n", b" ").replace(b"\r", b" ")
    return b"data: %b\n\n" % data


def _text(value: object) -> str | None:
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) else None
