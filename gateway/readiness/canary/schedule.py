"""The canaries that no app's request is behind: each local target is asked something of our own,
again and again, so that it is known to answer also where nobody asks it.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from gateway.access.locks import Lock
from gateway.domain.target import Target
from gateway.errors import StateError
from gateway.readiness.canary import asked
from gateway.readiness.canary.canaries import Canaries

LOCK = "canaries.lock"
LOOK_EVERY = 1.0
"""Seconds within which another serving process takes over, and a change is noticed."""


class Schedule:
    """``targets`` gives the local ones that are configured. Of all processes that have ``folder``
    in common one asks: who has the lock, which the kernel takes from whoever dies.
    """

    def __init__(
        self, canaries: Canaries, folder: Path, targets: Callable[[], Sequence[Target]]
    ) -> None:
        self._canaries = canaries
        self._path = folder / LOCK
        self._targets = targets
        self._asked: dict[str, float] = {}

    async def run(self) -> None:
        """Until cancelled. Raises ``StateError`` where the folder cannot be written."""
        try:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StateError(
                f"{self._path} cannot be written ({error.strerror}): "
                "make its folder writable or set state.dir"
            ) from error
        lock, ours = Lock(file, 0, 1), False
        try:
            while True:
                every = self._canaries.section.every
                if every is not None:
                    ours = ours or lock.taken()
                    if ours:
                        await self._round(float(every))
                elif ours:
                    lock.give()
                    ours = False
                await asyncio.sleep(LOOK_EVERY)
        finally:
            os.close(file)

    async def _round(self, every: float) -> None:
        """Ask those whose turn it is; who cannot be asked now is, as soon as that can be."""
        for target in self._targets():
            hello = self._canaries.there(target)
            now = time.monotonic()
            if hello is None or now - self._asked.get(target.id, float("-inf")) < every:
                continue
            self._asked[target.id] = now
            most = self._canaries.section.max_tokens
            for one in asked.own(target.id, hello.abilities.capabilities, most):
                await self._canaries.ask(one.call, (target,), one.expected, limit=most)
