"""What is peculiar to a path that answers by a model: how it is asked, and how it answers."""

from __future__ import annotations

from typing import Protocol

from gateway.domain.call import Api, Call
from gateway.http.arrival import Arrival
from gateway.http.exchange import Manners
from gateway.wire.writer import Writer


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
