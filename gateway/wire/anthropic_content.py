"""The messages of the Anthropic dialect: their content blocks to turns, and what they need.

Sources: the typed models of the official SDK (``MessageParam``, ``ContentBlockParam``) and the
published reference of ``POST /v1/messages``. What a tool gave back may hold images: other APIs take
them from a user alone, so they stand at the beginning of the user's next turn. An image by URL is
not fetched, here or anywhere: only a target that does so itself can be asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from gateway.domain.call import Image, Message, ToolCall
from gateway.domain.target import Capability
from gateway.errors import InvalidRequest
from gateway.wire.openai_messages import MEDIA_TYPES

_NULL = msgspec.Raw(b"null")


class WrittenSource(msgspec.Struct):
    """Where an image or a document is."""

    type: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    content: str | list[WrittenBlock] | None = None


class _Citations(msgspec.Struct):
    enabled: bool | None = None


class WrittenBlock(msgspec.Struct):
    """A content block as it stands in a body, of whatever type."""

    type: str
    text: str | None = None
    source: WrittenSource | str | None = None
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = _NULL
    tool_use_id: str | None = None
    content: str | list[WrittenBlock] | dict[str, Any] | None = None
    is_error: bool | None = None
    thinking: str | None = None
    title: str | None = None
    context: str | None = None
    citations: _Citations | list[Any] | None = None


class WrittenMessage(msgspec.Struct):
    """A message as it stands in a body."""

    role: Literal["user", "assistant", "system"]
    content: str | list[WrittenBlock]


def fault(param: str, message: str, code: str = "invalid_value") -> InvalidRequest:
    """The error for a parameter, said as that API says it."""
    return InvalidRequest(f"{param}: {message}", param=param, code=code)


def missing(param: str) -> InvalidRequest:
    return fault(param, "Field required", "missing_required_parameter")


def block_needs(blocks: Iterable[WrittenBlock]) -> Iterator[Capability]:
    """What a target must be able to do to be given these."""
    for block in blocks:
        if isinstance(block.citations, _Citations) and block.citations.enabled:
            yield Capability.CITATIONS
        match block.type:
            case "text" | "thinking" | "redacted_thinking" | "search_result":
                pass
            case "image":
                yield from image_needs(block.source)
            case "tool_use":
                yield Capability.TOOLS
            case "tool_result":
                yield Capability.TOOLS
                yield from block_needs(_listed(block.content))
            case "document":
                source = block.source
                if isinstance(source, WrittenSource) and source.type in ("text", "content"):
                    yield from block_needs(_listed(source.content))
                else:
                    yield Capability.FILES
            case "container_upload":
                yield Capability.FILES
            case _ if block.type.endswith(("tool_use", "tool_result", "tool_reference")):
                yield Capability.OTHER_TOOLS
            case _:
                yield Capability.OTHER_CONTENT


def image_needs(source: WrittenSource | str | None) -> Iterator[Capability]:
    """What a target must be able to do to be given an image that is there."""
    yield Capability.IMAGES
    match source:
        case WrittenSource(type="base64", media_type=media):
            if (media or "").lower() not in MEDIA_TYPES:
                yield Capability.OTHER_IMAGES
        case WrittenSource(type="url"):
            yield Capability.IMAGE_URLS
        case _:
            yield Capability.FILES


def _listed(content: object) -> list[WrittenBlock]:
    return content if isinstance(content, list) else []


def turns(message: WrittenMessage, path: str) -> Iterator[Message]:
    """The turns of a message at ``path`` of the body: what tools gave back is a turn each. Raises
    ``InvalidRequest``.
    """
    content = message.content
    blocks = [WrittenBlock("text", text=content)] if isinstance(content, str) else content
    if message.role == "assistant":
        yield _assistant(blocks, path)
        return
    carried: list[Image] = []
    others: list[tuple[str, WrittenBlock]] = []
    results = False
    for number, block in enumerate(blocks):
        where = f"{path}.content.{number}"
        if block.type == "tool_result":
            results = True
            yield _result(block, where, carried)
        else:
            others.append((where, block))
    if others or carried or not results:
        text = _Text("\n", images=carried)
        for where, block in others:
            text.add(block, where)
        yield text.turn(message.role)


def _result(block: WrittenBlock, path: str, carried: list[Image]) -> Message:
    """A tool's turn; its images go to ``carried``."""
    if not block.tool_use_id:
        raise missing(f"{path}.tool_use_id")
    text = _Text("\n")
    if isinstance(block.content, str):
        text.write(block.content)
    for number, part in enumerate(_listed(block.content)):
        text.add(part, f"{path}.content.{number}")
    carried += [Image(image.url, 0) for image in text.images]
    content = f"Error: {text.content}" if block.is_error else text.content
    return Message("tool", content, call_id=block.tool_use_id)


