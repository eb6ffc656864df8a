"""Continuous batching on a model that answers as it is told."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from gateway.domain.call import Sampling
from gateway.local.batch import STEP, Batcher
from gateway.local.formats import Thinking
from gateway.local.jobs import Admitted, Declined, Ended, Event, Job, Said
from gateway.local.pictures import Picture, laid_out
from gateway.local.protocol import Reason, RefusalKind
from gateway.local.reader import MarkedReader, Piece, PieceKind
from tests.local.fake_model import FakeModel

A, B = 1001, 1002


def clock() -> Callable[[], float]:
    """Every reading is a second later."""
    return map(float, itertools.count()).__next__


def drain(batcher: Batcher) -> list[Event]:
    events: list[Event] = []
    for _ in range(5000):
        if batcher.idle:
            return events
        events += batcher.step()
    raise AssertionError("the batcher does not come to an end")


def said(events: list[Event], key: object) -> str:
    return "".join(e.piece.text for e in events if isinstance(e, Said) and e.key == key)


def content(text: str) -> Piece:
    return Piece(PieceKind.CONTENT, text)


def one(answer: list[bytes], **job: object) -> list[Event]:
    batcher = Batcher(FakeModel({A: answer}), 0, clock())
    batcher.submit(Job("a", [0, 0, A], **job))  # type: ignore[arg-type] # a job's own fields
    return drain(batcher)


def test_one_answer() -> None:
    """Admitted, said, ended: with counts that do not include the end token."""
    assert one([b"Hel", b"lo"]) == [
        Admitted("a", 3),
        Said("a", content("Hel")),
        Said("a", content("lo")),
        Ended("a", Reason.STOP, 3, 2),
    ]


def test_thoughts_are_counted() -> None:
    """Among all tokens of the answer, with the mark that ends them."""
    reader = MarkedReader(None, Thinking("<think>", "</think>"), opened=True)
    ended = one([b"Let me", b" see.", b"</think>", b"It is", b" Paris."], reader=reader)[-1]
    assert ended == Ended("a", Reason.STOP, 3, 5, reasoning=3)


@pytest.mark.parametrize(
    ("answer", "stops", "shown", "tokens", "stop"),
    [
        ([b"one ", b"END", b" two"], ("END",), "one ", 2, "END"),
        ([b"one E", b"N", b"D two"], ("END",), "one ", 3, "END"),
        ([b"one E", b"N", b"X two"], ("END",), "one ENX two", 3, None),
        ([b"aab", b"x"], ("ab", "aab"), "", 1, "aab"),
        ([b"one EN"], ("END",), "one EN", 1, None),
        ([b"\xe2\x82", b"\xac\xe2", b"\x82\xac|"], ("€|",), "€", 3, "€|"),
    ],
)
def test_stop_strings(
    answer: list[bytes], stops: tuple[str, ...], shown: str, tokens: int, stop: str | None
) -> None:
    """A stop string is found across tokens, and told; what only looked like one is shown in the
    end.
    """
    events = one(answer, stop=stops)
    assert said(events, "a") == shown
    assert events[-1] == Ended("a", Reason.STOP, 3, tokens, stop=stop)


def test_never_half_a_character() -> None:
    """Bytes wait until their character is whole; one that never is, is not shown."""
    events = one([b"a\xf0\x9f", b"\x98", b"\x80b", b"\xe2\x82"])
    assert [e.piece.text for e in events if isinstance(e, Said)] == ["a", "😀b"]


def test_max_tokens() -> None:
    """The limit ends the answer and says so; what was held back for a stop string is shown."""
    events = one([b"x"] * 9, max_tokens=4, stop=("xxxxxx",))
    assert said(events, "a") == "xxxx"
    assert events[-1] == Ended("a", Reason.LENGTH, 3, 4)


def test_end_of_context() -> None:
    """Without a limit, an answer ends where the context does."""
    batcher = Batcher(FakeModel({A: [b"x"] * 99}, context=10), 0, clock())
    batcher.submit(Job("a", [0, 0, A]))
    assert drain(batcher)[-1] == Ended("a", Reason.LENGTH, 3, 7)


def test_overflow_names_both_numbers() -> None:
    """A prompt that leaves no room for a token is declined before it takes a slot."""
    batcher = Batcher(FakeModel({}, context=10), 0, clock())
    (declined,) = batcher.submit(Job("a", [A] * 10))
    assert isinstance(declined, Declined)
    assert declined.kind is RefusalKind.CONTEXT_OVERFLOW
    assert "has 10 tokens" in declined.message
    assert "context is 10 tokens" in declined.message
    assert batcher.idle


def test_long_prompt_does_not_stall_who_generates() -> None:
    """While one generates, every step holds its token and only a share of the other's prompt."""
    model = FakeModel({A: [b"x"] * 50, B: [b"y"]}, batch=512)
    batcher = Batcher(model, 0, clock())
    batcher.submit(Job("a", [A]))
    batcher.step()
    batcher.submit(Job("b", [B] * 640))
    steps = [batcher.step() for _ in range(10)]
    assert all(said(events, "a") == "x" for events in steps)
    assert [sum(len(c.tokens) for c in chunks) for chunks in model.decoded[1:11]] == [65] * 10
    assert said(steps[-1], "b") == "y"


