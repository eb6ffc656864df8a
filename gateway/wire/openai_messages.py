"""The messages of a chat completion of the OpenAI dialect: their texts, calls and images.

Sources as for ``gateway.wire.openai_chat``; ``reasoning_content`` is as in DeepSeek's API. An image
by URL is not fetched, here or anywhere: only a target that does so itself can be asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec

from gateway.domain.call import Image, Message, ToolCall
from gateway.domain.target import Capability
from gateway.errors import InvalidRequest

MEDIA_TYPES = frozenset(f"image/{kind}" for kind in ("png", "jpeg", "jpg", "gif", "bmp"))
"""Of data URLs that any target with images takes."""
LONGEST_HEAD = 128
"""Characters of a data URL before its data."""
_OF_TOOLS = frozenset({"tool", "function"})
_ROLES = {"developer": "system", "function": "tool"}


class _ImageUrl(msgspec.Struct, gc=False):
    url: str


class _Part(msgspec.Struct, gc=False):
    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: _ImageUrl | str | None = None

    @property
    def url(self) -> str:
        """Of an image; raises InvalidRequest where there is none."""
        url = self.image_url.url if isinstance(self.image_url, _ImageUrl) else self.image_url
        if not url:
            raise InvalidRequest(
                "A part of type image_url needs 'image_url.url'.",
                param="messages",
                code="missing_required_parameter",
            )
        return url


class _CalledFunction(msgspec.Struct, gc=False):
    name: str = ""
    arguments: str = ""


class _ToolCall(msgspec.Struct, gc=False):
    id: str = ""
    type: str = "function"
    function: _CalledFunction | None = None


class _EarlierAudio(msgspec.Struct, gc=False):
    id: str


class WrittenMessage(msgspec.Struct, gc=False):
    """A message as it stands in a body."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[_Part] | None = None
    tool_calls: list[_ToolCall] | None = None
    function_call: _CalledFunction | None = None
    tool_call_id: str | None = None
    name: str | None = None
    reasoning_content: str | None = None
    audio: _EarlierAudio | None = None


def messages_needs(messages: Iterable[WrittenMessage]) -> Iterator[Capability]:
    """What a target must be able to do to be given these messages."""
    for message in messages:
        # Nearly all of a long talk are no more than a text.
        if not (
            isinstance(message.content, str)
            and message.tool_calls is None
            and message.function_call is None
            and message.audio is None
            and message.role not in _OF_TOOLS
        ):
            yield from message_needs(message)


def message_needs(message: WrittenMessage) -> Iterator[Capability]:
    """What a target must be able to do to be given this message."""
    if message.tool_calls or message.function_call or message.role in _OF_TOOLS:
        yield Capability.TOOLS
    if any(call.type != "function" for call in message.tool_calls or ()):
        yield Capability.OTHER_TOOLS
    if message.audio is not None:
        yield Capability.AUDIO
    for part in message.content if isinstance(message.content, list) else ():
        match part.type:
            case "image_url":
                yield from image_needs(part.url)
            case "file":
                yield Capability.FILES
            case "input_audio":
                yield Capability.AUDIO
            case "text" | "refusal":
                pass
            case _:
                yield Capability.OTHER_CONTENT


def image_needs(url: str) -> Iterator[Capability]:
    """What a target must be able to do to be shown this image."""
    yield Capability.IMAGES
    if not url.startswith("data:"):
        yield Capability.IMAGE_URLS
    elif not _plain(url):
        yield Capability.OTHER_IMAGES


def _plain(url: str) -> bool:
    """Whether a data URL is of a usual type, in base64."""
    head = url[len("data:") : LONGEST_HEAD].partition(",")[0].lower().split(";")
    return head[0].strip() in MEDIA_TYPES and head[-1].strip() == "base64"


def typed_message(message: WrittenMessage) -> Message:
    """The message for targets that do not speak the dialect."""
    content: str
    images: tuple[Image, ...] = ()
    if isinstance(message.content, list):
        content, images = _content(message.content)
    else:
        content = message.content or ""
    return Message(
        _ROLES.get(message.role, message.role),
        content,
        _calls(message) if message.tool_calls or message.function_call else (),
        message.tool_call_id,
        message.name,
        message.reasoning_content,
        images,
    )


def _calls(message: WrittenMessage) -> tuple[ToolCall, ...]:
    calls = [
        ToolCall(call.id, call.function.name, call.function.arguments)
        for call in message.tool_calls or ()
        if call.function is not None
    ]
    if message.function_call is not None:
        calls.append(ToolCall("", message.function_call.name, message.function_call.arguments))
    return tuple(calls)


def _content(content: list[_Part]) -> tuple[str, tuple[Image, ...]]:
    texts: list[str] = []
    images: list[Image] = []
    at = 0
    for part in content:
        if part.type == "image_url":
            images.append(Image(part.url, at))
        text = part.text or part.refusal or ""
        texts.append(text)
        at += len(text)
    return "".join(texts), tuple(images)
