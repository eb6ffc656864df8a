"""How the output of a response grows: its items, one after the other, each told in events, and
where a response stands in between.

Sources: the typed models of the official SDK (``ResponseStreamEvent``, ``ResponseOutputItem``) and
the published reference of the streaming events.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from gateway.domain.events import Scored
from gateway.wire.openai_answer import token_scores

Event: TypeAlias = dict[str, Any]
"""One event of a stream, but for its number."""
Part: TypeAlias = dict[str, Any]


class Item(Protocol):
    """An item that is open. ``index`` is its place in the output."""

    @property
    def index(self) -> int: ...

    def begin(self) -> Iterator[Event]:
        """The events before the first delta."""
        ...

    def finish(self, status: str) -> Iterator[Event]:
        """The events behind the last delta; ``status`` is ``completed`` or ``incomplete``."""
        ...

    def written(self, status: str) -> dict[str, Any]:
        """The item as it is now."""
        ...


@dataclass(slots=True)
class Progress:
    """Where a response stands, whoever has told the app of it so far. ``sequence`` is the number of
    its next event; ``output`` has its finished items, and ``open`` the one that is not. ``begun``
    says that the app knows of the response. ``created`` is in seconds since 1970.
    """

    id: str
    created: int
    begun: bool = False
    sequence: int = 0
    output: list[dict[str, Any]] = field(default_factory=list)
    open: Item | None = None

    @property
    def next(self) -> int:
        """The place of the next item."""
        return len(self.output) + (self.open is not None)

    def next_id(self, prefix: str) -> str:
        """The id of the next item: of the response's own, so that it is no other's."""
        return f"{prefix}_{self.id.partition('_')[2]}{self.next:02x}"


@dataclass(slots=True)
class MessageItem:
    """A message of the assistant. Its open part is of text, behind those of ``parts``."""

    id: str
    index: int
    texts: list[str] = field(default_factory=list)
    scores: list[Scored] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)

    def begin(self) -> Iterator[Event]:
        yield _added(self.index, self.written("in_progress", open=False))
        yield {**self._place("response.content_part.added"), "part": _text_part("", ())}

    def say(self, text: str, scores: Sequence[Scored]) -> Event:
        self.texts.append(text)
        self.scores += scores
        place = self._place("response.output_text.delta")
        return {**place, "delta": text, "logprobs": token_scores(scores)}

    def finish(self, status: str) -> Iterator[Event]:
        part = self._part()
        done = {"text": part["text"], "logprobs": part["logprobs"]}
        yield {**self._place("response.output_text.done"), **done}
        yield {**self._place("response.content_part.done"), "part": part}
        yield _done(self.index, self.written(status))

    def written(self, status: str, *, open: bool = True) -> dict[str, Any]:
        return {
            "id": self.id,
            "type": "message",
            "status": status,
            "role": "assistant",
            "content": [*self.parts, *([self._part()] if open else [])],
        }

    def _part(self) -> Part:
        return _text_part("".join(self.texts), self.scores)

    def _place(self, type: str) -> Event:
        return _place(type, self.id, self.index, len(self.parts))


@dataclass(slots=True)
class ReasoningItem:
    """What the model thought, in its own words. So it is content of the item: a ``summary`` is what
    vendors let be known of thoughts that they do not show.
    """

    id: str
    index: int
    texts: list[str] = field(default_factory=list)

    def begin(self) -> Iterator[Event]:
        yield _added(self.index, {**self.written("in_progress"), "content": []})
        yield {**self._place("response.content_part.added"), "part": _thought("")}

    def think(self, text: str) -> Event:
        self.texts.append(text)
        return {**self._place("response.reasoning_text.delta"), "delta": text}

    def finish(self, status: str) -> Iterator[Event]:
        text = "".join(self.texts)
        yield {**self._place("response.reasoning_text.done"), "text": text}
        yield {**self._place("response.content_part.done"), "part": _thought(text)}
        yield _done(self.index, self.written(status))

    def written(self, status: str) -> dict[str, Any]:
        return {
            "id": self.id,
            "type": "reasoning",
            "status": status,
            "summary": [],
            "content": [_thought("".join(self.texts))],
        }

    def _place(self, type: str) -> Event:
        return _place(type, self.id, self.index, 0)


@dataclass(slots=True)
class CallItem:
    """A call of one of the app's functions, the ``number``-th of the answer."""

    id: str
    index: int
    number: int
    call_id: str
    name: str
    arguments: list[str] = field(default_factory=list)

    def begin(self) -> Iterator[Event]:
        yield _added(self.index, self.written("in_progress"))

    def argue(self, arguments: str) -> Event:
        self.arguments.append(arguments)
        return {**self._place("response.function_call_arguments.delta"), "delta": arguments}

    def finish(self, status: str) -> Iterator[Event]:
        done = {"name": self.name, "arguments": "".join(self.arguments)}
        yield {**self._place("response.function_call_arguments.done"), **done}
        yield _done(self.index, self.written(status))

    def written(self, status: str) -> dict[str, Any]:
        return {
            "id": self.id,
            "type": "function_call",
            "status": status,
            "arguments": "".join(self.arguments),
            "call_id": self.call_id,
            "name": self.name,
        }

    def _place(self, type: str) -> Event:
        return {"type": type, "item_id": self.id, "output_index": self.index}


def _place(type: str, id: str, index: int, part: int) -> Event:
    return {"type": type, "item_id": id, "output_index": index, "content_index": part}


def _added(index: int, item: dict[str, Any]) -> Event:
    return {"type": "response.output_item.added", "output_index": index, "item": item}


def _done(index: int, item: dict[str, Any]) -> Event:
    return {"type": "response.output_item.done", "output_index": index, "item": item}


def _text_part(text: str, scores: Sequence[Scored]) -> Part:
    written = token_scores(scores)
    return {"type": "output_text", "annotations": [], "logprobs": written, "text": text}


def _thought(text: str) -> Part:
    return {"type": "reasoning_text", "text": text}
