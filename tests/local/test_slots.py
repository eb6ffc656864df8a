"""What a slot still holds is not computed again, and is never what somebody else said."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.call import Sampling
from gateway.local.batch import Batcher
from gateway.local.jobs import Admitted, Event, Job, Said
from gateway.local.llama import LlamaModel
from gateway.local.shield import Segment
from gateway.local.slots import WORTH_COPYING, Slots


class Tokens:
    """A memory that is just the tokens of each slot. ``able`` says whether it can cut."""

    def __init__(self, count: int, *, able: bool = True) -> None:
        self.of: list[list[int]] = [[] for _ in range(count)]
        self.able = able

    def keep(self, slot: int, count: int) -> bool:
        assert len(self.of[slot]) >= count
        done = self.able or count == 0
        del self.of[slot][count if done else 0 :]
        return done

    def copy(self, source: int, slot: int) -> None:
        assert source != slot
        self.of[slot] = list(self.of[source])


PROMPTS = st.lists(
    st.tuples(st.lists(st.integers(0, 1), min_size=1, max_size=8), st.booleans()), max_size=20
)


@given(PROMPTS, st.booleans())
def test_a_slot_holds_what_its_prompt_says_and_nothing_else(
    prompts: list[tuple[list[int], bool]], able: bool
) -> None:
    """Whatever came before, whoever moved, and whether the model can cut or not."""
    memory = Tokens(4, able=able)
    slots = Slots(memory, 4)
    busy: dict[int, list[int]] = {}
    for prompt, stays in prompts:
        if not slots.free:
            slots.give_back(next(iter(busy)))
            busy.pop(next(iter(busy)))
        slot, cached = slots.take(prompt)
        assert slot not in busy
        assert cached < len(prompt)
        assert memory.of[slot] == prompt[:cached]
        memory.of[slot] += prompt[cached:]
        slots.extend(slot, prompt[cached:])
        busy[slot] = prompt
        if not stays:
            slots.give_back(slot)
            del busy[slot]
        if moved := slots.gather():
            busy[moved[1]] = busy.pop(moved[0])
        assert {one: memory.of[one] for one in busy} == busy


class Asked:
    """Slots with prompts in them, as a batcher would use them."""

    def __init__(self, count: int) -> None:
        self.memory = Tokens(count)
        self.slots = Slots(self.memory, count)

    def begin(self, prompt: list[int]) -> tuple[int, int]:
        slot, cached = self.slots.take(prompt)
        self.memory.of[slot] += prompt[cached:]
        self.slots.extend(slot, prompt[cached:])
        return slot, cached

    def ask(self, prompt: list[int]) -> tuple[int, int]:
        slot, cached = self.begin(prompt)
        self.slots.give_back(slot)
        return slot, cached


def test_a_conversation_goes_on_in_its_slot_and_another_shares_the_beginning() -> None:
    """The next turn computes only what is new; a stranger with the same system prompt shares it."""
    ask = Asked(3).ask
    system = list(range(100))
    first, cached = ask([*system, *[1] * 200])
    assert cached == 0
    second, cached = ask([*system, *[2] * 200])
    assert (second != first, cached) == (True, 100)
    again, cached = ask([*system, *[1] * 200, 7, 8])
    assert (again, cached) == (first, 300)
    third, cached = ask([9, 9, 9])
    assert (third in (first, second), cached) == (False, 0)
    # All three hold something: the one that was given back longest ago gives way.
    assert ask([5, 5]) == (second, 0)


def test_a_busy_slot_s_beginning_is_shared_too() -> None:
    """Sixteen apps with one system prompt at once: it is computed by the first alone. A few tokens
    are computed sooner than copied.
    """
    asked = Asked(3)
    system = [7] * WORTH_COPYING
    slot, _ = asked.begin([*system, 4])
    other, cached = asked.begin([*system, 9])
    assert (other != slot, cached) == (True, WORTH_COPYING)
    assert asked.begin([*system[1:], 9])[1] == 0


def test_a_conversation_comes_to_where_the_others_are_and_nobody_s_is_lost() -> None:
    """Two talk beside each other though their slots were apart, and the one between is still
    known.
    """
    asked = Asked(4)
    talks = [[number] * 50 for number in range(3)]
    slots = [asked.begin(talk)[0] for talk in talks]
    assert slots == [0, 1, 2]
    for slot in slots:
        asked.slots.give_back(slot)
    assert asked.begin([*talks[0], 8]) == (0, 50)
    # Not in slot 2, where it was; slot 1 was somebody's, and is now in the one that was empty.
    assert asked.begin([*talks[2], 8]) == (1, 50)
    assert asked.ask([*talks[1], 8]) == (2, 50)


def test_a_gap_is_filled_from_the_end_that_has_fewer() -> None:
    """One answer ends: a single other moves, and all of them are neighbours again."""
    asked = Asked(6)
    slots = [asked.begin([number] * 50)[0] for number in range(5)]
    assert slots == [0, 1, 2, 3, 4]
    assert asked.slots.gather() is None
    asked.slots.give_back(1)
    assert asked.slots.gather() == (0, 1)
    assert asked.slots.gather() is None
    asked.slots.give_back(3)
    assert asked.slots.gather() == (4, 3)
    # What those who ended had said is still there.
    assert asked.ask([*[1] * 50, 8])[1] == 50
    assert asked.ask([*[3] * 50, 8])[1] == 50


def test_who_is_computed_alone_leaves_nothing_and_is_no_gap() -> None:
    """It is emptied before and after, and stands out of the others' way."""
    asked = Asked(3)
    slots = asked.slots
    assert asked.ask([1] * 50) == (0, 0)
    assert (slots.take_alone(), slots.take_alone()) == (2, 1)
    asked.memory.of[1:] = [[5] * 50, [5] * 50]
    slots.give_back(1)
    assert asked.memory.of[1] == []
    assert asked.begin([5] * 60)[1] == 0
    slots.give_back(2)
    assert asked.begin([5] * 60)[1] == 50 + 9