def test_alone_a_prompt_gets_the_whole_batch() -> None:
    """Where nobody is stalled, and nobody would have to wait for long."""
    model = FakeModel({A: []}, batch=100)
    batcher = Batcher(model, 0, lambda: 0.0)
    batcher.submit(Job("a", [A] * 250))
    drain(batcher)
    assert [len(chunks[0].tokens) for chunks in model.decoded] == [100, 100, 50]


def test_a_step_of_prompts_alone_is_as_long_as_one_may_wait() -> None:
    """As soon as it is known how fast the model is: nobody can be let go within a step."""
    times = itertools.count(0.0, 1.0)
    model = FakeModel({A: []}, context=2000, batch=512)
    batcher = Batcher(model, 0, lambda: next(times))
    batcher.submit(Job("a", [A] * 1000))
    drain(batcher)
    sizes = [len(chunks[0].tokens) for chunks in model.decoded[:2]]
    assert sizes == [512, int(512 * STEP)]


def test_short_prompt_overtakes_a_long_one() -> None:
    """Prompts share a step equally, so a short one is answered first."""
    model = FakeModel({A: [b"x"], B: [b"y"]}, batch=100)
    batcher = Batcher(model, 0, clock())
    batcher.submit(Job("long", [A] * 400))
    batcher.submit(Job("short", [B] * 20))
    events = drain(batcher)
    assert [len(c.tokens) for c in model.decoded[0]] == [80, 20]
    assert [e.key for e in events if isinstance(e, Ended)] == ["short", "long"]


def test_full_queue_declines_with_an_estimate() -> None:
    """Slots and queue are the bound, and what waits longer is told to wait longer."""
    batcher = Batcher(FakeModel({A: [b"x"] * 9}), 1, clock())
    for key in range(3):
        assert batcher.submit(Job(key, [A] * 10)) == []
    (first,) = batcher.submit(Job("late", [A]))
    assert isinstance(first, Declined)
    assert first.kind is RefusalKind.BUSY
    longer = Batcher(FakeModel({A: [b"x"] * 9}), 9, clock())
    for key in range(11):
        longer.submit(Job(key, [A] * 10))
    (second,) = longer.submit(Job("late", [A]))
    assert isinstance(second, Declined)
    assert first.retry_after is not None
    assert second.retry_after is not None
    assert 1 <= first.retry_after < second.retry_after


def test_the_answers_of_one_request_wait_together() -> None:
    """However many they are: the first has a place for all, and the next request has none."""
    batcher = Batcher(FakeModel({A: [b"x"]}), 1, clock())
    assert batcher.submit(Job(0, [A] * 10)) == []
    for key in range(1, 9):
        assert batcher.submit(Job(key, [A] * 10, follows=True)) == []
    (late,) = batcher.submit(Job("late", [A]))
    assert isinstance(late, Declined)
    assert len([event for event in drain(batcher) if isinstance(event, Ended)]) == 9


def test_waiting_ones_follow_in_order() -> None:
    """A slot that is free goes to who has waited longest."""
    batcher = Batcher(FakeModel({A: [b"x"]}, slots=1), 9, clock())
    for key in range(4):
        batcher.submit(Job(key, [A]))
    assert [e.key for e in drain(batcher) if isinstance(e, Ended)] == [0, 1, 2, 3]


def test_cancel_frees_the_slot() -> None:
    """The next in the queue has it in the very next step; samplers are given back."""
    model = FakeModel({A: [b"x"] * 50, B: [b"y"]}, slots=1)
    batcher = Batcher(model, 2, clock())
    for key, name in (("a", A), ("gone", A), ("b", B)):
        batcher.submit(Job(key, [name]))
    batcher.step()
    batcher.cancel("gone")
    batcher.cancel("a")
    batcher.cancel("nobody")
    events = batcher.step()
    assert events == [Admitted("b", 1), Said("b", content("y"))]
    drain(batcher)
    assert all(sampler.closed for sampler in model.samplers)
    assert len(model.samplers) == 2


