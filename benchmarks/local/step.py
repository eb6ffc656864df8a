"""Where the time of a decode step goes: llama.cpp, its samplers, and Python around both.

In this process, with the batcher and the model as the worker has them. All answers are sampled.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.local.load import questions
from benchmarks.local.servers import Size
from gateway.domain.call import Sampling
from gateway.local.batch import Batcher
from gateway.local.jobs import Job
from gateway.local.llama import LlamaModel
from gateway.local.native import llama

ROOM = 400
"""Tokens that are left to every answer, so that none ends while steps are timed."""


@dataclass(frozen=True, slots=True)
class Step:
    """Seconds of a step in which ``active`` answers get a token each."""

    active: int
    whole: float
    decode: float
    sampling: float

    @property
    def python(self) -> float:
        """The share of a step that neither computing nor choosing tokens has."""
        return 1.0 - (self.decode + self.sampling) / self.whole


class _Timed:
    """A function that adds up the seconds it takes."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self.seconds = 0.0

    def __call__(self, *arguments: Any) -> Any:
        began = time.perf_counter()
        try:
            return self._function(*arguments)
        finally:
            self.seconds += time.perf_counter() - began


def steps(path: Path, size: Size, actives: list[int], count: int) -> list[Step]:
    """``count`` steps at each number of active answers."""
    decode = llama.llama_decode = _Timed(llama.llama_decode)
    sample = llama.llama_sampler_sample = _Timed(llama.llama_sampler_sample)
    model = LlamaModel(
        path, context=size.context, slots=max(actives), threads=size.threads, gpu_layers=0
    )
    found = []
    for active in actives:
        batcher = Batcher(model, 0, time.monotonic)
        for slot in range(model.slots):
            model.keep(slot, 0)
        sampling = Sampling(temperature=0.8, ignore_end=True)
        for number, question in enumerate(questions(0, active, 0)):
            prompt = model.encode(question.text)
            batcher.submit(Job(number, prompt, sampling, max_tokens=ROOM))
        _until_all_generate(batcher, active)
        decode.seconds = sample.seconds = 0.0
        began = time.perf_counter()
        for _ in range(count):
            batcher.step()
        whole = time.perf_counter() - began
        assert batcher.active == active
        found.append(Step(active, whole / count, decode.seconds / count, sample.seconds / count))
    model.close()
    return found


def _until_all_generate(batcher: Batcher, active: int) -> None:
    """Prompts are computed in the first steps; then one more event a step for each answer."""
    spoken = 0
    while spoken < active:
        spoken = len({event.key for event in batcher.step()})
