"""Asks our own model servers, over and over, whether they are there and what they serve.

Each check goes through the pool, and so through the egress guard: policy is asked right before it,
and a channel that policy lets nobody use is not looked up and not dialled.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial

from gateway.upstream.channel import Channel
from gateway.upstream.document import read
from gateway.upstream.fault import AttemptFault, EgressRefused
from gateway.upstream.pool import Pool
from gateway.upstream.servers import Server, Servers, Standing
from gateway.wire.openai_models import read_models

WITHIN = 5.0
"""Seconds that one check may take."""
WHILE_DOWN = 1.0
"""Seconds between checks of a server that is down, at most."""
JITTER = 0.2
MOST_LIST = 2 << 20
"""Bytes of a list of models."""


class Discovery:
    """``usable`` says whether policy lets anybody use a channel at this instant; ``interval`` is in
    seconds, between two checks of a server, ±20 %.
    """

    def __init__(
        self,
        channels: Iterable[Channel],
        pool: Pool,
        usable: Callable[[str], bool],
        servers: Servers,
        *,
        interval: float,
    ) -> None:
        self._channels = tuple(channels)
        self._pool = pool
        self._usable = usable
        self._servers = servers
        self._interval = interval

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            for channel in self._channels:
                group.create_task(self._follow(channel))

    async def _follow(self, channel: Channel) -> None:
        while True:
            found = await self._check(channel)
            self._servers.checked(channel.name, found)
            down = found.standing is Standing.DOWN
            seconds = min(self._interval, WHILE_DOWN) if down else self._interval
            spread = random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - jitter, no secret
            await self._servers.wait(channel.name, seconds * spread)

    async def _check(self, channel: Channel) -> Server:
        try:
            async with asyncio.timeout(WITHIN):
                return await self._ask(channel)
        except EgressRefused as refused:
            return Server(Standing.UNKNOWN, refused.message)
        except AttemptFault as fault:
            return Server(Standing.DOWN, fault.message)
        except TimeoutError:
            return Server(Standing.DOWN, f"it did not answer within {WITHIN:g} s")

    async def _ask(self, channel: Channel) -> Server:
        permit = partial(self._usable, channel.name)
        status, body = await read(channel, self._pool, permit, within=WITHIN, most=MOST_LIST)
        return _told(status, body)


def _told(status: int, body: bytes | None) -> Server:
    """What an answer says of its server: whoever refuses the list is there all the same."""
    now = datetime.now(UTC)
    if 300 <= status < 400:
        return Server(Standing.DOWN, "it redirects: never followed")
    if status >= 500 and status != 501:
        return Server(Standing.DOWN, f"it answered {status}")
    if status in (401, 403):
        return Server(Standing.UP, "it does not let this key list its models", None, now)
    if status != 200:
        return Server(Standing.UP, "it does not list its models", None, now)
    if body is None:
        return Server(Standing.UP, "its list of models is too long", None, now)
    try:
        return Server(Standing.UP, "", read_models(body), now)
    except ValueError:
        return Server(Standing.UP, "its list of models is not the API's shape", None, now)