def declined(events: list[Event]) -> list[tuple[object, RefusalKind]]:
    return [(e.key, e.kind) for e in events if isinstance(e, Declined)]


def test_what_is_spare_is_refused_where_no_slot_is_free_for_it() -> None:
    """Nobody's slot, and nobody's place in the queue."""
    batcher = Batcher(FakeModel({A: [b"x"] * 9}), 9, clock())
    for key in ("a", "b"):
        batcher.submit(Job(key, [A]))
    assert declined(batcher.submit(Job("s", [A], spare=True))) == [("s", RefusalKind.BUSY)]
    assert {e.key for e in drain(batcher) if isinstance(e, Ended)} == {"a", "b"}


def test_what_is_spare_gives_way_before_anybody_waits_for_a_step() -> None:
    """The newest first; who comes has the slot in the next step, as if nobody had been there."""
    batcher = Batcher(FakeModel({A: [b"x"] * 9, B: [b"y"]}), 0, clock())
    for key in ("s1", "s2"):
        assert batcher.submit(Job(key, [A], spare=True)) == []
    batcher.step()
    assert batcher.submit(Job("b", [B])) == []
    events = batcher.step()
    assert declined(events) == [("s2", RefusalKind.BUSY)]
    assert Admitted("b", 1) in events
    ended = [e.key for e in drain(batcher) if isinstance(e, Ended)]
    assert ended == ["b", "s1"]


def test_what_is_spare_does_not_begin_before_others_who_wait() -> None:
    """It came while a slot was free, and then somebody wanted that."""
    batcher = Batcher(FakeModel({A: [b"x"] * 9, B: [b"y"]}, slots=1), 9, clock())
    assert batcher.submit(Job("s", [A], spare=True)) == []
    batcher.submit(Job("b", [B]))
    events = batcher.step()
    assert declined(events) == [("s", RefusalKind.BUSY)]
    assert Admitted("b", 1) in events


def test_what_is_spare_makes_nobody_too_late() -> None:
    """What it has to do is no reason to refuse another who has little time."""
    model = FakeModel({A: [b"x"] * 900, B: [b"y"]}, slots=1)
    batcher = Batcher(model, 0, clock())
    batcher.submit(Job("s", [A], max_tokens=900, spare=True))
    batcher.step()
    batcher.step()
    assert batcher.submit(Job("b", [B], until=10.0)) == []
    assert [e.key for e in drain(batcher) if isinstance(e, Ended)] == ["b"]


def test_no_room_costs_what_is_spare_first() -> None:
    model = FakeModel({A: [b"x"] * 3, B: [b"y"]})
    batcher = Batcher(model, 0, clock())
    batcher.submit(Job("s", [A], spare=True))
    batcher.step()
    batcher.submit(Job("b", [B]))
    model.no_room = 1
    events = drain(batcher)
    assert declined(events) == [("s", RefusalKind.BUSY)]
    assert Ended("b", Reason.STOP, 1, 1) in events


def test_no_room_costs_the_newest() -> None:
    """When memory has no room the newest gives way and the others go on."""
    model = FakeModel({A: [b"x"] * 3, B: [b"y"]})
    batcher = Batcher(model, 0, clock())
    batcher.submit(Job("a", [A]))
    batcher.step()
    batcher.submit(Job("b", [B]))
    model.no_room = 1
    events = drain(batcher)
    assert [(e.key, e.kind) for e in events if isinstance(e, Declined)] == [("b", RefusalKind.BUSY)]
    assert Ended("a", Reason.STOP, 1, 3) in events


def test_seed_is_handed_on() -> None:
    """A given seed is the sampler's; none given, each answer has its own."""
    model = FakeModel({A: []}, slots=3)
    batcher = Batcher(model, 0, clock())
    for key, seed in enumerate((7, None, None)):
        batcher.submit(Job(key, [A], Sampling(seed=seed)))
    drain(batcher)
    assert model.seeds[0] == 7
    assert model.seeds[1] != model.seeds[2]


