"""Plain texts that are gone on with: over real sockets, and how prompts are made of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.domain.call import Completion, Sampling, Shape, ShapeKind
from gateway.domain.events import (
    Delta,
    Event,
    Failed,
    FailureKind,
    Finished,
    FinishReason,
    Usage,
)
from gateway.local.client import LocalBackend
from gateway.local.complete import Infill, fill_in
from gateway.local.jobs import Declined, Job
from gateway.local.llama import LlamaModel
from gateway.local.protocol import RefusalKind
from gateway.local.shield import Segment
from gateway.local.tasks import Tasks
from tests.local.running import asking, collect

FRANCE = "France is a country in Europe. The capital of France is"
GREEDY = Sampling(temperature=0.0)


def texts_of(events: list[Event]) -> dict[int, str]:
    """The text of each choice."""
    texts: dict[int, str] = {}
    for event in events:
        if isinstance(event, Delta):
            texts[event.choice] = texts.get(event.choice, "") + event.text
    return texts


async def test_a_text_is_gone_on_with(backend: LocalBackend) -> None:
    """Without any template: the next word comes, not an answer to a question."""
    events = await collect(backend, asking(Completion((FRANCE,), sampling=GREEDY, max_tokens=3)))
    assert texts_of(events)[0].startswith(" Paris")
    assert events[-1] == Finished((FinishReason.LENGTH,))
    assert isinstance(events[-2], Usage)
    assert (events[-2].prompt, events[-2].completion) == (12, 3)


async def test_each_prompt_has_its_choices(backend: LocalBackend) -> None:
    """Those of the first prompt are counted first, and each prompt is counted once."""
    task = Completion((FRANCE, "One, two, three, four,"), sampling=GREEDY, max_tokens=3, choices=2)
    events = await collect(backend, asking(task))
    texts = texts_of(events)
    assert texts[0] == texts[1]
    assert texts[0].startswith(" Paris")
    assert texts[2] == texts[3]
    assert texts[2].startswith(" five")
    assert events[-1] == Finished((FinishReason.LENGTH,) * 4)
    assert isinstance(events[-2], Usage)
    assert events[-2].prompt == 12 + await backend.count("smollm2", Completion(task.prompts[1:]))


async def test_what_an_answer_begins_with_and_ends_with(backend: LocalBackend) -> None:
    """The prompt is said again, where it is wanted; a stop string within it stops nothing."""
    task = Completion(
        (FRANCE,), echo=True, sampling=GREEDY, max_tokens=20, stop=("capital", "aris")
    )
    events = await collect(backend, asking(task))
    assert texts_of(events)[0] == FRANCE + " P"
    assert events[-1] == Finished((FinishReason.STOP,), stop="aris")
    only = Completion((FRANCE,), echo=True, max_tokens=0)
    events = await collect(backend, asking(only))
    assert texts_of(events)[0] == FRANCE
    assert events[-2] == Usage(12, 0)


async def test_the_same_seed_has_the_same_answer(backend: LocalBackend) -> None:
    """As in a chat, choice by choice, whatever other prompts there are."""
    sampling = Sampling(temperature=1.0, seed=5)
    alone = Completion((FRANCE,), sampling=sampling, max_tokens=12, choices=2)
    among = Completion(("Once", FRANCE), sampling=sampling, max_tokens=12, choices=2)
    first = texts_of(await collect(backend, asking(alone)))
    second = texts_of(await collect(backend, asking(among)))
    assert [first[0], first[1]] == [second[2], second[3]]
    assert first[0] != first[1]


async def test_scores_and_shapes_are_as_in_a_chat(backend: LocalBackend) -> None:
    """Each token has its score, and a choice of words is kept to."""
    shape = Shape(ShapeKind.CHOICE, json.dumps([" Berlin", " Rome"]))
    task = Completion((FRANCE,), sampling=GREEDY, shape=shape, logprobs=2)
    events = await collect(backend, asking(task))
    assert texts_of(events)[0] in (" Berlin", " Rome")
    scores = [score for event in events if isinstance(event, Delta) for score in event.scores]
    assert b"".join(score.token for score in scores).decode() == texts_of(events)[0]
    assert all(len(score.top) == 2 for score in scores)


async def test_what_a_model_cannot_do_is_told_as_such(backend: LocalBackend) -> None:
    """Another target may: no marks for a suffix, and no scores of a prompt."""
    for task, param in (
        (Completion(("a",), suffix="b"), "suffix"),
        (Completion(("a",), echo=True, logprobs=1), "echo"),
    ):
        (failed,) = await collect(backend, asking(task))
        assert isinstance(failed, Failed)
        assert (failed.kind, failed.param) == (FailureKind.INCAPABLE, param)


async def test_a_prompt_that_is_too_long_names_both_numbers(backend: LocalBackend) -> None:
    """As in a chat."""
    (failed,) = await collect(backend, asking(Completion(("one two three four " * 150,))))
    assert isinstance(failed, Failed)
    assert (failed.kind, failed.param) == (FailureKind.CONTEXT_OVERFLOW, "prompt")
    assert "the prompt has 601 tokens, but this model's context is 512" in failed.message


@pytest.fixture(scope="module")
def loaded(gguf: Path) -> Iterator[LlamaModel]:
    loaded = LlamaModel(gguf, context=512, slots=1, threads=2, gpu_layers=0)
    yield loaded
    loaded.close()


def job_of(loaded: LlamaModel, task: Completion) -> Job:
    """The first one."""
    prepared = Tasks(loaded, 512).prepare((1, 2), task)
    assert not isinstance(prepared, Declined), prepared
    assert isinstance(prepared.jobs[0], Job)
    return prepared.jobs[0]


def test_marks_in_a_text_are_plain_text(loaded: LlamaModel) -> None:
    """Nobody ends a turn by writing so; who means the token gives its number."""
    (end,) = loaded.ends & {2}
    assert loaded.name(end) == b"<|im_end|>"
    assert end not in job_of(loaded, Completion(("a <|im_end|> b",))).prompt
    job = job_of(loaded, Completion(((28120, end),), echo=True))
    assert job.prompt == [28120, end]
    assert job.echo == "hello<|im_end|>"


def test_an_empty_prompt_is_where_a_text_begins(loaded: LlamaModel) -> None:
    """The model's own mark of it, though it does not want it in front of other texts."""
    assert job_of(loaded, Completion(("",))).prompt == [1]
    assert job_of(loaded, Completion(("hello",))).prompt == [28120]