def _assistant(blocks: list[WrittenBlock], path: str) -> Message:
    text = _Text("")
    calls: list[ToolCall] = []
    thoughts: list[str] = []
    for number, block in enumerate(blocks):
        where = f"{path}.content.{number}"
        match block.type:
            case "tool_use":
                calls.append(_call(block, where))
            case "thinking":
                thoughts.append(block.thinking or "")
            case _:
                text.add(block, where)
    return text.turn("assistant", tuple(calls), "".join(thoughts) or None)


def _call(block: WrittenBlock, path: str) -> ToolCall:
    if not block.id or not block.name:
        raise missing(f"{path}.{'name' if block.id else 'id'}")
    arguments = bytes(block.input).decode()
    if not arguments.startswith("{"):
        raise fault(f"{path}.input", "Input should be a valid dictionary", "invalid_type")
    return ToolCall(block.id, block.name, arguments)


@dataclass(slots=True)
class _Text:
    """A turn's text as it grows, with ``between`` two texts that follow each other."""

    between: str
    content: str = ""
    images: list[Image] = field(default_factory=list)
    follows: bool = False

    def write(self, text: str) -> None:
        self.content += self.between + text if self.follows and text else text
        self.follows = self.follows or bool(text)

    def add(self, block: WrittenBlock, path: str) -> None:
        """Blocks that no other dialect has are left out: who needs them says so to the plan."""
        match block.type:
            case "text":
                if block.text is None:
                    raise missing(f"{path}.text")
                self.write(block.text)
            case "image":
                url = _image_url(block, path)
                if url is not None:
                    self.images.append(Image(url, len(self.content)))
                    self.follows = False
            case "search_result":
                source = block.source if isinstance(block.source, str) else ""
                self._document(block, (block.title, source), path)
            case "document":
                self._document(block, (block.title, block.context), path)

    def _document(self, block: WrittenBlock, heads: Iterable[str | None], path: str) -> None:
        for head in heads:
            self.write(head or "")
        source = block.source
        content: object = block.content
        if isinstance(source, WrittenSource):
            path = f"{path}.source"
            content = source.content if source.type == "content" else source.data
            if source.type not in ("content", "text"):
                return
        if isinstance(content, str):
            self.write(content)
        for number, part in enumerate(_listed(content)):
            self.add(part, f"{path}.content.{number}")

    def turn(
        self, role: str, calls: tuple[ToolCall, ...] = (), reasoning: str | None = None
    ) -> Message:
        return Message(
            role, self.content, calls=calls, reasoning=reasoning, images=tuple(self.images)
        )


def _image_url(block: WrittenBlock, path: str) -> str | None:
    """A data URL, or an address; ``None`` for a file that only its vendor has."""
    source = block.source
    if not isinstance(source, WrittenSource):
        raise missing(f"{path}.source")
    match source.type:
        case "base64":
            if not source.media_type or not source.data:
                absent = "data" if source.media_type else "media_type"
                raise missing(f"{path}.source.base64.{absent}")
            return f"data:{source.media_type};base64,{source.data}"
        case "url":
            if not source.url:
                raise missing(f"{path}.source.url.url")
            return source.url
        case _:
            return None
