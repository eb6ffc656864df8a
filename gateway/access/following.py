"""Keeps the keys in memory as those that are kept: whatever process changed them."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable

import structlog

from gateway.access.keyring import Keyrings
from gateway.access.repository import KeyRepository
from gateway.errors import StateError

LOOK_EVERY = 0.25
"""Seconds: a key that is revoked is good for no longer than that, and what reading them takes."""


class Following:
    """Fills ``keyrings`` from ``repository``."""

    def __init__(self, repository: KeyRepository, keyrings: Keyrings) -> None:
        self._repository = repository
        self._keyrings = keyrings
        self._seen: Hashable = None
        self._problem: str | None = None
        self._log = structlog.get_logger("gateway.access")

    def read(self) -> None:
        """Fill them, where something has changed. Raises ``StateError``."""
        # Asked before the keys are read: what changes in between is read again the next time.
        version = self._repository.version()
        if version == self._seen:
            return
        self._keyrings.replace(self._repository.all())
        self._seen = version

    async def run(self) -> None:
        """Look until cancelled. What cannot be read leaves the keys as they were, and is told."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            try:
                await asyncio.to_thread(self.read)
                self._problem = None
            except StateError as error:
                if self._problem is None:
                    self._log.error("keys_not_read", problem=error.message)
                self._problem = error.message
