"""How much a local model can take: measured through its own backend, never assumed."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from gateway.domain.call import Api, Backend, Call, Chat, Message, Sampling
from gateway.domain.events import Failed, Usage
from gateway.domain.target import Target
from gateway.errors import StateError
from gateway.readiness.work import Sum

CAPACITY = "capacity.json"
"""In the state folder: what was measured of the local models."""
ANSWER_TOKENS = 64
SECONDS = 5.0
"""How long each of the two measurements goes on at least."""
WORDS = ("river", "lamp", "orange", "violin", "window", "seven", "paper", "cloud")


class Capacity(msgspec.Struct, frozen=True):
    """One model: tokens a second of prompts, and of all answers together with ``slots`` at once,
    each with nothing else to do; of which file, when and on how many cores.
    """

    prompt_rate: float
    answer_rate: float
    slots: int
    sha256: str
    measured: datetime
    cores: int

    def seconds(self, work: Sum) -> float:
        """How long this work keeps the model busy."""
        return work.prompt_tokens / self.prompt_rate + work.completion_tokens / self.answer_rate


def kept(state_dir: Path, files: Mapping[str, str]) -> dict[str, Capacity]:
    """What was measured of the local models, of whose present ``files`` the sha256 are given: what
    was measured of another file says nothing. Raises StateError where it cannot be read.
    """
    path = state_dir / CAPACITY
    if not path.is_file():
        return {}
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StateError(f"{path} cannot be read: {error.strerror or error}") from None
    return {name: one for name, one in decode(content).items() if files.get(name) == one.sha256}


def encode(found: Mapping[str, Capacity]) -> bytes:
    """What is kept of measurements, by the name of the local model."""
    return msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n"


def decode(content: bytes) -> dict[str, Capacity]:
    """Raises StateError where the content is no measurement."""
    try:
        return msgspec.json.decode(content, type=dict[str, Capacity])
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise StateError("the kept measurement cannot be read: measure again") from None


async def measure(
    backend: Backend, target: Target, *, slots: int, sha256: str, prompt_tokens: int
) -> Capacity:
    """Ask the model for some seconds, ``slots`` requests at once, with prompts of about
    ``prompt_tokens``. Raises StateError where it does not answer.
    """
    prompts = await _rate(backend, target, slots, prompt_tokens, 1)
    answers = await _rate(backend, target, slots, 16, ANSWER_TOKENS)
    return Capacity(
        prompt_rate=prompts[0],
        answer_rate=answers[1],
        slots=slots,
        sha256=sha256,
        measured=datetime.now(UTC),
        cores=len(os.sched_getaffinity(0)),
    )


async def _rate(
    backend: Backend, target: Target, slots: int, prompt: int, answer: int
) -> tuple[float, float]:
    """Tokens a second of prompts and of answers."""
    began = time.monotonic()
    totals = [0, 0]

    async def ask(worker: int) -> None:
        number = 0
        while time.monotonic() - began < SECONDS:
            number += 1
            usage = await _one(backend, target, f"{worker}.{number}", prompt, answer)
            totals[0] += usage.prompt - usage.cached
            totals[1] += usage.completion

    await asyncio.gather(*(ask(worker) for worker in range(slots)))
    took = time.monotonic() - began
    return max(totals[0] / took, 1e-9), max(totals[1] / took, 1e-9)


async def _one(backend: Backend, target: Target, id: str, prompt: int, answer: int) -> Usage:
    # No two begin alike: what is computed once for many would look like speed.
    words = " ".join(WORDS[(len(id) + index) % len(WORDS)] for index in range(max(prompt - 8, 1)))
    messages = (Message("user", f"{id} {words}"),)
    chat = Chat(messages, Sampling(temperature=0.8, seed=1), answer)
    now = time.monotonic()
    body = json.dumps({"model": target.model}).encode()
    call = Call(
        id=id,
        api=Api.CHAT,
        model=target.model,
        stream=True,
        body=body,
        asked=chat,
        received=now,
        deadline=now + 600,
    )
    async with aclosing(backend.attempt(target, call)) as events:
        async for batch in events:
            for event in batch:
                if isinstance(event, Usage):
                    return event
                if isinstance(event, Failed):
                    raise StateError(f"{target.id} cannot be measured: {event.message}")
    raise StateError(f"{target.id} cannot be measured: it gave no answer")