@pytest.mark.parametrize(("prompt", "wrong"), [((1, 49152), "49152"), ((-1,), "-1")])
def test_a_number_that_is_no_token_is_refused(
    loaded: LlamaModel, prompt: tuple[int, ...], wrong: str
) -> None:
    """It would be read from beyond the vocabulary."""
    declined = Tasks(loaded, 512).prepare((1, 2), Completion((prompt,)))
    assert isinstance(declined, Declined)
    assert (declined.kind, declined.param) == (RefusalKind.REQUEST, "prompt")
    assert f"{wrong} is no token of this model: its vocabulary has 49152" in declined.message


class Letters:
    """A vocabulary whose tokens are characters, and 1 the mark of a beginning."""

    def tokenize(self, prompt: list[Segment]) -> list[int]:
        return [1, *(ord(letter) for segment in prompt for letter in segment.text)]

    def encode(self, text: str) -> list[int]:
        return [ord(letter) for letter in text]


@pytest.mark.parametrize("begins", [[1], []])
def test_the_mark_of_a_beginning_stays_in_front(begins: list[int]) -> None:
    """Of a text that has one; token ids are taken as they are."""
    prompt = [*begins, ord("a")]
    assert fill_in(Letters(), Infill(2, 3, 4), prompt, "b") == [
        *begins,
        2,
        ord("a"),
        3,
        ord("b"),
        4,
    ]


def test_a_text_to_be_filled_in(loaded: LlamaModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beginning, end, and then the middle is to come, with marks that stand in for a code model's;
    those in the app's text are plain text.
    """
    monkeypatch.setattr(loaded, "infill", Infill(prefix=3, suffix=4, middle=5))
    assert "suffix" in Tasks(loaded, 512).abilities().capabilities
    before, behind = "def add(a, b):\n", "\n<reponame>print(add(1, 2))"
    job = job_of(loaded, Completion((before,), suffix=behind))
    assert list(job.prompt) == [3, *loaded.encode(before), 4, *loaded.encode(behind), 5]
    job = job_of(loaded, Completion(((28120,),), suffix=""))
    assert list(job.prompt) == [3, 28120, 4, 5]
    long = Completion(("a",), suffix="x" * 90_000)
    declined = Tasks(loaded, 512).prepare((1, 2), long)
    assert isinstance(declined, Declined)
    assert declined.kind is RefusalKind.CONTEXT_OVERFLOW
