"""Answers in each dialect, there and back: what one gateway writes, another reads, and all of it is
still there. What is written is held against the official SDKs' own models, extra members forbidden.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.events import (
    Called,
    Delta,
    Finished,
    FinishReason,
    Piece,
    Reasoned,
    Usage,
)
from tests.surfaces import strict
from tests.surfaces.answers import (
    ANTHROPIC,
    OPENAI,
    Answer,
    answers,
    by_choice,
    chat_writer,
    merged,
    message_writer,
    read_stream,
    read_whole,
    streamed,
    whole,
)

SIZES = st.lists(st.integers(1, 200), min_size=1, max_size=4)


def same(found: Answer, expected: Answer) -> None:
    assert by_choice(found.pieces) == by_choice(expected.pieces)
    assert found.usage == expected.usage
    assert found.finished == expected.finished


def for_messages(answer: Answer) -> Answer:
    """In this dialect a call is what a turn ends for, also where it was the one that had to be."""
    if answer.calls and answer.finished.reasons == (FinishReason.STOP,):
        return replace(answer, finished=Finished((FinishReason.TOOL_CALLS,)))
    return answer


@given(answers(), SIZES)
def test_a_stream_of_chunks(answer: Answer, sizes: list[int]) -> None:
    """Whatever pieces it comes in."""
    stream = streamed(chat_writer(), answer)
    strict.chunks(stream)
    same(read_stream(OPENAI, stream, sizes), answer)


@given(st.integers(1, 3).flatmap(lambda n: answers(choices=n, scores=True)))
def test_a_stream_of_several_choices_with_scores(answer: Answer) -> None:
    """Side by side."""
    stream = streamed(chat_writer(scores=True), answer)
    strict.chunks(stream)
    same(read_stream(OPENAI, stream), answer)


@given(st.integers(1, 3).flatmap(lambda n: answers(choices=n, scores=True)))
def test_a_whole_chat_completion(answer: Answer) -> None:
    """Its text stands in one place, whatever stood between."""
    body = whole(chat_writer(scores=True), answer)
    strict.chat(body)
    same(read_whole(OPENAI, body), replace(answer, pieces=tuple(_gathered(answer))))


def _gathered(answer: Answer) -> list[Piece]:
    """Each choice's thoughts, its text, its calls."""
    kinds = (Reasoned, Delta, Called)
    found: list[Piece] = []
    for choice in range(len(answer.finished.reasons)):
        for kind in kinds:
            of = [p for p in answer.pieces if isinstance(p, kind) and p.choice == choice]
            found += merged(of)
    return found


@given(answers(), SIZES)
def test_a_stream_of_a_message(answer: Answer, sizes: list[int]) -> None:
    """Whatever pieces it comes in."""
    stream = streamed(message_writer(), answer)
    strict.events(stream)
    same(read_stream(ANTHROPIC, stream, sizes), for_messages(answer))


@given(answers())
def test_a_whole_message(answer: Answer) -> None:
    """Blocks keep their order."""
    body = whole(message_writer(), answer)
    strict.message(body)
    same(read_whole(ANTHROPIC, body), for_messages(answer))


@given(answers())
def test_across_the_dialects(answer: Answer) -> None:
    """A vendor's chunks for an app of the other dialect, and back again."""
    chunks = read_stream(OPENAI, streamed(chat_writer(), answer))
    message = read_stream(ANTHROPIC, streamed(message_writer(), chunks))
    same(message, for_messages(answer))
    again = read_stream(OPENAI, streamed(chat_writer(), message))
    same(again, for_messages(answer))


@given(answers())
def test_across_the_dialects_whole(answer: Answer) -> None:
    """The same, not streamed."""
    chat = read_whole(OPENAI, whole(chat_writer(), answer))
    message = read_whole(ANTHROPIC, whole(message_writer(), chat))
    expected = for_messages(replace(answer, pieces=tuple(_gathered(answer))))
    same(message, expected)
    same(read_whole(OPENAI, whole(chat_writer(), message)), expected)


@pytest.mark.parametrize("stop", ["END", None])
def test_the_stop_that_ended_a_message(stop: str | None) -> None:
    """Which the other dialect does not tell."""
    answer = Answer((Delta("a"),), Usage(1, 1), Finished((FinishReason.STOP,), stop=stop))
    same(read_stream(ANTHROPIC, streamed(message_writer(), answer)), answer)
    same(read_whole(ANTHROPIC, whole(message_writer(), answer)), answer)


def test_an_answer_that_says_nothing() -> None:
    """It is well-formed in both, and ends as it does."""
    nothing = Answer((), Usage(3, 0), Finished((FinishReason.LENGTH,)))
    strict.chunks(streamed(chat_writer(), nothing))
    strict.chat(whole(chat_writer(), nothing))
    strict.events(streamed(message_writer(), nothing))
    strict.message(whole(message_writer(), nothing))
    same(read_stream(OPENAI, streamed(chat_writer(), nothing)), nothing)
    same(read_stream(ANTHROPIC, streamed(message_writer(), nothing)), nothing)