def test_what_has_a_seed_is_computed_by_itself() -> None:
    """In batches of its own, its prompt cut at the same places each time; the others go on."""
    model = FakeModel({A: [b"x"] * 3, B: [b"y"] * 3})
    batcher = Batcher(model, 0, clock())
    batcher.submit(Job("b", [B]))
    batcher.submit(Job("a", [7] * 99 + [A], Sampling(seed=1)))
    events = drain(batcher)
    assert said(events, "a") == "xxx"
    assert said(events, "b") == "yyy"
    slot = next(chunks[0].slot for chunks in model.decoded if len(chunks[0].tokens) == 64)
    alone = [chunks for chunks in model.decoded if slot in {chunk.slot for chunk in chunks}]
    assert [[len(chunk.tokens) for chunk in chunks] for chunks in alone] == [
        [64],
        [36],
        [1],
        [1],
        [1],
    ]
    assert Admitted("a", 100, 0) in events


def test_two_with_a_seed_are_computed_at_one_time() -> None:
    """The third comes when one of them has ended, though slots are free."""
    model = FakeModel({A: [b"x"]}, slots=4)
    batcher = Batcher(model, 0, clock())
    for key in "abc":
        batcher.submit(Job(key, [A], Sampling(seed=1)))
    batcher.step()
    assert (batcher.active, batcher.waiting) == (2, 1)
    batcher.cancel("a")
    events = batcher.step()
    assert batcher.waiting == 0
    assert said(events, "c") == "x"


def test_one_beginning_is_computed_once_for_all_who_arrive_together() -> None:
    """The others wait for the first's, then take it over."""
    model = FakeModel({A: [b"x"], B: [b"y"]}, slots=3, batch=100)
    batcher = Batcher(model, 0, clock())
    beginning = list(range(2000, 2200))
    events = batcher.submit(Job("a", [*beginning, A]))
    batcher.submit(Job("b", [*beginning, B]))
    batcher.submit(Job("other", [A]))
    events += drain(batcher)
    cached = {event.key: event.cached for event in events if isinstance(event, Admitted)}
    assert cached["b"] == 200
    assert (said(events, "a"), said(events, "b")) == ("x", "y")
    assert next(event.key for event in events if isinstance(event, Ended)) == "other"
    computed = sum(len(chunk.tokens) for chunks in model.decoded for chunk in chunks)
    assert computed < 2 * len(beginning)


def test_apps_take_turns() -> None:
    """One that sends much does not keep another waiting behind all of it."""
    model = FakeModel({A: [b"x"]}, slots=1)
    batcher = Batcher(model, 99, clock())
    for number in range(5):
        batcher.submit(Job(("greedy", number), [A], app="greedy"))
    batcher.submit(Job(("modest", 0), [A], app="modest"))
    order = [event.key for event in drain(batcher) if isinstance(event, Ended)]
    assert order.index(("modest", 0)) == 1


def test_what_cannot_be_met_in_time_is_refused_at_once() -> None:
    """Not queued in vain; the wait that is told is an estimate of the work that is there."""
    model = FakeModel({A: [b"x"] * 100}, slots=1)
    batcher = Batcher(model, 99, lambda: 50.0)
    assert batcher.submit(Job("a", [A], max_tokens=100, until=50.1)) == []
    (declined,) = batcher.submit(Job("b", [A], until=50.5))
    assert isinstance(declined, Declined)
    assert declined.kind is RefusalKind.BUSY
    assert declined.retry_after is not None
    assert declined.retry_after > 0.5
    assert "longer than this request may take" in declined.message
    assert batcher.submit(Job("c", [A], until=1000.0)) == []


def test_a_grammar_that_is_complete_ends_the_answer() -> None:
    """Without a token for the end."""
    model = FakeModel({A: [b"{", b"}", b"no"]})
    batcher = Batcher(model, 0, clock())
    batcher.submit(Job("a", [A]))
    events = batcher.step()
    model.samplers[0].complete = True
    events += drain(batcher)
    assert said(events, "a") == "{}"
    assert events[-1] == Ended("a", Reason.STOP, 1, 2)


CAT, DOG = Picture(-7, 150, "cat"), Picture(-8, 20, "dog")


def looking(key: str, *pieces: Picture | tuple[int, ...], seed: int | None = None) -> Job:
    prompt, pictures = laid_out(pieces)
    return Job(key, prompt, Sampling(seed=seed), pictures=pictures)


