"""What an app can say of the bytes it got: a good answer, a typed error, or neither. Light enough
to be asked two hundred times a second.
"""

from __future__ import annotations

import msgspec

INVALID = "INVALID"
"""How every verdict on an answer begins that is neither good nor a typed error."""
CODES = {
    451: {"vendor_blocked"},
    503: {"no_healthy_target", "queue_full", "deadline"},
}
"""What may go back while vendors fail and are banned."""
WAITS = {"503 no_healthy_target", "503 queue_full"}
"""Verdicts on what must say when to come again."""
BROKEN = {"stream_interrupted", "deadline"}
"""The codes of events that end a stream."""


class _Error(msgspec.Struct, forbid_unknown_fields=True):
    message: str
    type: str
    param: str | None
    code: str | None


class _Envelope(msgspec.Struct, forbid_unknown_fields=True):
    error: _Error


class _Text(msgspec.Struct):
    role: str | None = None
    content: str | None = None


class _Choice(msgspec.Struct):
    index: int
    finish_reason: str | None = None
    message: _Text | None = None
    delta: _Text | None = None


class _Answer(msgspec.Struct):
    id: str
    object: str
    model: str
    choices: list[_Choice]


_answers = msgspec.json.Decoder(_Answer)
_errors = msgspec.json.Decoder(_Envelope)


def verdict(status: int, body: bytes, model: str, *, stream: bool) -> str:
    """A few words, by which answers are counted."""
    try:
        if status != 200:
            return _refusal(status, body)
        return _stream(body, model) if stream else _whole(body, model)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        return f"{INVALID}: {error}"


def _refusal(status: int, body: bytes) -> str:
    code = _errors.decode(body).error.code
    known = code in CODES.get(status, ())
    return f"{status} {code}" if known else f"{INVALID}: {status} {code}"


def _whole(body: bytes, model: str) -> str:
    answer = _answers.decode(body)
    if answer.model != model or len(answer.choices) != 1:
        return f"{INVALID}: another model or number of choices"
    choice = answer.choices[0]
    if choice.message is None or not choice.message.content or not choice.finish_reason:
        return f"{INVALID}: an empty answer"
    return "a whole answer"


def _stream(body: bytes, model: str) -> str:
    *events, last = body.removesuffix(b"\n\n").split(b"\n\n")
    if not body.endswith(b"\n\n"):
        return f"{INVALID}: the stream ends within an event"
    done = last == b"data: [DONE]"
    chunks = [_answers.decode(event.removeprefix(b"data: ")) for event in events]
    choices = [choice for chunk in chunks for choice in chunk.choices]
    texts = [choice.delta for choice in choices if choice.delta is not None]
    ends = sum(choice.finish_reason is not None for choice in choices)
    if {chunk.model for chunk in chunks} != {model} or len({chunk.id for chunk in chunks}) != 1:
        return f"{INVALID}: more than one model or id"
    if sum(text.role is not None for text in texts) != 1:
        return f"{INVALID}: not one role"
    if ends != done:
        return f"{INVALID}: {ends} finish reasons, {'a' if done else 'no'} terminator"
    if done:
        said = any(text.content for text in texts)
        return "a whole stream" if said else f"{INVALID}: an empty stream"
    code = _errors.decode(last.removeprefix(b"data: ")).error.code
    return f"a stream, then {code}" if code in BROKEN else f"{INVALID}: a stream, then {code}"
