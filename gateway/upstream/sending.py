"""One request out to a channel, and the head of its answer back: over a connection of the pool,
with one of the keys after the other, and once more where a kept connection was closed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

import msgspec

from gateway.domain.events import Failed
from gateway.upstream.channel import Channel
from gateway.upstream.classify import classify
from gateway.upstream.clock import Clock
from gateway.upstream.connection import Connection
from gateway.upstream.fault import AttemptFault, NoKeyLeft, StaleConnection
from gateway.upstream.guard import Permit
from gateway.upstream.keys import Keys
from gateway.upstream.pool import Pool
from gateway.wire.relay import Speech
from gateway.wire.sent import Sent

MOST_ERROR = 64 * 1024
ERROR_BODY_WAIT = 5.0
"""Seconds that the body of an error is waited for: its status already says most."""
KEY_STATUSES = frozenset({401, 403, 429})
"""Refusals that may be about the key."""


class Request(msgspec.Struct, frozen=True):
    """``permit`` says whether policy allows it now, ``told`` makes the body by the policy of the
    instant; ``heads`` are those of each key. A refusal is read by ``speech``.
    """

    channel: Channel
    model: str
    session: str | None
    permit: Permit
    heads: tuple[bytes, ...]
    told: Callable[[], Sent]
    speech: Speech


class Head(msgspec.Struct, frozen=True):
    """``refusal`` is what an answer that is not 200 says, where it was read already."""

    connection: Connection
    status: int
    refusal: Failed | None = None


class Sender:
    """Sends the requests of these channels over the connections of ``pool``. What was known
    ``before`` of the keys of the very same channels is known still.
    """

    def __init__(
        self, channels: Mapping[str, Channel], pool: Pool, before: Sender | None = None
    ) -> None:
        self._pool = pool
        self._channels = channels
        self._keys: dict[str, Keys] = {
            name: before._keys[name]
            if before is not None and before._channels.get(name) is one
            else Keys(name, max(1, len(one.api_keys)))
            for name, one in channels.items()
        }

    def send(self, request: Request, clock: Clock) -> Awaitable[Head]:
        """The head of the answer; its connection is to be given back. Raises ``AttemptFault``."""
        keys = self._keys[request.channel.name]
        # Nobody is dialled for what none of those behind a router may serve.
        body = request.told()
        if keys.several:
            return self._try_keys(request, body, clock, keys)
        return self._try(request, body, clock, 0)

    async def _try_keys(self, request: Request, body: Sent, clock: Clock, keys: Keys) -> Head:
        """With one key after the other."""
        model = request.model
        tried: list[int] = []
        while (key := keys.choose(model, time.monotonic(), tried, request.session)) is not None:
            body = request.told() if tried else body
            tried.append(key)
            head = await self._try(request, body, clock, key)
            if head.status not in KEY_STATUSES:
                return head
            about_key = True
            try:
                refusal = await read_refusal(head, clock, request.speech)
                about_key = keys.refused(key, model, refusal, time.monotonic())
                if not about_key:
                    return Head(head.connection, head.status, refusal)
            finally:
                if about_key:
                    self._pool.give_back(head.connection, finished=head.connection.complete)
        raise NoKeyLeft(keys.exhausted(model, time.monotonic()))

    async def _try(self, request: Request, body: Sent, clock: Clock, key: int) -> Head:
        """Over a connection that is kept, where there is one; else, and once more where that was
        closed, over a new one. To connect takes time, in which policy may change what is told.
        """
        kept = self._pool.kept(request.channel, request.permit)
        if kept is not None:
            try:
                return await self._exchange(kept, request, body, clock, key)
            except StaleConnection:
                pass
        made = await self._pool.connect(request.channel, request.permit, clock.left())
        return await self._exchange(made, request, None, clock, key)

    async def _exchange(
        self, connection: Connection, request: Request, body: Sent | None, clock: Clock, key: int
    ) -> Head:
        answered = False
        try:
            connection.send(request.heads[key], request.told() if body is None else body)
            if not connection.out:
                await clock.flush(connection)
            clock.sent()
            # Not in coroutines of their own: each between this and the socket is gone through.
            while (status := connection.answered()) is None:
                try:
                    await connection.more(clock.until())
                except TimeoutError:
                    raise clock.late() from None
            answered = True
        finally:
            if not answered:
                self._pool.give_back(connection, finished=False)
        return Head(connection, status)


async def read_refusal(head: Head, clock: Clock, speech: Speech) -> Failed:
    """What an answer that is not 200 says."""
    if head.refusal is not None:
        return head.refusal
    connection, body = head.connection, b""
    until = asyncio.get_running_loop().time() + min(ERROR_BODY_WAIT, clock.left())
    try:
        while len(body) <= MOST_ERROR:
            piece = await connection.read(until)
            if not piece:
                break
            body += piece
    except (AttemptFault, TimeoutError):
        # What has come of the body will do: the status is known.
        connection.abort()
    if len(body) > MOST_ERROR:
        connection.abort()
    return classify(head.status, speech.error(body), connection.headers, time.time())
