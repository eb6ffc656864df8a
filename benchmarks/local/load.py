"""Many clients at once: tokens a second, and how long each waits for its first token."""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.local.client import Answer, Peer, Question
from benchmarks.processes import Process, busy_seconds

PLACES = [
    "harbour",
    "village",
    "mountain",
    "desert",
    "library",
    "station",
    "island",
    "market",
    "forest",
    "observatory",
]
PEOPLE = [
    "clockmaker",
    "nurse",
    "pilot",
    "gardener",
    "teacher",
    "sailor",
    "baker",
    "archivist",
    "welder",
    "judge",
]


@dataclass(frozen=True, slots=True)
class Load:
    """One peer under one load. Waits are in seconds to the first token, one for each answer;
    ``cpu`` is in processor seconds of the server, ``others`` the share of the machine that neither
    it nor this client had.
    """

    peer: str
    clients: int
    seconds: float
    tokens: int
    waits: tuple[float, ...]
    faults: tuple[str, ...]
    cpu: float
    others: float

    @property
    def rate(self) -> float:
        """Tokens a second of all clients together."""
        return self.tokens / self.seconds

    @property
    def p95(self) -> float:
        """Seconds to the first token that 95 of 100 do not exceed."""
        if len(self.waits) < 2:
            return self.waits[0] if self.waits else 0.0
        return statistics.quantiles(self.waits, n=20, method="inclusive")[-1]


def questions(first: int, count: int, tokens: int) -> list[Question]:
    """Short prompts that differ from their beginning on. Equal numbers give equal questions."""
    return [
        Question(
            f"{number}: write a long story about a {PEOPLE[number % 10]} who lives near a "
            f"{PLACES[number // 10 % 10]} and has lost {number + 2} letters. Begin with the "
            "weather, and describe every day of the search.",
            tokens,
        )
        for number in range(first, first + count)
    ]


async def put_under(peer: Peer, server: Process, clients: int, asked: Sequence[Question]) -> Load:
    """``clients`` share the questions: each asks its next when its last is answered."""
    left = iter(asked)
    cores = range(os.cpu_count() or 1)
    cpu, own, busy = server.cpu_seconds(), time.process_time(), busy_seconds(cores)
    began = time.perf_counter()
    answered = await asyncio.gather(*(_client(peer, left) for _ in range(clients)))
    seconds = time.perf_counter() - began
    cpu = server.cpu_seconds() - cpu
    others = busy_seconds(cores) - busy - cpu - (time.process_time() - own)
    answers = [answer for several in answered for answer in several]
    good = [answer for answer in answers if answer.fault is None]
    return Load(
        peer.name,
        clients,
        seconds,
        sum(answer.tokens for answer in good),
        tuple(answer.wait for answer in good),
        tuple(answer.fault for answer in answers if answer.fault is not None),
        cpu,
        max(others, 0.0) / seconds / len(cores),
    )


async def _client(peer: Peer, left: Iterator[Question]) -> list[Answer]:
    return [await (await peer.ask(question)).answer() for question in left]
