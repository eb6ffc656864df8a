"""What a slot still holds is not computed again, and is never what somebody else said."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.call import Sampling
from gateway.local.batch import Batcher
from gateway.local.jobs import Admitted, Ended, Event, Job, Said
from gateway.local.llama import LlamaModel
from gateway.local.shield import Segment
from gateway.local.slots import Slots
from tests.local.fake_model import FakeModel


class Tokens:
    """A memory that is just the tokens of each slot. ``able`` says whether it can cut and share."""

    def __init__(self, count: int, *, able: bool = True) -> None:
        self.of: list[list[int]] = [[] for _ in range(count)]
        self.able = able

    def keep(self, slot: int, count: int) -> bool:
        assert len(self.of[slot]) > count
        done = self.able or count == 0
        del self.of[slot][count if done else 0 :]
        return done

    def share(self, source: int, slot: int, count: int) -> bool:
        assert self.of[slot] == []
        assert 0 < count <= len(self.of[source])
        if self.able:
            self.of[slot] = self.of[source][:count]
        return self.able


PROMPTS = st.lists(
    st.tuples(st.lists(st.integers(0, 1), min_size=1, max_size=8), st.booleans()), max_size=20
)


@given(PROMPTS, st.booleans())
def test_a_slot_holds_what_its_prompt_says_and_nothing_else(
    prompts: list[tuple[list[int], bool]], able: bool
) -> None:
    """Whatever came before, and whether the model can cut or not."""
    memory = Tokens(3, able=able)
    slots = Slots(memory, 3)
    busy: list[int] = []
    for prompt, stays in prompts:
        if not slots.free:
            slots.give_back(busy.pop(0))
        slot, cached = slots.take(prompt)
        assert slot not in busy
        assert cached < len(prompt)
        assert memory.of[slot] == prompt[:cached]
        memory.of[slot] += prompt[cached:]
        slots.extend(slot, prompt[cached:])
        if stays:
            busy.append(slot)
        else:
            slots.give_back(slot)


def test_a_conversation_goes_on_in_its_slot_and_another_shares_the_beginning() -> None:
    """The next turn computes only what is new; a stranger with the same system prompt shares it."""
    memory = Tokens(3)
    slots = Slots(memory, 3)
    system = list(range(100))

    def ask(prompt: list[int]) -> tuple[int, int]:
        slot, cached = slots.take(prompt)
        memory.of[slot] += prompt[cached:]
        slots.extend(slot, prompt[cached:])
        slots.give_back(slot)
        return slot, cached

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
    """Sixteen apps with one system prompt at once: it is computed by the first alone."""
    memory = Tokens(2)
    slots = Slots(memory, 2)
    slot, _ = slots.take([1, 2, 3, 4])
    memory.of[slot] = [1, 2, 3]
    slots.extend(slot, [1, 2, 3])
    other, cached = slots.take([1, 2, 3, 9])
    assert (other != slot, cached) == (True, 3)


def run(batcher: Batcher, *jobs: Job) -> list[Event]:
    events: list[Event] = []
    for job in jobs:
        events += batcher.submit(job)
    while not batcher.idle:
        events += batcher.step()
    return events


def test_where_there_is_no_room_what_is_kept_gives_way_before_anybody_is_turned_away() -> None:
    """An old answer's tokens are dropped, and the request is answered."""
    model = FakeModel({1001: [b"x"]}, slots=2)
    batcher = Batcher(model, 0, lambda: 0.0)
    run(batcher, Job("a", [7, 7, 7, 1001]))
    model.no_room = 1
    events = run(batcher, Job("b", [8, 1001]))
    assert [event for event in events if isinstance(event, Ended)]
    assert not batcher.active


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

    facts = "Remember these words: river, lamp, orange, violin, window, seven."
    prompts = [
        tokens(facts, "What is the capital of France?"),
        tokens(facts, "Name the third word."),
        tokens(facts, "What is the capital of France?", "And of Italy?"),
        tokens(facts),
    ]
    batcher = Batcher(loaded, 0, lambda: 0.0)
    kept = [answer(batcher, prompt) for prompt in prompts]
    assert [cached > 15 for _, cached in kept] == [False, True, True, True]
    for slot in range(3):
        loaded.keep(slot, 0)
    for prompt, (text, _) in zip(prompts, kept, strict=True):
        fresh, cached = answer(Batcher(loaded, 0, lambda: 0.0), prompt)
        assert (fresh, cached) == (text, 0)
        for slot in range(3):
            loaded.keep(slot, 0)
