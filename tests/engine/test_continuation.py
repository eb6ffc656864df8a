"""What follows when a target fails after the app has been sent something."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any

import pytest

from gateway.audit.record import Seam
from gateway.domain.call import (
    Api,
    Begun,
    Call,
    Chat,
    Completion,
    Embedding,
    Message,
    Shape,
    ShapeKind,
    Task,
)
from gateway.domain.events import (
    Called,
    Continued,
    Delta,
    Event,
    Failed,
    FailureKind,
    Finished,
    FinishReason,
    Reasoned,
    Relayed,
    Started,
    Usage,
)
from gateway.domain.target import Target
from gateway.engine.attempt import Serving, Told
from tests.engine.test_engine import ALLOW_ALL, FIRST, SECOND, House, Scripted, failed

BROKEN = failed(FailureKind.TRUNCATED)
REST: tuple[Event, ...] = (Delta("lo"), Usage(9, 2), Finished((FinishReason.STOP,)))


class Remembering(Scripted):
    """Remembers the calls, too."""

    def __init__(self, **scripts: tuple[Event, ...]) -> None:
        super().__init__(**scripts)
        self.calls: list[Call] = []

    async def attempt(self, target: Target, call: Call) -> AsyncGenerator[Sequence[Event], None]:
        self.calls.append(call)
        async for events in super().attempt(target, call):
            yield events


def chat(**fields: Any) -> Chat:
    return Chat((Message("user", "Say hello."),), **fields)


def texts(events: list[Told]) -> str:
    return "".join(event.text for event in events if isinstance(event, Delta | Relayed))


async def test_the_next_target_goes_on_where_the_first_broke_off() -> None:
    """One answer, whose second half another target gives; it is asked for no more than that."""
    relayed = Relayed(b"data: ..", "Hel", 2, block=1)
    begun = (Started("m", None, "chatcmpl-v", 7), relayed, *BROKEN)
    backend = Remembering(openai=begun, mistral=REST)
    house = House(backend)
    events = await house.ask(asked=chat(max_tokens=10))
    assert [type(event) for event in events] == [
        *(Serving, Started, Relayed, Continued, Delta, Usage, Finished)
    ]
    assert events[3] == Continued("chatcmpl-v", 7, 1)
    assert texts(events) == "Hello"
    asked = backend.calls[1]
    assert asked.begun == Begun("Hel", 2, 2)
    assert asked.task == chat(max_tokens=8, prefill="Hel")
    # What was begun is no part of the prompt, and part of the answer.
    assert events[5] == Usage(7, 4)
    (record,) = house.records
    assert (record.outcome, record.served_by, record.failover) == ("served", SECOND.id, "truncated")
    assert record.sent_characters == len("Hello")
    assert (record.prompt_tokens, record.completion_tokens) == (7, 4)
    first, second = record.attempts
    assert (first.outcome, first.seam) == ("truncated", Seam(3, 2))
    assert (second.outcome, second.seam) == ("served", None)


async def test_an_answer_may_be_gone_on_with_more_than_once() -> None:
    """Each is given all that was sent before it; four attempts are the most."""
    backend = Remembering(openai=(Delta("a"), *BROKEN), mistral=(Delta("é"), *BROKEN))
    house = House(backend)
    events = await house.ask(asked=chat())
    assert [call.begun and call.begun.text for call in backend.calls] == [
        *(None, "a", "aé", "aéa"),
    ]
    assert backend.asked == ["openai", "mistral", "openai", "mistral"]
    assert texts(events) == "aéaé"
    assert events[-1] == BROKEN[0]
    (record,) = house.records
    assert record.outcome == "broken"
    assert [attempt.seam for attempt in record.attempts] == [
        *(Seam(1, 1), Seam(3, 2), Seam(4, 3), Seam(6, 4)),
    ]


@pytest.mark.parametrize("continuation", [True, False])
async def test_a_long_answer_is_kept_whole_where_somebody_may_go_on(continuation: bool) -> None:
    """However many pieces it came in; where nobody may, only where it broke off is known."""
    words = [f"é{number} " for number in range(500)]
    backend = Remembering(openai=(*(Delta(word) for word in words), *BROKEN), mistral=REST)
    house = House(backend, continuation=continuation)
    events = await house.ask(asked=chat())
    said = "".join(words)
    assert texts(events) == said + ("lo" if continuation else "")
    assert house.records[0].attempts[0].seam == Seam(len(said.encode()), 500)
    if continuation:
        assert backend.calls[1].begun == Begun(said, 500, 500)
    else:
        assert events[-1] == BROKEN[0]


async def test_thoughts_are_not_given_to_the_next_as_its_own_answer() -> None:
    """They count as spent tokens, and what is begun is the text alone."""
    backend = Remembering(openai=(Reasoned("hm"), Delta("Hel"), *BROKEN), mistral=REST)
    await House(backend).ask(asked=chat())
    assert backend.calls[1].begun == Begun("Hel", 1, 2)


async def test_who_cannot_go_on_is_passed_over() -> None:
    """A vendor that takes no beginning of an answer refuses the request: the next is asked."""
    backend = Remembering(
        openai=(Delta("Hel"), *BROKEN), mistral=failed(FailureKind.REQUEST_FAULT, status=400)
    )
    house = House(backend)
    events = await house.ask(asked=chat())
    assert backend.asked == ["openai", "mistral", "openai"]
    assert (texts(events), events[-1]) == ("HelHel", BROKEN[0])


@pytest.mark.parametrize(
    "sent",
    [
        (Called(0, id="call_1", name="f"),),
        (Delta("Hel"), Called(0, '{"a":')),
        (Relayed(b"..", "", binding=True),),
        (Relayed(b"..", "", binding=True), Relayed(b"..", "x", 1)),
    ],
)
async def test_half_a_call_ends_in_an_error(sent: tuple[Event, ...]) -> None:
    """No other model can be made to have said it."""
    house = House(Scripted(openai=(*sent, *BROKEN)))
    events = await house.ask(asked=chat())
    assert events[-1] == BROKEN[0]
    assert house.backend.asked == ["openai"]
    assert house.records[0].outcome == "broken"


async def test_a_plain_text_is_gone_on_with_behind_its_prompt() -> None:
    """The next target is given the prompt with what there is, and asked for no more than that."""
    backend = Remembering(openai=(Delta("Hel"), *BROKEN), mistral=REST)
    house = House(backend)
    events = await house.ask(api=Api.COMPLETIONS, asked=Completion(("Say: ",), max_tokens=10))
    assert texts(events) == "Hello"
    assert backend.calls[1].begun == Begun("Hel", 1, 1)
    assert backend.calls[1].task == Completion(("Say: Hel",), max_tokens=9)


@pytest.mark.parametrize(
    "task",
    [
        chat(choices=2),
        Completion(("x",), choices=2),
        Completion(("x", "y")),
        Completion(((1, 2),)),
        Completion(("x",), echo=True),
        Completion(("x",), suffix="y"),
        Completion(("x",), logprobs=0),
        Completion(("x",), shape=Shape(ShapeKind.JSON_OBJECT)),
        Embedding(("x",)),
    ],
)
async def test_what_is_no_single_text_ends_in_an_error(task: Task) -> None:
    """Several answers at once, and texts that are more than what stands behind the prompt, are not
    gone on with.
    """
    house = House(Scripted(openai=(Delta("a"), *BROKEN)))
    assert (await house.ask(asked=task))[-1] == BROKEN[0]
    assert house.backend.asked == ["openai"]


async def test_a_model_that_must_not_be_continued_is_not() -> None:
    """``continuation: false`` holds in the middle of a stream, and only there."""
    house = House(Scripted(openai=(Delta("a"), *BROKEN)), continuation=False)
    assert (await house.ask(asked=chat()))[-1] == BROKEN[0]
    house = House(Scripted(openai=BROKEN), continuation=False)
    assert texts(await house.ask(asked=chat())) == "Hello"


async def test_a_lone_target_goes_on_with_its_own_answer() -> None:
    """Once, after a pause."""
    backend = Remembering(openai=(Delta("a"), *BROKEN))
    house = House(backend, FIRST, in_force=ALLOW_ALL)
    events = await house.ask(asked=chat())
    assert [call.begun for call in backend.calls] == [None, Begun("a", 1, 1)]
    assert isinstance(events[-1], Failed)


async def test_a_flaw_behind_a_complete_answer_counts_and_is_not_told() -> None:
    """The app has its answer; the target's breaker has a failure."""
    flaw = Failed(FailureKind.TRUNCATED, "no terminator")
    house = House(Scripted(openai=(Delta("Hello"), Finished((FinishReason.STOP,), flaw))))
    for _ in range(5):
        await house.ask(asked=chat())
    assert {record.outcome for record in house.records} == {"served"}
    serving = (await house.ask(asked=chat()))[0]
    assert isinstance(serving, Serving)
    assert serving.failover == "breaker_open"
