"""A response whose bytes a vendor wrote: what of them is the gateway's own to say, and where the
response stands after each event, so that another target can go on with it.

The id, what it follows and whether it is kept are ours; ids of items, numbers of events and all
that was said are as the vendor wrote them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import msgspec

from gateway.domain.events import Likely, Scored
from gateway.wire.openai_responses_output import (
    Event,
    Item,
    MessageItem,
    Part,
    Progress,
    ReasoningItem,
)

Members: TypeAlias = dict[str, msgspec.Raw]

_LAST = frozenset({"response.completed", "response.incomplete", "response.failed"})
_NULL = msgspec.Raw(b"null")


class _Likely(msgspec.Struct):
    token: str = ""
    logprob: float = 0.0
    top_logprobs: list[_Likely] = []


class _Told(msgspec.Struct):
    """What is to be known of an event."""

    type: str
    sequence_number: int | None = None
    output_index: int = 0
    summary_index: int = 0
    delta: Any = None
    logprobs: list[_Likely] | None = None
    item: dict[str, Any] | None = None
    part: dict[str, Any] | None = None
    response: msgspec.Raw = _NULL


_tolds = msgspec.json.Decoder(_Told)
_objects = msgspec.json.Decoder(Members)
_any = msgspec.json.Decoder()


@dataclass(slots=True)
class OtherItem:
    """An item of whatever kind, as far as it was told when it began."""

    index: int
    item: dict[str, Any]

    def begin(self) -> Iterator[Event]:
        yield {"type": "response.output_item.added", "output_index": self.index, "item": self.item}

    def finish(self, status: str) -> Iterator[Event]:
        item = self.written(status)
        yield {"type": "response.output_item.done", "output_index": self.index, "item": item}

    def written(self, status: str) -> dict[str, Any]:
        return {**self.item, "status": status}


@dataclass(slots=True)
class SummaryItem:
    """Thoughts of which a summary is told, in ``parts``, and what is told of the one behind them
    in ``texts``.
    """

    id: str
    index: int
    parts: list[Part] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def begin(self) -> Iterator[Event]:
        item = {"id": self.id, "type": "reasoning", "summary": []}
        yield {"type": "response.output_item.added", "output_index": self.index, "item": item}

    def finish(self, status: str) -> Iterator[Event]:
        place = {"item_id": self.id, "output_index": self.index, "summary_index": len(self.parts)}
        for part in self._open():
            text = part["text"]
            yield {"type": "response.reasoning_summary_text.done", **place, "text": text}
            yield {"type": "response.reasoning_summary_part.done", **place, "part": part}
        item = self.written(status)
        yield {"type": "response.output_item.done", "output_index": self.index, "item": item}

    def written(self, status: str) -> dict[str, Any]:
        return {"id": self.id, "type": "reasoning", "summary": [*self.parts, *self._open()]}

    def _open(self) -> Sequence[Part]:
        return [{"type": "summary_text", "text": "".join(self.texts)}] if self.texts else []


class RelayedResponse:
    """``previous`` is the id of the response that it follows, ``kept`` whether it is kept. Where it
    stands is noted in ``progress``, whose id it gets.

    ``last`` is the event that ends a stream, which is not passed on by ``stream``; ``response`` the
    whole response, once it is there.
    """

    def __init__(self, progress: Progress, *, previous: str | None, kept: bool) -> None:
        self.last = b""
        self.response = b""
        self._progress = progress
        self._ours = {
            "id": msgspec.Raw(msgspec.json.encode(progress.id)),
            "previous_response_id": msgspec.Raw(msgspec.json.encode(previous)),
            "store": msgspec.Raw(msgspec.json.encode(kept)),
        }

    def stream(self, data: bytes) -> bytes:
        """Whole events of a stream, each of an ``event`` and a ``data`` line, as the app gets
        them.
        """
        shown: list[bytes] = []
        for event in data.split(b"\n\n"):
            payload = event.partition(b"\ndata: ")[2]
            if not payload:
                continue
            told = _tolds.decode(payload)
            self._count(told)
            if told.response != _NULL:
                event = self._with_ours(told, payload)
            self._note(told)
            if told.type in _LAST:
                self.last = event + b"\n\n"
            else:
                shown.append(event + b"\n\n")
        return b"".join(shown)

    def whole(self, data: bytes) -> bytes:
        """A whole response as the app gets it."""
        self.response = self._owned(data)
        return self.response

    def _owned(self, response: bytes) -> bytes:
        members = _objects.decode(response)
        created = _any.decode(members.get("created_at", b"null"))
        if isinstance(created, int | float):
            self._progress.created = int(created)
        return msgspec.json.encode({**members, **self._ours})

    def _with_ours(self, told: _Told, payload: bytes) -> bytes:
        members = _objects.decode(payload)
        response = self._owned(bytes(told.response))
        if told.type in _LAST:
            self.response = response
        members["response"] = msgspec.Raw(response)
        return b"event: %b\ndata: %b" % (told.type.encode(), msgspec.json.encode(members))

    def _count(self, told: _Told) -> None:
        number = told.sequence_number
        self._progress.sequence = (self._progress.sequence if number is None else number) + 1

    def _note(self, told: _Told) -> None:
        progress = self._progress
        item = progress.open
        match told.type:
            case "response.created":
                progress.begun = True
            case "response.output_item.added" if told.item is not None:
                progress.open = _opened(told.item, told.output_index)
            case "response.output_item.done" if told.item is not None:
                progress.output.append(told.item)
                if item is not None and item.index == told.output_index:
                    progress.open = None
            case "response.content_part.done" if isinstance(item, MessageItem) and told.part:
                item.parts.append(told.part)
                item.texts, item.scores = [], []
            case "response.output_text.delta" if isinstance(item, MessageItem):
                item.texts.append(str(told.delta))
                item.scores += [_scored(score) for score in told.logprobs or ()]
            case "response.reasoning_summary_part.done" if isinstance(item, SummaryItem):
                item.parts += [told.part] if told.part else []
                item.texts = []
            case "response.reasoning_summary_text.delta" if isinstance(item, SummaryItem):
                item.texts.append(str(told.delta))
            case "response.reasoning_text.delta":
                self._thought(item, str(told.delta))

    def _thought(self, item: Item | None, text: str) -> None:
        """Thoughts in their own words: those of an item that may have had a summary told, too."""
        if isinstance(item, SummaryItem):
            item = self._progress.open = ReasoningItem(item.id, item.index)
        if isinstance(item, ReasoningItem):
            item.texts.append(text)


def _opened(item: dict[str, Any], index: int) -> Item:
    id = str(item.get("id"))
    match item.get("type"):
        case "message":
            return MessageItem(id, index)
        case "reasoning":
            return SummaryItem(id, index)
        case _:
            return OtherItem(index, item)


def _scored(score: _Likely) -> Scored:
    top = tuple(Likely(one.token.encode(), one.logprob) for one in score.top_logprobs)
    return Scored(score.token.encode(), score.logprob, top)
