"""Answers that are drawn, and what each reads and writes of one: whole and as a stream."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from msgspec import structs

from gateway.domain.events import (
    Called,
    Delta,
    Event,
    Finished,
    FinishReason,
    Likely,
    Piece,
    Reasoned,
    Scored,
    Usage,
)
from gateway.upstream.stream import StreamRelay
from gateway.wire.anthropic_answer import MessageWriter
from gateway.wire.anthropic_relay import AnthropicSpeech
from gateway.wire.openai_answer import ChatWriter
from gateway.wire.openai_relay import OpenAISpeech
from gateway.wire.relay import Speech
from gateway.wire.writer import Writer

MODEL = "asked"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a target has said."""

    pieces: tuple[Piece, ...]
    usage: Usage
    finished: Finished

    @property
    def calls(self) -> bool:
        return any(isinstance(piece, Called) for piece in self.pieces)


_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
_NAMES = st.from_regex(r"\A[a-zA-Z0-9_-]{1,12}\Z")
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | _TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_TEXTS, inner, max_size=2),
    max_leaves=5,
)
_ARGUMENTS = st.dictionaries(_TEXTS, _VALUES, max_size=3).map(json.dumps)
_TOKENS = st.builds(
    Scored,
    st.binary(min_size=1, max_size=4),
    st.floats(-20, 0),
    st.lists(
        st.builds(Likely, st.binary(min_size=1, max_size=4), st.floats(-20, 0)), max_size=2
    ).map(tuple),
)


@st.composite
def _said(draw: st.DrawFn, choice: int, *, scores: bool) -> list[Piece]:
    """One choice: thoughts, then text and calls in any order, each in parts."""
    told = st.lists(_TOKENS, max_size=2).map(tuple) if scores else st.just(())
    pieces: list[Piece] = [Reasoned(text, choice) for text in draw(st.lists(_TEXTS, max_size=2))]
    calls = 0
    for _ in range(draw(st.integers(0, 3))):
        if draw(st.booleans()):
            pieces += [
                Delta(text, choice, draw(told)) for text in draw(st.lists(_TEXTS, max_size=3))
            ]
            continue
        arguments = draw(_ARGUMENTS)
        cuts = sorted(draw(st.lists(st.integers(0, len(arguments)), max_size=3)))
        parts = [arguments[a:b] for a, b in zip([0, *cuts], [*cuts, len(arguments)], strict=True)]
        pieces.append(Called(calls, "", draw(_NAMES), draw(_NAMES), choice))
        pieces += [Called(calls, part, choice=choice) for part in parts if part]
        calls += 1
    return pieces


@st.composite
def answers(draw: st.DrawFn, *, choices: int = 1, scores: bool = False) -> Answer:
    said = [draw(_said(choice, scores=scores)) for choice in range(choices)]
    pieces: list[Piece] = []
    while any(said):
        # Choices are generated side by side.
        pieces.append(draw(st.sampled_from([one for one in said if one])).pop(0))
    reasons = tuple(draw(st.sampled_from(FinishReason)) for _ in range(choices))
    cached, stored, rest = (draw(st.integers(0, 100)) for _ in range(3))
    completion = draw(st.integers(0, 100))
    usage = Usage(
        prompt=cached + stored + rest,
        completion=completion,
        cached=cached,
        reasoning=draw(st.integers(0, completion)),
        stored=stored,
    )
    return Answer(tuple(pieces), usage, Finished(reasons))


def merged(pieces: Iterable[Piece]) -> list[Piece]:
    """Pieces of one text, or of one call, put together: where an answer is cut says nothing."""
    found: list[Piece] = []
    calls: dict[tuple[int, int], int] = {}
    for piece in pieces:
        last = next((p for p in reversed(found) if p.choice == piece.choice), None)
        match piece, last:
            case (Called(name=None), _):
                at = calls[piece.choice, piece.index]
                begun = found[at]
                assert isinstance(begun, Called)
                found[at] = structs.replace(begun, arguments=begun.arguments + piece.arguments)
            case (Called(), _):
                calls[piece.choice, piece.index] = len(found)
                found.append(piece)
            case (Delta(text=text), Delta()):
                at = len(found) - 1 - found[::-1].index(last)
                found[at] = structs.replace(
                    last, text=last.text + text, scores=last.scores + piece.scores
                )
            case (Reasoned(text=text), Reasoned()):
                at = len(found) - 1 - found[::-1].index(last)
                found[at] = structs.replace(last, text=last.text + text)
            case _:
                found.append(piece)
    return found


def by_choice(pieces: Iterable[Piece]) -> list[Piece]:
    """What each choice says, one after the other: between them there is no order."""
    return sorted(merged(pieces), key=lambda piece: piece.choice)


def chat_writer(*, scores: bool = False) -> ChatWriter:
    return ChatWriter(id="chatcmpl-1", model=MODEL, created=1, include_usage=True, scores=scores)


def message_writer() -> MessageWriter:
    return MessageWriter(id="msg_1", model=MODEL)


def streamed(writer: Writer, answer: Answer) -> bytes:
    stream = b"".join(map(writer.piece, answer.pieces))
    writer.count(answer.usage)
    return stream + writer.end(answer.finished)


def whole(writer: Writer, answer: Answer) -> bytes:
    for piece in answer.pieces:
        writer.keep(piece)
    writer.count(answer.usage)
    return writer.whole(answer.finished)


def read_stream(speech: Speech, stream: bytes, sizes: Sequence[int] = (1 << 20,)) -> Answer:
    """What a gateway takes of a stream whose bytes its app is not to get."""
    relay = StreamRelay(
        speech.reader(MODEL, typed=True), lambda _: None, lambda _: None, typed=True
    )
    events: list[Event] = []
    at = 0
    while not relay.ended:
        size = sizes[len(events) % len(sizes)]
        events += relay.feed(stream[at : at + size])
        at += size
    assert at >= len(stream)
    assert relay.finished
    *said, usage, finished = events
    assert isinstance(usage, Usage)
    assert isinstance(finished, Finished)
    return Answer(_pieces(said), usage, finished)


def read_whole(speech: Speech, body: bytes) -> Answer:
    read = speech.answer(body, MODEL, typed=True)
    assert read.usage is not None
    return Answer(_pieces(read.pieces), read.usage, Finished(read.reasons, stop=read.stop))


def _pieces(events: Iterable[Any]) -> tuple[Piece, ...]:
    return tuple(event for event in events if isinstance(event, Delta | Reasoned | Called))


OPENAI, ANTHROPIC = OpenAISpeech(), AnthropicSpeech()
