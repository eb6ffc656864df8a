"""The messages of a chat completion of the OpenAI dialect: their texts, calls and images.

Sources as for ``gateway.wire.openai_chat``; ``reasoning_content`` is as in DeepSeek's API. An image
by URL is not fetched, here or anywhere: only a target that does so itself can be asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import msgspec

from gateway.domain.call import Image, Message, ToolCall
from gateway.domain.target import Capability
from gateway.errors import InvalidRequest

MEDIA_TYPES = frozenset(f"image/{kind}" for kind in ("png", "jpeg", "jpg", "gif", "bmp"))
"""Of data URLs that any target with images takes."""
LONGEST_HEAD = 128
"""Characters of a data URL before its data."""
OF_TOOLS = frozenset({"tool", "function"})
"""Roles of whoever was called."""
_ROLES = {"developer": "system", "function": "tool"}


class _ImageUrl(msgspec.Struct, gc=False):
    url: str


class Part(msgspec.Struct, gc=False):
    """One of the things that a turn's content is made of, but for its texts."""

    type: str
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


class _Text(Part, gc=False):
    text: str | None = None
    refusal: str | None = None


class _CalledFunction(msgspec.Struct, gc=False):
    name: str = ""
    arguments: str = ""


class CallHead(msgspec.Struct, gc=False):
    """A call in a turn, but for what is called."""

    id: str = ""
    type: str = "function"


class _ToolCall(CallHead, gc=False):
    function: _CalledFunction | None = None


class _EarlierAudio(msgspec.Struct, gc=False):
    id: str


class Turn(msgspec.Struct, gc=False):
    """A message as it stands in a body, but for its content and calls."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    tool_call_id: str | None = None
    name: str | None = None
    audio: _EarlierAudio | None = None


class WrittenMessage(Turn, gc=False):
    """A message as it stands in a body."""

    content: str | list[_Text] | None = None
    refusal: str | None = None
    tool_calls: list[_ToolCall] | None = None
    function_call: _CalledFunction | None = None
    reasoning_content: str | None = None


def messages_needs(messages: Iterable[WrittenMessage]) -> Iterator[Capability]:
    """What a target must be able to do to be given these messages. Raises InvalidRequest where one
    lacks what it must say.
    """
    for place, message in enumerate(messages):
        calls, function = message.tool_calls, message.function_call
        if isinstance(message.content, list):
            yield from turn_needs(message, message.content, calls, called=function is not None)
        elif message.content is None:
            instead = calls or function or message.refusal or message.reasoning_content
            check_empty(message, place, says=bool(instead))
            yield from turn_needs(message, (), calls, called=function is not None)
        # Nearly all of a long talk are no more than a text.
        elif not (
            calls is None
            and function is None
            and message.audio is None
            and message.role not in OF_TOOLS
        ):
            yield from turn_needs(message, (), calls, called=function is not None)


def check_empty(turn: Turn, place: int, *, says: bool) -> None:
    """Of a turn without content, the one at ``place``: an assistant's may do without where it
    ``says`` something else, and what a function of the older kind gave may be nothing. Raises
    InvalidRequest.
    """
    if turn.role == "function" or (turn.role == "assistant" and (says or turn.audio is not None)):
        return
    param = f"messages[{place}].content"
    raise InvalidRequest(
        f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter"
    )


def turn_needs(
    turn: Turn, parts: Iterable[Part], calls: Sequence[CallHead] | None, *, called: bool
) -> Iterator[Capability]:
    """What a target must be able to do to be given a turn of these parts and calls; ``called`` says
    that there is a call of the older kind.
    """
    if calls or called or turn.role in OF_TOOLS:
        yield Capability.TOOLS
    if any(call.type != "function" for call in calls or ()):
        yield Capability.OTHER_TOOLS
    if turn.audio is not None:
        yield Capability.AUDIO
    for part in parts:
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
        content = (message.refusal or "") if message.content is None else message.content
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


def _content(content: list[_Text]) -> tuple[str, tuple[Image, ...]]:
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