def run(batcher: Batcher, *jobs: Job) -> list[Event]:
    events: list[Event] = []
    for job in jobs:
        events += batcher.submit(job)
    while not batcher.idle:
        events += batcher.step()
    return events


@pytest.fixture(scope="module")
def loaded(gguf: Path) -> Iterator[LlamaModel]:
    model = LlamaModel(gguf, context=512, slots=3, threads=2, gpu_layers=0)
    yield model
    model.close()


def answer(batcher: Batcher, prompt: list[int]) -> tuple[str, int]:
    events = run(batcher, Job("k", prompt, Sampling(temperature=0.0), max_tokens=12))
    (cached,) = [event.cached for event in events if isinstance(event, Admitted)]
    return "".join(event.piece.text for event in events if isinstance(event, Said)), cached


def test_the_real_model_says_the_same_from_what_it_kept(loaded: LlamaModel) -> None:
    """Going on, sharing and cutting give the very answer that computing all of it gives."""

    def tokens(*turns: str) -> list[int]:
        text = "".join(f"<|im_start|>user\n{turn}<|im_end|>\n" for turn in turns)
        return loaded.tokenize([Segment(f"{text}<|im_start|>assistant\n", marks=True)])

    facts = (
        "Remember these words and say nothing of them until you are asked: river, lamp, orange, "
        "violin, window, seven, harbour, clock, garden, letter, bridge, winter."
    )
    prompts = [
        tokens(facts, "What is the capital of France?"),
        tokens(facts, "Name the third word."),
        tokens(facts, "What is the capital of France?", "And of Italy?"),
        tokens(facts),
    ]
    batcher = Batcher(loaded, 0, lambda: 0.0)
    kept = [answer(batcher, prompt) for prompt in prompts]
    assert [cached > 35 for _, cached in kept] == [False, True, True, True]
    for slot in range(3):
        loaded.keep(slot, 0)
    for prompt, (text, _) in zip(prompts, kept, strict=True):
        fresh, cached = answer(Batcher(loaded, 0, lambda: 0.0), prompt)
        assert (fresh, cached) == (text, 0)
        for slot in range(3):
            loaded.keep(slot, 0)
