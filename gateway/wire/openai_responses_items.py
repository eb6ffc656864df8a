"""The items of the Responses API: from what an app sends, or sends again, to the turns of a
conversation, and what they need of a target.

Sources: the typed models of the official SDK (``ResponseInputItemParam``) and the published
reference of ``POST /responses``. What one turn of an assistant is, is several items here: thoughts,
a message, calls. What a function gave back may hold images: other APIs take them from a user alone,
so they stand at the beginning of the user's next turn. An image by URL is not fetched, here or
anywhere: only a target that does so itself can be asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from gateway.domain.call import Image, Message, ToolCall
from gateway.domain.target import Capability
from gateway.errors import InvalidRequest
from gateway.wire.openai_messages import image_needs

_ROLES = {"user": "user", "assistant": "assistant", "system": "system", "developer": "system"}
_TEXTS = frozenset({"input_text", "output_text", "text", "summary_text", "reasoning_text"})
_TOOLS = ("_call", "_output", "_tools", "_request", "_response", "program")
"""How the types of items end that tell of tools which are no functions of the app's."""


class WrittenPart(msgspec.Struct):
    """A part of an item's content, of whatever type."""

    type: str = ""
    text: str | None = None
    refusal: str | None = None
    image_url: str | None = None
    file_id: str | None = None


class WrittenItem(msgspec.Struct):
    """An item as it stands in a body, of whatever type. A message and a reference to an item need
    not say theirs.
    """

    type: str | None = None
    role: str | None = None
    content: str | list[WrittenPart] | None = None
    summary: list[WrittenPart] | None = None
    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: Any = None
    output: str | list[WrittenPart] | dict[str, Any] | None = None

    @property
    def kind(self) -> str:
        named = "item_reference" if self.role is None and self.id is not None else "message"
        return named if self.type is None else self.type


def missing(param: str) -> InvalidRequest:
    return InvalidRequest(
        f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter"
    )


def item_needs(items: Iterable[WrittenItem]) -> Iterator[Capability]:
    """What a target must be able to do to be given these."""
    for item in items:
        match item.kind:
            case "message":
                yield from _part_needs(_listed(item.content))
            case "reasoning":
                pass
            case "function_call" | "function_call_output":
                yield Capability.TOOLS
                yield from _part_needs(_listed(item.output))
            case kind if kind.endswith(_TOOLS):
                yield Capability.OTHER_TOOLS
            case _:
                yield Capability.OTHER_CONTENT


def _part_needs(parts: Iterable[WrittenPart]) -> Iterator[Capability]:
    for part in parts:
        match part.type:
            case "refusal":
                pass
            case "input_image" if part.image_url:
                yield from image_needs(part.image_url)
            case "input_image":
                yield Capability.IMAGES
                yield Capability.FILES
            case "input_file":
                yield Capability.FILES
            case "input_audio":
                yield Capability.AUDIO
            case kind if kind not in _TEXTS:
                yield Capability.OTHER_CONTENT


def _listed(content: object) -> list[WrittenPart]:
    return content if isinstance(content, list) else []


def turns(items: Iterable[tuple[str, WrittenItem]]) -> list[Message]:
    """The turns of a conversation, whose items come with their places in the body. Raises
    ``InvalidRequest``. Of an item that needs another kind of target nothing is in them.
    """
    conversation = _Conversation()
    for path, item in items:
        conversation.add(path, item)
    return conversation.ended()


@dataclass(slots=True)
class _Turn:
    """An assistant's turn as it grows. Its calls are answered behind it: what comes between two of
    them is of the same turn.
    """

    said: Message | None = None
    calls: list[ToolCall] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)

    def message(self) -> Message:
        said = self.said or Message("assistant", "")
        return Message(
            "assistant",
            said.content,
            calls=tuple(self.calls),
            reasoning="".join(self.thoughts) or None,
            images=said.images,
        )


