"""The time-outs of one attempt. A call's deadline bounds them all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from gateway.domain.call import Call
from gateway.domain.events import Event, Failed, FailureKind, Relayed
from gateway.upstream.channel import Channel
from gateway.upstream.connection import Connection
from gateway.upstream.fault import AttemptFault

T = TypeVar("T")


class Flow(Protocol):
    """An answer that comes piece by piece, to events: ``StreamRelay`` says what these are."""

    @property
    def started(self) -> bool: ...
    @property
    def flowing(self) -> bool: ...
    @property
    def ended(self) -> bool: ...
    @property
    def finished(self) -> bool: ...

    def feed(self, data: bytes) -> list[Event]: ...
    def plain(self, pieces: Sequence[bytes]) -> Relayed | None: ...
    def end(self) -> list[Event]: ...
    def broken(self, failure: Failed) -> list[Event]: ...


class Clock:
    """``first_token_timeout`` (for plain answers ``answer_timeout``) is for the answer's beginning,
    ``idle_timeout`` for each gap behind it. Whoever goes on sending and says nothing, blank lines
    or empty pieces, has ``answer_timeout`` for the next word. ``loop`` is the running one.
    """

    __slots__ = (
        *("_begun", "_channel", "_deadline", "_first", "_flowing", "_heard", "_loop", "_said"),
        "patience",
    )

    def __init__(self, channel: Channel, call: Call, loop: asyncio.AbstractEventLoop) -> None:
        self._channel = channel
        # A plain answer has no first token: it comes when all of it has been generated.
        patience = channel.first_token_timeout if call.stream else channel.answer_timeout
        left = call.deadline - time.monotonic()
        self._loop = loop
        self._deadline = loop.time() + left
        self.patience = min(patience, max(0.0, left))
        """Seconds that the beginning of the answer is waited for."""
        self._first = self._deadline
        self._said = self._deadline
        self._heard = False
        self._flowing = False
        self._begun = False

    def left(self) -> float:
        """Seconds until the call's deadline."""
        return max(0.0, self._deadline - self._loop.time())

    def sent(self) -> None:
        """The request is out: the answer is waited for from now."""
        self._said = self._loop.time()
        self._first = min(self._deadline, self._said + self.patience)

    def heard(self, *, content: bool) -> None:
        """The answer has begun; ``content`` where something is said in what has come of it."""
        self._heard = True
        if content:
            self._flowing = True
            self._said = self._loop.time()

    def follow(self, stream: Flow, told: Sequence[Event]) -> None:
        """More of a stream has come, by which ``told`` was told."""
        if stream.started:
            self.heard(content=stream.flowing and bool(told))

    async def flush(self, connection: Connection) -> None:
        """Wait until a long request is out: a peer may read slowly, but not stop to."""
        try:
            await connection.flush(self._deadline, self._channel.idle_timeout)
        except TimeoutError:
            raise AttemptFault(
                "the vendor stopped reading the request", FailureKind.FIRST_TOKEN_TIMEOUT
            ) from None

    async def read(self, connection: Connection) -> bytes:
        """The next bytes of the answer's body, empty at its end."""
        while (data := connection.come()) is None:
            try:
                await connection.more(self.until())
            except TimeoutError:
                raise self.late() from None
        return data

    async def wait(self, more: Callable[[float], Awaitable[T]]) -> T:
        """What ``more`` has of the answer until the instant (loop time) that it is given."""
        try:
            return await more(self.until())
        except TimeoutError:
            raise self.late() from None

    def until(self) -> float:
        """The instant (loop time) until which more of the answer is waited for from now on."""
        if not self._heard:
            self._begun = False
            return self._first
        gap = self._loop.time() + self._channel.idle_timeout
        word = self._said + self._channel.answer_timeout
        self._begun = self._flowing or gap < word
        return min(self._deadline, gap, word)

    def late(self) -> AttemptFault:
        """Nothing has come until then."""
        if self._begun:
            return AttemptFault("the answer stopped coming", FailureKind.IDLE_TIMEOUT)
        return AttemptFault("the answer did not begin in time", FailureKind.FIRST_TOKEN_TIMEOUT)
