"""The messages of a long chat of the Anthropic dialect, looked through, where they are made of what
agents send all day. Whatever else a block holds, or lacks, is for who reads it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, TypeAlias

import msgspec

from gateway.domain.target import Capability
from gateway.wire.anthropic_content import WrittenSource, image_needs
from gateway.wire.openai_parameters import NULL
from gateway.wire.skimmed import LIST, OBJECT, TEXT, Skimmed, Unskimmable

_ERROR = len("Error: ")
"""Bytes before what a tool gave back that failed."""


class _Block(msgspec.Struct, tag_field="type", forbid_unknown_fields=True, gc=False):
    cache_control: msgspec.Raw = NULL


class _Text(_Block, tag="text", kw_only=True, gc=False):
    text: msgspec.Raw
    citations: list[Any] | None = None


class _Thinking(_Block, tag="thinking", kw_only=True, gc=False):
    thinking: msgspec.Raw
    signature: str


class _Redacted(_Block, tag="redacted_thinking", gc=False):
    data: msgspec.Raw = NULL


class _Image(_Block, tag="image", kw_only=True, gc=False):
    source: WrittenSource


class _Call(_Block, tag="tool_use", kw_only=True, gc=False):
    id: str
    name: str
    input: msgspec.Raw
    caller: msgspec.Raw = NULL


class _Result(_Block, tag="tool_result", kw_only=True, gc=False):
    tool_use_id: str
    content: msgspec.Raw = NULL
    is_error: bool | None = None


SkimmedBlock: TypeAlias = _Text | _Thinking | _Redacted | _Image | _Call | _Result


class SkimmedMessage(msgspec.Struct, gc=False):
    """As ``WrittenMessage``. A content that is no list is read at once: agents send blocks."""

    role: Literal["user", "assistant", "system"]
    content: str | list[SkimmedBlock]


_blocks = msgspec.json.Decoder(list[SkimmedBlock])


def skimmed(
    messages: Iterable[SkimmedMessage], system: str | Sequence[SkimmedBlock] | None
) -> Skimmed:
    """Looks through what stands in a body. Raises ``Unskimmable``, and what ``msgspec`` does."""
    found = Skimmed()
    if system:
        _turns(system, found)
    for message in messages:
        _turns(message.content, found)
    return found


def _turns(content: str | Sequence[SkimmedBlock], found: Skimmed) -> None:
    if isinstance(content, str):
        found.turns += 1
        found.size += len(content.encode())
        return
    images = found.images
    results = _look_through(content, found)
    found.turns += results
    # What tools gave back is a turn each; their images stand in the one behind them.
    if len(content) > results or found.images > images or not results:
        found.turns += 1


def _look_through(content: Sequence[SkimmedBlock], found: Skimmed) -> int:
    """How often it holds what a tool gave back."""
    size = calls = results = 0
    for block in content:
        if isinstance(block, _Text):
            size += _length(block.text)
        elif isinstance(block, _Call):
            calls += 1
            size += _call(block)
        elif isinstance(block, _Result):
            results += 1
            size += _result(block, found)
        elif isinstance(block, _Image):
            _image(block.source, found)
        elif isinstance(block, _Thinking):
            size += _length(block.thinking)
            # Other targets' has none, and is not for a vendor.
            if not block.signature:
                raise Unskimmable("thinking has no signature")
    found.size += size
    if calls or results:
        found.needs.add(Capability.TOOLS)
    return results


def _call(block: _Call) -> int:
    """Bytes of what is called and with what."""
    if not block.id or not block.name or memoryview(block.input)[0] != OBJECT:
        raise Unskimmable("a call lacks something")
    return len(block.name) + len(block.input)


def _result(block: _Result, found: Skimmed) -> int:
    """Bytes of what a tool gave back, where it is a text; blocks are looked through."""
    if not block.tool_use_id:
        raise Unskimmable("nobody knows who gave that back")
    size = _ERROR if block.is_error else 0
    if block.content is NULL:
        return size
    if memoryview(block.content)[0] != LIST:
        return size + _length(block.content)
    _look_through(_blocks.decode(block.content), found)
    return size


def _image(source: WrittenSource, found: Skimmed) -> None:
    known = source.url if source.type == "url" else source.media_type and source.data
    if source.type not in ("url", "base64") or not known:
        raise Unskimmable("it is a file of the vendor's, or no image")
    found.images += 1
    found.needs.update(image_needs(source))


def _length(written: msgspec.Raw) -> int:
    """Bytes of a text, and of the line's end that may stand between it and another."""
    if memoryview(written)[0] != TEXT:
        raise Unskimmable("no text stands where one should")
    return len(written) - 1
