"""The relay: a call to a vendor, in the dialect of its channel, its answer to events."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol

from gateway.domain.call import Call
from gateway.domain.decision import Labels
from gateway.domain.events import (
    Event,
    Failed,
    FailureKind,
    Finished,
    Relayed,
    Started,
)
from gateway.domain.target import Target
from gateway.upstream.channel import Channel
from gateway.upstream.classify import classify
from gateway.upstream.connection import Connection
from gateway.upstream.fault import AttemptFault, EgressRefused, NoKeyLeft, StaleConnection
from gateway.upstream.guard import EgressGuard
from gateway.upstream.keys import Keys
from gateway.upstream.pool import Pool
from gateway.upstream.servers import Servers
from gateway.upstream.stream import StreamRelay
from gateway.upstream.tls import system_trust
from gateway.upstream.ways import Way, way
from gateway.wire.relay import Speech
from gateway.wire.routed import tell

__all__ = ["Channel", "RelayBackend"]

MOST_BODY = 64 * 1024 * 1024
MOST_ERROR = 64 * 1024
ABSENT = frozenset({FailureKind.REFUSED, FailureKind.TLS, FailureKind.CONNECT_TIMEOUT})
"""Failures after which there may be nobody at the other end."""
KEY_STATUSES = frozenset({401, 403, 429})
"""Refusals that may be about the key."""
ERROR_BODY_WAIT = 5.0
"""Seconds that the body of an error is waited for: its status already says most."""


class Answerable(Protocol):
    """What policy says of whom an answer comes from, for the labels of the call."""

    def providers(self, target: Target, labels: Labels) -> tuple[str, Sequence[str]] | None:
        """The router's vendor id and the slugs of the providers that may serve; ``None`` for a
        channel that does not route.
        """
        ...

    def model(self, target: Target, reported: str, labels: Labels) -> str | None:
        """Why an answer that names this model may not be delivered, or ``None``."""
        ...

    def provider(self, target: Target, named: str, labels: Labels) -> str | None:
        """Why an answer that a router had from this provider may not be, or ``None``."""
        ...


class RelayBackend:
    """Implements ``Backend`` for endpoints of the dialects that we speak ourselves.

    ``judge`` says which answers may be delivered, and what a channel that routes by itself is told.
    ``servers`` are those that are watched; they are told how attempts on them went. ``tls`` checks
    certificates; by default the system's trust store does. ``pool`` has all connections.
    """

    def __init__(
        self,
        channels: Mapping[str, Channel],
        guard: EgressGuard,
        judge: Answerable,
        *,
        servers: Servers | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._channels = channels
        self._judge = judge
        self._servers = servers or Servers()
        self._keys = {name: Keys(name, len(one.heads)) for name, one in channels.items()}
        self.pool = Pool(guard, tls or system_trust())

    def ready(self, target: Target) -> bool:
        return self._servers.ready(target.channel)

    def sweep(self, channel: str) -> None:
        """Close a channel's unused connections at once."""
        self.pool.sweep(channel)

    async def close(self) -> None:
        await self.pool.close()

    async def attempt(self, target: Target, call: Call) -> AsyncGenerator[Event, None]:
        """The events of one attempt. Closing the generator closes the connection."""
        channel = self._channels[target.channel]
        connection: Connection | None = None
        finished = False
        try:
            clock = _Clock(channel, call)
            asked = way(channel, target, call)
            asked = replace(asked, body=self._told(target, call, asked.body))
            connection, status, refusal = await self._send(channel, target.model, clock, asked)
            if status < 500:
                self._servers.answered(channel.name)
            named = _named(connection)
            why = self._judge.provider(target, named, call.labels) if named else None
            if why is not None:
                raise AttemptFault(why, FailureKind.ANSWERED_BY_DENIED)
            if status != 200:
                refusal = refusal or await self._refusal(connection, clock, asked.speech, status)
                finished = True
                yield _scrub(refusal, channel)
            elif not call.stream:
                answer = await self._whole(connection, clock, asked, target, call)
                # From here on, a caller that goes away does not cost the connection.
                finished = True
                for event in answer:
                    yield event
            else:
                stream = self._stream_of(connection, asked, target, call)
                while not stream.ended:
                    for event in await self._more(connection, clock, stream):
                        finished = stream.finished
                        yield event
        except AttemptFault as fault:
            if fault.kind in ABSENT:
                self._servers.lost(channel.name, fault.message)
            yield fault.failed()
        finally:
            if connection is not None:
                self.pool.give_back(connection, finished=finished)

    def _told(self, target: Target, call: Call, body: bytes) -> bytes:
        """The body with what a router must be told; as it is for a channel that does not route."""
        routed = self._judge.providers(target, call.labels)
        if routed is None:
            return body
        told = tell(body, *routed)
        if told is None:
            raise EgressRefused("policy lets none of the providers that may be asked serve this")
        return told

    async def _send(
        self, channel: Channel, model: str, clock: _Clock, asked: Way
    ) -> tuple[Connection, int, Failed | None]:
        """Send the request and wait for the answer's head, with one of the channel's keys after the
        other as long as it is the key that is refused. The refusal, where it has been read already.
        """
        keys = self._keys[channel.name]
        tried: list[int] = []
        while (key := keys.choose(model, time.monotonic(), tried)) is not None:
            tried.append(key)
            connection, status = await self._try_twice(channel, clock, asked, key)
            if not keys.several or status not in KEY_STATUSES:
                return connection, status, None
            passed_on = False
            try:
                refusal = await self._refusal(connection, clock, asked.speech, status)
                passed_on = not keys.refused(key, model, refusal, time.monotonic())
                if passed_on:
                    return connection, status, refusal
            finally:
                if not passed_on:
                    self.pool.give_back(connection, finished=connection.complete)
        raise NoKeyLeft(keys.exhausted(model, time.monotonic()))

    async def _try_twice(
        self, channel: Channel, clock: _Clock, asked: Way, key: int
    ) -> tuple[Connection, int]:
        """Once more where a kept connection turns out to be closed."""
        try:
            return await self._exchange(channel, clock, asked, key, fresh=False)
        except StaleConnection:
            return await self._exchange(channel, clock, asked, key, fresh=True)

    async def _exchange(
        self, channel: Channel, clock: _Clock, asked: Way, key: int, *, fresh: bool
    ) -> tuple[Connection, int]:
        connection = await self.pool.take(channel, clock.left(), fresh=fresh)
        answered = False
        try:
            connection.send(asked.heads[key], asked.body)
            if not connection.out:
                await clock.flush(connection)
            clock.sent()
            status = await clock.head(connection)
            answered = True
        finally:
            if not answered:
                self.pool.give_back(connection, finished=False)
        return connection, status

    async def _more(
        self, connection: Connection, clock: _Clock, stream: StreamRelay
    ) -> list[Event]:
        """The next events of a stream."""
        try:
            data = await clock.read(connection, started=stream.started)
        except AttemptFault as fault:
            return stream.broken(fault.failed())
        return stream.feed(data) if data else stream.end()

    async def _refusal(
        self, connection: Connection, clock: _Clock, speech: Speech, status: int
    ) -> Failed:
        body = b""
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
        return classify(status, speech.error(body), connection.headers, time.time())

    async def _whole(
        self, connection: Connection, clock: _Clock, asked: Way, target: Target, call: Call
    ) -> list[Event]:
        if _media(connection) == b"text/event-stream":
            # It may never end, and would be waited for.
            raise AttemptFault("the answer is an event stream", FailureKind.MALFORMED)
        pieces: list[bytes] = []
        size = 0
        while piece := await clock.read(connection, started=bool(pieces)):
            pieces.append(piece)
            size += len(piece)
            if size > MOST_BODY:
                connection.abort()
                raise AttemptFault("the answer is too long", FailureKind.MALFORMED)
        try:
            answer = asked.speech.answer(b"".join(pieces), call.model, typed=asked.typed)
        except ValueError as error:
            raise AttemptFault(str(error), FailureKind.MALFORMED) from None
        why = None
        if answer.model is not None:
            why = self._judge.model(target, answer.model, call.labels)
        if why is None and answer.provider is not None:
            why = self._judge.provider(target, answer.provider, call.labels)
        if why is not None:
            return [Failed(FailureKind.ANSWERED_BY_DENIED, why)]
        events: list[Event] = [Started(answer.model, answer.provider or _named(connection))]
        events += answer.pieces if asked.typed else (Relayed(answer.data, answer.text),)
        if answer.usage is not None:
            events.append(answer.usage)
        return [*events, Finished(answer.reasons, stop=answer.stop)]

    def _stream_of(
        self, connection: Connection, asked: Way, target: Target, call: Call
    ) -> StreamRelay:
        if _media(connection) != b"text/event-stream":
            raise AttemptFault("the answer is not an event stream", FailureKind.MALFORMED)
        return StreamRelay(
            asked.speech.reader(call.model, typed=asked.typed),
            partial(self._judge.model, target, labels=call.labels),
            partial(self._judge.provider, target, labels=call.labels),
            _named(connection),
            typed=asked.typed,
        )


