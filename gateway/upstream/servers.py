"""What is known of our own model servers: whether they are up, and which models they serve.

Theory of operation. A sovereign channel is ``UNKNOWN`` until it was asked, and counts as ready. A
check says ``UP`` or ``DOWN``, or ``UNKNOWN`` where policy forbids to ask. Between two checks the
requests themselves tell: one that finds nobody there makes it ``DOWN``, one that is answered makes
it ``UP``. All of it happens on one event loop; channels that are not watched are always ready.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

import structlog

from gateway.domain.target import Target
from gateway.wire.openai_models import ModelList


class Standing(StrEnum):
    UP = "up"
    DOWN = "down"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Server:
    """``detail`` is for people, and holds no address and no key; ``models`` is ``None`` where the
    server tells none; ``seen`` is when it answered last.
    """

    standing: Standing = Standing.UNKNOWN
    detail: str = "not asked yet"
    models: ModelList | None = None
    seen: datetime | None = None


class Servers:
    """The servers behind these channels."""

    def __init__(self, channels: Iterable[str] = ()) -> None:
        self._known = {name: Server() for name in channels}
        self._moved = {name: asyncio.Event() for name in self._known}

    def change(self, channels: Iterable[str], renewed: Collection[str]) -> None:
        """These are the servers from now on; nothing is known of new and ``renewed`` ones."""
        before, moved = self._known, self._moved
        self._known = {
            name: before[name] if name in before and name not in renewed else Server()
            for name in channels
        }
        self._moved = {name: moved.get(name) or asyncio.Event() for name in self._known}

    def all(self) -> Mapping[str, Server]:
        return self._known

    def ready(self, channel: str) -> bool:
        """Whether a request can be expected to be taken."""
        server = self._known.get(channel)
        return server is None or server.standing is not Standing.DOWN

    def lists(self, target: Target) -> bool:
        """Whether the server has the target's model, as far as it tells."""
        server = self._known.get(target.channel)
        return server is None or server.models is None or server.models.has(target.model)

    def checked(self, channel: str, found: Server) -> None:
        """A check has ended. One that failed leaves what was known of the models."""
        if found.standing is Standing.DOWN:
            before = self._known[channel]
            found = replace(found, models=before.models, seen=before.seen)
        self._become(channel, found)

    def answered(self, channel: str) -> None:
        """A request was answered."""
        server = self._known.get(channel)
        if server is not None and server.standing is not Standing.UP:
            self._become(channel, Server(Standing.UP, "", server.models, datetime.now(UTC)))

    def lost(self, channel: str, why: str) -> None:
        """A request found nobody there: the server is asked at once whether it is so."""
        server = self._known.get(channel)
        if server is not None and server.standing is not Standing.DOWN:
            self._become(channel, replace(server, standing=Standing.DOWN, detail=why))
            self._moved[channel].set()

    def hurry(self) -> None:
        """All are to be asked at once, as policy has changed."""
        for moved in self._moved.values():
            moved.set()

    async def wait(self, channel: str, seconds: float) -> None:
        """Wait until it is time to ask a server again: ``seconds``, unless it is hurried."""
        moved = self._moved[channel]
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await moved.wait()
        moved.clear()

    def _become(self, channel: str, found: Server) -> None:
        before, self._known[channel] = self._known[channel], found
        if before.standing is not found.standing:
            told = structlog.get_logger()
            say = told.warning if found.standing is Standing.DOWN else told.info
            say(f"sovereign_{found.standing}", channel=channel, detail=found.detail)