def test_an_image_is_computed_by_itself_between_the_others_steps() -> None:
    """At its place, as a whole though it is longer than a batch; whoever generates goes on."""
    model = FakeModel({A: [b"x"], B: [b"y"] * 6}, slots=3)
    batcher = Batcher(model, 0, clock())
    batcher.submit(Job("b", [B]))
    batcher.step()
    batcher.submit(looking("a", (1, 2), CAT, (3,), DOG, CAT, (A,)))
    events = drain(batcher)
    assert (said(events, "a"), said(events, "b")) == ("x", "y" * 5)
    assert Ended("a", Reason.STOP, 2 + 150 + 1 + 20 + 150 + 1, 1) in events
    images = [chunks[0].picture for chunks in model.decoded if chunks[0].picture]
    assert images == [CAT, DOG, CAT]
    at = [index for index, chunks in enumerate(model.decoded) if chunks[0].picture]
    assert all(model.decoded[index - 1][0].slot == 0 for index in at), "b had no step before it"


def test_one_image_in_a_step_whoever_has_one() -> None:
    """The first who came has his computed first."""
    model = FakeModel({A: [b"x"]}, slots=2)
    batcher = Batcher(model, 0, clock())
    batcher.submit(looking("a", CAT, (A,)))
    batcher.submit(looking("b", DOG, (A,)))
    batcher.step()
    assert [chunk.picture for chunks in model.decoded for chunk in chunks] == [CAT]
    events = drain(batcher)
    assert said(events, "a") == said(events, "b") == "x"


def test_an_image_that_was_seen_is_not_computed_again() -> None:
    """Of the next turn only what is new; another image at its place is another prompt."""
    model = FakeModel({A: [b"x"]}, slots=2)
    batcher = Batcher(model, 0, clock())
    cached = []
    for job in (
        looking("a", (1, 2), CAT, (A,)),
        looking("a", (1, 2), CAT, (A, 0, 5, A)),
        looking("a", (1, 2), Picture(-9, 150, "fox"), (A,)),
        looking("a", (1, 2), CAT, CAT, (A,)),
    ):
        batcher.submit(job)
        cached += [event.cached for event in drain(batcher) if isinstance(event, Admitted)]
    assert cached.pop(2) <= 2
    assert cached == [0, 154, 152]


def test_a_prompt_may_end_in_an_image() -> None:
    """The answer's first token comes from it, so it is computed each time."""
    model = FakeModel({CAT.mark: [b"x", b"y"]}, slots=1)
    batcher = Batcher(model, 0, clock())
    for cached in (0, 2):
        batcher.submit(looking("a", (1, 2), CAT))
        events = drain(batcher)
        assert said(events, "a") == "xy"
        assert events[0] == Admitted("a", 152, cached)


def test_an_image_with_a_seed_is_computed_apart_from_others() -> None:
    """What is before and behind it is cut at the same places each time."""
    model = FakeModel({A: [b"x"]})
    batcher = Batcher(model, 0, clock())
    batcher.submit(looking("b", CAT, (A,)))
    batcher.submit(looking("a", (7,) * 70, CAT, (7,) * 65 + (A,), seed=3))
    events = drain(batcher)
    assert said(events, "a") == said(events, "b") == "x"
    slot = next(chunks[0].slot for chunks in model.decoded if len(chunks[0].tokens) == 64)
    alone = [chunks[0] for chunks in model.decoded if chunks[0].slot == slot]
    assert [len(chunk.tokens) for chunk in alone] == [64, 6, 150, 64, 2, 1]


def test_an_image_that_cannot_be_computed_ends_its_request_alone() -> None:
    """The others, and the next, are answered."""
    model = FakeModel({A: [b"x"] * 3})
    batcher = Batcher(model, 1, clock())
    batcher.submit(Job("b", [A]))
    batcher.submit(looking("a", CAT, (A,)))
    batcher.submit(Job("c", [A]))
    model.blind = True
    events = drain(batcher)
    assert [(e.key, e.kind) for e in events if isinstance(e, Declined)] == [
        ("a", RefusalKind.FAULT)
    ]
    assert said(events, "b") == said(events, "c") == "xxx"
    assert all(sampler.closed for sampler in model.samplers)


def test_an_image_without_room_gives_way() -> None:
    """Nobody else does: they have a memory of their own."""
    model = FakeModel({A: [b"x"], B: [b"y"] * 3}, slots=2)
    batcher = Batcher(model, 0, clock())
    batcher.submit(Job("b", [B]))
    batcher.step()
    batcher.submit(looking("a", CAT, (A,)))
    batcher.admit()
    model.no_room_for_images = True
    events = drain(batcher)
    assert [(e.key, e.kind) for e in events if isinstance(e, Declined)] == [("a", RefusalKind.BUSY)]
    assert Ended("b", Reason.STOP, 1, 3) in events
