"""An event loop that tells of each name that is looked up, each address that is dialled and each
request that is sent, at that very instant and for whom.
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeAlias

from gateway.domain.decision import Labels

DEAD = "127.0.0.9"
"""An address of this machine at which nobody listens."""
SUFFIX = ".localhost"


@dataclass(frozen=True, slots=True)
class Asking:
    """Whose request the current task works for."""

    id: str
    model: str
    labels: Labels


ASKING: ContextVar[Asking | None] = ContextVar("asking", default=None)
Told: TypeAlias = Callable[[str, str, str | None], None]
"""What is done, on which channel, and for a chat request the model it names."""


@dataclass
class Way:
    """What names lead to: ``ports`` are the channels by their port, each called ``NAME.localhost``;
    ``slow`` is the most seconds that a look-up takes, ``chance`` decides about it and whether a
    dead address comes first.
    """

    ports: dict[int, str]
    told: Told
    chance: random.Random
    slow: float = 0.02


class WatchedLoop(asyncio.SelectorEventLoop):
    """``way`` is to be set before anything is dialled."""

    way: Way

    async def getaddrinfo(self, host: Any, port: Any, **kwargs: Any) -> Any:
        name = str(host)
        if not name.endswith(SUFFIX):
            return await super().getaddrinfo(host, port, **kwargs)
        way = self.way
        way.told("look-up", name.removesuffix(SUFFIX), None)
        await asyncio.sleep(way.chance.uniform(0, way.slow))
        found = [DEAD, "127.0.0.1"] if way.chance.random() < 0.3 else ["127.0.0.1"]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in found]

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        channel = self.way.ports.get(address[1])
        if channel is not None:
            self.way.told("dial", channel, None)
        await super().sock_connect(sock, address)

    async def create_connection(self, *args: Any, **kwargs: Any) -> Any:
        transport, protocol = await super().create_connection(*args, **kwargs)
        channel = self.way.ports.get(transport.get_extra_info("peername")[1])
        if channel is not None:
            write = transport.writelines

            def writelines(pieces: Iterable[bytes]) -> None:
                sent = list(pieces)
                model = json.loads(sent[-1])["model"] if len(sent) > 1 else None
                self.way.told("request", channel, model)
                write(sent)

            transport.writelines = writelines  # type: ignore[method-assign, assignment]
        return transport, protocol