def _media(connection: Connection) -> bytes:
    return connection.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()


def _named(connection: Connection) -> str | None:
    """To whom Hugging Face's router says that the request went, which it does in a header."""
    return connection.headers.get(b"x-inference-provider", b"").decode("latin-1") or None


class _Clock:
    """The time-outs of one attempt. A call's deadline bounds them all."""

    def __init__(self, channel: Channel, call: Call) -> None:
        self._channel = channel
        # A plain answer has no first token: it comes when all of it has been generated.
        self._patience = channel.first_token_timeout if call.stream else channel.answer_timeout
        self._loop = asyncio.get_running_loop()
        self._deadline = self._loop.time() + call.deadline - time.monotonic()
        self._first = self._deadline

    def left(self) -> float:
        """Seconds until the call's deadline."""
        return max(0.0, self._deadline - self._loop.time())

    def sent(self) -> None:
        """The request is out: the first byte of the answer is waited for from now."""
        self._first = min(self._deadline, self._loop.time() + self._patience)

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
            raise _late(started=False) from None

    async def read(self, connection: Connection, *, started: bool) -> bytes:
        until = self._first
        if started:
            until = min(self._deadline, self._loop.time() + self._channel.idle_timeout)
        try:
            return await connection.read(until)
        except TimeoutError:
            raise _late(started=started) from None


def _late(*, started: bool) -> AttemptFault:
    if started:
        return AttemptFault("the answer stopped coming", FailureKind.IDLE_TIMEOUT)
    return AttemptFault("the answer did not begin in time", FailureKind.FIRST_TOKEN_TIMEOUT)


def _scrub(failed: Failed, channel: Channel) -> Failed:
    """A vendor's own words, without the address or a key of the channel."""

    def clean(text: str) -> str:
        # One key may be the beginning of another.
        for key in sorted(channel.api_keys, key=len, reverse=True):
            text = text.replace(key, "[key]")
        return text.replace(channel.host, "[vendor]")

    return replace(
        failed,
        message=clean(failed.message),
        code=failed.code and clean(failed.code),
        param=failed.param and clean(failed.param),
    )