class _Conversation:
    def __init__(self) -> None:
        self._messages: list[Message] = []
        self._turn: _Turn | None = None
        self._carried: list[Image] = []

    def add(self, path: str, item: WrittenItem) -> None:
        match item.kind:
            case "message":
                self._message(path, item)
            case "reasoning":
                thoughts = _thoughts(item)
                if thoughts:
                    self._assistant(joins=False).thoughts.append(thoughts)
            case "function_call":
                self._assistant(joins=True).calls.append(_call(path, item))
            case "function_call_output":
                self._output(path, item)
            case "item_reference":
                raise InvalidRequest(
                    f"'{path}' refers to an item that is not in the request: send the item itself, "
                    "or follow its response by 'previous_response_id'.",
                    param=path,
                    code="unsupported_value",
                )

    def ended(self) -> list[Message]:
        self._close()
        self._show()
        return self._messages

    def _message(self, path: str, item: WrittenItem) -> None:
        if item.role is None:
            raise missing(f"{path}.role")
        if item.content is None:
            raise missing(f"{path}.content")
        role = _ROLES.get(item.role)
        if role is None:
            raise InvalidRequest(
                f"Invalid value: {item.role[:64]!r}. Roles are {', '.join(_ROLES)}.",
                param=f"{path}.role",
            )
        if role == "assistant":
            turn = self._assistant(joins=False)
            said = _said(role, item.content, f"{path}.content")
            turn.said = said if turn.said is None else _joined(turn.said, said)
            return
        self._close()
        before = self._carried if role == "user" else ()
        self._messages.append(_said(role, item.content, f"{path}.content", before))
        if role == "user":
            self._carried = []

    def _output(self, path: str, item: WrittenItem) -> None:
        if not item.call_id:
            raise missing(f"{path}.call_id")
        if not isinstance(item.output, str | list):
            raise missing(f"{path}.output")
        self._close()
        given = _said("tool", item.output, f"{path}.output")
        self._carried += [Image(image.url, 0) for image in given.images]
        self._messages.append(Message("tool", given.content, call_id=item.call_id))

    def _assistant(self, *, joins: bool) -> _Turn:
        """The turn that is being built. One that has calls takes whatever comes; another has ended
        where something comes that does not join what was said.
        """
        turn = self._turn
        if turn is not None and turn.said is not None and not turn.calls and not joins:
            self._close()
            turn = None
        if turn is None:
            self._show()
            turn = self._turn = _Turn()
        return turn

    def _close(self) -> None:
        if self._turn is not None:
            self._messages.append(self._turn.message())
            self._turn = None

    def _show(self) -> None:
        """Images that functions gave back, where no user's turn comes for them."""
        if self._carried:
            self._messages.append(Message("user", "", images=tuple(self._carried)))
            self._carried = []


def _call(path: str, item: WrittenItem) -> ToolCall:
    for name in ("call_id", "name"):
        if not getattr(item, name):
            raise missing(f"{path}.{name}")
    if not isinstance(item.arguments, str):
        raise missing(f"{path}.arguments")
    return ToolCall(item.call_id or "", item.name or "", item.arguments)


def _thoughts(item: WrittenItem) -> str:
    """The thoughts themselves, or what is left of them. Those that are encrypted can be read by the
    vendor alone that wrote them, and are no use to anybody else.
    """
    content = "".join(part.text or "" for part in _listed(item.content))
    return content or "\n\n".join(part.text or "" for part in item.summary or ())


def _said(
    role: str, content: str | list[WrittenPart], path: str, before: Iterable[Image] = ()
) -> Message:
    """``before`` are images at the beginning of the turn."""
    images = list(before)
    if isinstance(content, str):
        return Message(role, content, images=tuple(images))
    texts: list[str] = []
    at = 0
    for number, part in enumerate(content):
        if part.type == "input_image":
            if not part.image_url and not part.file_id:
                raise missing(f"{path}[{number}].image_url")
            images.append(Image(part.image_url or "", at))
        if part.type in _TEXTS and part.text is None:
            raise missing(f"{path}[{number}].text")
        text = part.text or part.refusal or ""
        texts.append(text)
        at += len(text)
    return Message(role, "".join(texts), images=tuple(images))


def _joined(first: Message, then: Message) -> Message:
    shift = len(first.content)
    moved = tuple(Image(image.url, image.at + shift) for image in then.images)
    return Message(first.role, first.content + then.content, images=(*first.images, *moved))
