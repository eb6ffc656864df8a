"""Sampling parameters, on the real model."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.domain.call import Sampling
from gateway.local.batch import Batcher
from gateway.local.jobs import Ended, Job, Said
from gateway.local.llama import LlamaModel
from gateway.local.protocol import Reason
from gateway.local.shield import Segment

QUESTIONS = ("Name a river.", "Tell me about the sea.", "What is 2+2?", "Say hello in German.")


@pytest.fixture(scope="module")
def model(gguf: Path) -> Iterator[LlamaModel]:
    model = LlamaModel(gguf, context=256, slots=4, threads=2, gpu_layers=0)
    yield model
    model.close()


def prompt(model: LlamaModel, question: str) -> list[int]:
    text = f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"
    return model.tokenize([Segment(text, marks=True)])


def fresh(model: LlamaModel, queue: int = 0) -> Batcher:
    """A batcher knows nothing of what another left in the model's slots."""
    for slot in range(model.slots):
        model.keep(slot, 0)
    return Batcher(model, queue, time.monotonic)


def run(model: LlamaModel, *jobs: Job) -> dict[object, str]:
    """The answers by their keys."""
    batcher = fresh(model, len(jobs))
    said: dict[object, str] = {job.key: "" for job in jobs}
    for job in jobs:
        assert batcher.submit(job) == []
    while not batcher.idle:
        for event in batcher.step():
            if isinstance(event, Said):
                said[event.key] += event.piece.text
    return said


def one(model: LlamaModel, sampling: Sampling, tokens: int = 24) -> str:
    return run(model, Job("a", prompt(model, QUESTIONS[0]), sampling, tokens))["a"]


def test_the_same_seed_has_the_same_answer_whoever_else_is_there(model: LlamaModel) -> None:
    """Alone, with others, and in another order."""
    jobs = [
        Job(number, prompt(model, question), Sampling(temperature=1.0, seed=number), 32)
        for number, question in enumerate(QUESTIONS)
    ]
    alone = {key: text for job in jobs for key, text in run(model, job).items()}
    others = [Job(f"o{n}", prompt(model, q), Sampling(), 32) for n, q in enumerate(QUESTIONS)]
    together = run(model, *others, *reversed(jobs))
    assert {job.key: together[job.key] for job in jobs} == alone
    another = run(model, Job(0, prompt(model, QUESTIONS[0]), Sampling(temperature=1.0, seed=9), 32))
    assert another[0] != alone[0]


def test_a_token_can_be_forbidden_and_forced(model: LlamaModel) -> None:
    """By its id in the model's own vocabulary; an id beyond it does nothing."""
    likeliest = one(model, Sampling(temperature=0.0), 1)
    (token,) = model.encode(likeliest)
    forbidden = Sampling(temperature=0.0, logit_bias=((token, -100.0), (10**9, 5.0)))
    assert one(model, forbidden, 1) != likeliest
    (wanted,) = model.encode("Banana")[:1]
    forced = one(model, Sampling(temperature=0.0, logit_bias=((wanted, 100.0),)), 3)
    assert forced == model.piece(wanted).decode() * 3


def test_one_candidate_is_the_likeliest(model: LlamaModel) -> None:
    """``top_k`` of 1 and ``min_p`` of 1 leave what no temperature leaves."""
    likeliest = one(model, Sampling(temperature=0.0))
    assert one(model, Sampling(temperature=2.0, top_k=1)) == likeliest
    assert one(model, Sampling(temperature=2.0, min_p=1.0)) == likeliest


def test_repetition_can_be_made_dear(model: LlamaModel) -> None:
    """A word that is forced is said once where what was said is out of reach."""
    (wanted,) = model.encode("Banana")[:1]
    plain = Sampling(temperature=0.0, logit_bias=((wanted, 20.0),))
    assert one(model, plain, 4).count("B") > 1
    dear = Sampling(
        temperature=0.0,
        logit_bias=((wanted, 20.0),),
        presence_penalty=2.0,
        frequency_penalty=2.0,
        repeat_penalty=50.0,
    )
    assert one(model, dear, 4).count("B") < 4


def test_the_end_can_be_ignored(model: LlamaModel) -> None:
    """For measurements: as many tokens as were asked for."""
    batcher = fresh(model)
    job = Job("a", prompt(model, "Say hi."), Sampling(temperature=0.0, ignore_end=True), 60)
    batcher.submit(job)
    ended = []
    while not batcher.idle:
        ended += [event for event in batcher.step() if isinstance(event, Ended)]
    assert (ended[0].reason, ended[0].completion_tokens) == (Reason.LENGTH, 60)


def test_scores_are_those_of_the_model(model: LlamaModel) -> None:
    """Logarithms of probabilities before any parameter; all of them together make one."""
    likely = len(model.pieces)
    batcher = fresh(model)
    batcher.submit(Job("a", prompt(model, "Hi"), Sampling(temperature=0.0), 2, likely=likely))
    scores = []
    while not batcher.idle:
        scores += [s for event in batcher.step() if isinstance(event, Said) for s in event.scores]
    first = scores[0]
    assert math.isclose(sum(math.exp(one.logprob) for one in first.top), 1.0, rel_tol=1e-3)
    assert first.top[0].token == first.token
    assert first.top[0].logprob == first.logprob
