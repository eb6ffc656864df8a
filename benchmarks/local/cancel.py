"""All slots are busy and one app hangs up: how soon the next request gets its slot."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from benchmarks.local.client import Peer
from benchmarks.local.load import questions

SETTLE = 0.5
"""Seconds in which the request that waits has surely reached the queue."""


@dataclass(frozen=True, slots=True)
class Freed:
    """Seconds from the closing of the connection. ``accepted`` is ``None`` where the peer does not
    tell it; ``first`` is to the next request's first token, its prompt included.
    """

    peer: str
    accepted: float | None
    first: float


async def freed(peer: Peer, slots: int, tokens: int, times: int) -> list[Freed]:
    """Each time the oldest of the busy hangs up; whoever waited then is one of them. ``tokens``
    must keep the slots busy for all that time.
    """
    asked = questions(0, slots + times, tokens)
    busy = [await peer.ask(question) for question in asked[:slots]]
    for asking in busy:
        await asking.first.wait()
    found = []
    for question in asked[slots:]:
        waiting = await peer.ask(question)
        await asyncio.sleep(SETTLE)
        if waiting.accepted.is_set():
            raise RuntimeError(f"{peer.name} had a slot free, or refused to queue")
        busy.pop(0).hang_up()
        closed = time.perf_counter()
        await waiting.accepted.wait()
        accepted = time.perf_counter() - closed if peer.tells_accepted else None
        await waiting.first.wait()
        found.append(Freed(peer.name, accepted, time.perf_counter() - closed))
        busy.append(waiting)
    for asking in busy:
        asking.hang_up()
        await asking.answer()
    return found
