"""The messages of a long chat of the OpenAI dialect, looked through."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter

import msgspec

from gateway.wire.openai_messages import (
    OF_TOOLS,
    CallHead,
    Part,
    Turn,
    check_empty,
    turn_needs,
)
from gateway.wire.openai_parameters import NULL
from gateway.wire.skimmed import LIST, NOTHING, TEXT, Skimmed, Unskimmable


class _Text(Part, gc=False):
    text: msgspec.Raw = NULL
    refusal: msgspec.Raw = NULL


class _CalledFunction(msgspec.Struct, gc=False):
    name: str = ""
    arguments: msgspec.Raw = NULL


class _ToolCall(CallHead, gc=False):
    function: _CalledFunction | None = None


class SkimmedMessage(Turn, gc=False):
    """As ``WrittenMessage``."""

    content: msgspec.Raw = NULL
    refusal: msgspec.Raw = NULL
    tool_calls: list[_ToolCall] | None = None
    function_call: _CalledFunction | None = None
    reasoning_content: msgspec.Raw = NULL


_parts = msgspec.json.Decoder(list[_Text])
_more = attrgetter("tool_calls", "function_call", "audio", "refusal", "reasoning_content")
_NO_MORE = (None, None, None, NULL, NULL)


def skimmed(messages: Iterable[SkimmedMessage]) -> Skimmed:
    """Looks through the messages of a body. Raises ``Unskimmable``, what ``msgspec`` does, and
    ``InvalidRequest`` where an image has no URL, or a turn lacks what it must say.
    """
    turns = size = 0
    others = []
    for message in messages:
        turns += 1
        content = message.content
        # Nearly all of a long talk are no more than a text.
        if (
            memoryview(content)[0] == TEXT
            and _more(message) == _NO_MORE
            and message.role not in OF_TOOLS
        ):
            size += len(content) - 2
        else:
            others.append((turns - 1, message))
    found = Skimmed(turns, size)
    for place, message in others:
        _look_through(message, place, found)
    return found


def _look_through(message: SkimmedMessage, place: int, found: Skimmed) -> None:
    parts: Sequence[_Text] = ()
    calls, function = message.tool_calls, message.function_call
    refused, thought = _length(message.refusal), _length(message.reasoning_content)
    kind = memoryview(message.content)[0]
    texts: list[msgspec.Raw] = []
    if kind == LIST:
        parts = _parts.decode(message.content)
        texts += [text for part in parts for text in (part.text, part.refusal)]
    elif kind == NOTHING:
        check_empty(message, place, says=bool(refused or thought or calls or function))
        found.size += refused
    else:
        texts.append(message.content)
    found.size += thought
    called = [call.function for call in calls or () if call.function is not None]
    if function is not None:
        called.append(function)
    texts += [one.arguments for one in called]
    found.size += sum(map(_length, texts)) + sum(len(one.name) for one in called)
    found.images += sum(part.type == "image_url" for part in parts)
    found.needs.update(turn_needs(message, parts, calls, called=function is not None))


def _length(written: msgspec.Raw) -> int:
    """Bytes of a text between its quotes."""
    kind = memoryview(written)[0]
    if kind == TEXT:
        return len(written) - 2
    if kind == NOTHING:
        return 0
    raise Unskimmable("no text stands where one should")
