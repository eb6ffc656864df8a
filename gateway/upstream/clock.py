"""The time-outs of one attempt. A call's deadline bounds them all."""

from __future__ import annotations

import asyncio
import time

from gateway.domain.call import Call
from gateway.domain.events import FailureKind
from gateway.upstream.channel import Channel
from gateway.upstream.connection import Connection
from gateway.upstream.fault import AttemptFault


class Clock:
    """``first_token_timeout`` (for plain answers ``answer_timeout``) is for the answer's beginning,
    ``idle_timeout`` for each gap behind it. Whoever goes on sending and says nothing, blank lines
    or empty pieces, has ``answer_timeout`` for the next word.
    """

    def __init__(self, channel: Channel, call: Call) -> None:
        self._channel = channel
        # A plain answer has no first token: it comes when all of it has been generated.
        self._patience = channel.first_token_timeout if call.stream else channel.answer_timeout
        self._loop = asyncio.get_running_loop()
        self._deadline = self._loop.time() + call.deadline - time.monotonic()
        self._first = self._deadline
        self._said = self._deadline
        self._heard = False
        self._flowing = False

    def left(self) -> float:
        """Seconds until the call's deadline."""
        return max(0.0, self._deadline - self._loop.time())

    def sent(self) -> None:
        """The request is out: the answer is waited for from now."""
        self._said = self._loop.time()
        self._first = min(self._deadline, self._said + self._patience)

    def heard(self, *, content: bool) -> None:
        """The answer has begun; ``content`` where something is said in what has come of it."""
        self._heard = True
        if content:
            self._flowing = True
            self._said = self._loop.time()

    async def flush(self, connection: Connection) -> None:
        """Wait until a long request is out: a peer may read slowly, but not stop to."""
        try:
            await connection.flush(self._deadline, self._channel.idle_timeout)
        except TimeoutError:
            raise AttemptFault(
                "the vendor stopped reading the request", FailureKind.FIRST_TOKEN_TIMEOUT
            ) from None

    async def head(self, connection: Connection) -> int:
        try:
            return await connection.head(self._first)
        except TimeoutError:
            raise _late(begun=False) from None

    async def read(self, connection: Connection) -> bytes:
        until, begun = self._first, False
        if self._heard:
            gap = self._loop.time() + self._channel.idle_timeout
            word = self._said + self._channel.answer_timeout
            until = min(self._deadline, gap, word)
            begun = self._flowing or gap < word
        try:
            return await connection.read(until)
        except TimeoutError:
            raise _late(begun=begun) from None


def _late(*, begun: bool) -> AttemptFault:
    if begun:
        return AttemptFault("the answer stopped coming", FailureKind.IDLE_TIMEOUT)
    return AttemptFault("the answer did not begin in time", FailureKind.FIRST_TOKEN_TIMEOUT)
