"""What is peculiar to a path that answers by a model: how it is asked, and how it answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any, Protocol

from gateway.audit.record import Record
from gateway.domain.call import Api, Call
from gateway.engine.attempt import Told
from gateway.http.arrival import Arrival
from gateway.http.exchange import Manners
from gateway.wire.writer import Writer


class Runs(Protocol):
    """Who has calls served: the engine, or whoever stands before it."""

    def run(
        self, call: Call, record: Record, reader: asyncio.Task[Any] | None = None
    ) -> AsyncGenerator[Sequence[Told], None]:
        """As ``Engine.run``."""
        ...


class Surface(Manners, Protocol):
    """One path, in one dialect."""

    api: Api

    async def call(self, arrival: Arrival, body: bytes) -> Call:
        """What is asked for. Raises ``RequestError``."""
        ...

    def writer(self, call: Call) -> Writer: ...

    async def settled(self, call: Call, writer: Writer) -> None:
        """An answer is complete, and its last bytes are about to be sent."""
        return
