"""The relay: a call to a vendor, in the dialect of its channel, its answer to events."""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

from msgspec.structs import replace

from gateway.domain.call import Api, Call, Embedding, Passing
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
from gateway.upstream.clock import Clock, Flow
from gateway.upstream.connection import Connection, Through
from gateway.upstream.fault import AttemptFault, EgressRefused
from gateway.upstream.guard import EgressGuard
from gateway.upstream.media import JSON, TEXT, ByteRelay, is_json, sound
from gateway.upstream.pool import Pool
from gateway.upstream.sending import Request, Sender, read_refusal
from gateway.upstream.servers import Servers
from gateway.upstream.stream import StreamRelay
from gateway.upstream.tls import system_trust
from gateway.upstream.ways import Way, way
from gateway.wire.relay import AnswerFailed
from gateway.wire.routed import tell
from gateway.wire.sent import Sent, joined
from gateway.wire.sse import MOST_EVENT

__all__ = ["Channel", "RelayBackend"]

EVENTS = b"text/event-stream"
MOST_BODY = 64 * 1024 * 1024
MOST_VECTORS = 256 * 1024 * 1024
"""Of an answer with vectors: 2048 of 3072 numbers each, written with an indent."""
ABSENT = frozenset({FailureKind.REFUSED, FailureKind.TLS, FailureKind.CONNECT_TIMEOUT})
"""Failures after which there may be nobody at the other end."""


class Answerable(Protocol):
    """What policy says at this instant, for the labels of the call."""

    def allows(self, target: Target, labels: Labels) -> bool:
        """Whether the target may be dialled."""
        ...

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
    certificates; by default the system's trust store does. ``pool`` has all connections, those of
    a backend before this one too where it is handed on; of the channels that are the same as
    ``before`` it is known how their keys are.
    """

    def __init__(
        self,
        channels: Mapping[str, Channel],
        guard: EgressGuard,
        judge: Answerable,
        *,
        servers: Servers | None = None,
        tls: ssl.SSLContext | None = None,
        pool: Pool | None = None,
        before: RelayBackend | None = None,
    ) -> None:
        self._channels = channels
        self._judge = judge
        self._servers = servers or Servers()
        self.pool = pool or Pool(guard, tls or system_trust())
        known = before._sender if before is not None else None
        self._sender: Sender = Sender(channels, self.pool, known)

    def ready(self, target: Target) -> bool:
        return self._servers.ready(target.channel)

    def sweep(self, channel: str) -> None:
        """Close a channel's unused connections at once."""
        self.pool.sweep(channel)

    async def close(self) -> None:
        await self.pool.close()

    async def attempt(self, target: Target, call: Call) -> AsyncGenerator[Sequence[Event], None]:
        """The events of one attempt, together what one read of the connection brought. Closing the
        generator closes the connection.
        """
        channel = self._channels[target.channel]
        connection: Connection | None = None
        finished = False
        try:
            clock = Clock(channel, call, self.pool.loop)
            asked = way(channel, target, call)
            request = Request(
                channel,
                target.model,
                call.session,
                partial(self._judge.allows, target, call.labels),
                asked.heads,
                partial(self._told, target, call, asked.body),
                asked.speech,
            )
            head = await self._sender.send(request, clock)
            connection, status = head.connection, head.status
            if status < 500:
                self._servers.answered(channel.name)
            named = _named(connection)
            why = self._judge.provider(target, named, call.labels) if named else None
            if why is not None:
                raise AttemptFault(why, FailureKind.ANSWERED_BY_DENIED)
            if status != 200:
                refusal = await read_refusal(head, clock, asked.speech)
                finished = True
                yield (_scrub(refusal, channel),)
            elif not _flows(connection, call):
                answer = await self._whole(connection, clock, asked, target, call)
                # From here on, a caller that goes away does not cost the connection.
                finished = True
                yield answer
            else:
                stream = self._stream_of(connection, asked, target, call)
                through = _through(stream, clock, call.onward)
                while not stream.ended:
                    if events := await _more(connection, clock, stream, through):
                        finished = stream.finished
                        yield events
        except AttemptFault as fault:
            if fault.kind in ABSENT:
                self._servers.lost(channel.name, fault.message)
            yield (fault.failed(),)
        finally:
            if connection is not None:
                self.pool.give_back(connection, finished=finished)

    def _told(self, target: Target, call: Call, body: Sent) -> Sent:
        """The body with what a router must be told; as it is for a channel that does not route."""
        routed = self._judge.providers(target, call.labels)
        if routed is None:
            return body
        if isinstance(call.asked, Passing):
            raise AttemptFault(
                "a router cannot be told in this API which providers may serve",
                FailureKind.INCAPABLE,
            )
        told = tell(joined(body), *routed)
        if told is None:
            raise EgressRefused("policy lets none of the providers that may be asked serve this")
        return told

    async def _whole(
        self, connection: Connection, clock: Clock, asked: Way, target: Target, call: Call
    ) -> list[Event]:
        media = _media(connection)
        if media == EVENTS:
            # It may never end, and would be waited for.
            raise AttemptFault("the answer is an event stream", FailureKind.MALFORMED)
        most = MOST_VECTORS if type(call.asked) is Embedding else MOST_BODY
        pieces: list[bytes] = []
        size, begun = 0, False
        while True:
            piece = connection.come()
            if piece is None:
                piece = await clock.read(connection)
            if not piece:
                break
            # Some vendors send blank lines until they have an answer.
            begun = begun or bool(piece.strip())
            if begun:
                clock.heard(content=True)
            pieces.append(piece)
            size += len(piece)
            if size > most:
                connection.abort()
                raise AttemptFault("the answer is too long", FailureKind.MALFORMED)
        whole = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if whole and _is_text(media, call):
            return [Started(provider=_named(connection), media=TEXT), Relayed(whole), Finished()]
        try:
            answer = asked.speech.answer(whole, call.model, typed=asked.typed)
        except ValueError as error:
            raise AttemptFault(str(error), FailureKind.MALFORMED) from None
        except AnswerFailed as error:
            raise AttemptFault(str(error), FailureKind.SERVER_ERROR) from None
        why = None
        if answer.model is not None:
            why = self._judge.model(target, answer.model, call.labels)
        if why is None and answer.provider is not None:
            why = self._judge.provider(target, answer.provider, call.labels)
        if why is not None:
            return [Failed(FailureKind.ANSWERED_BY_DENIED, why)]
        events: list[Event] = [
            Started(
                answer.model,
                answer.provider or _named(connection),
                media=JSON if type(call.asked) is Passing else None,
            )
        ]
        events += answer.pieces if asked.typed else (Relayed(answer.data, answer.text),)
        if answer.usage is not None:
            events.append(answer.usage)
        return [*events, Finished(answer.reasons, stop=answer.stop)]

    def _stream_of(self, connection: Connection, asked: Way, target: Target, call: Call) -> Flow:
        media = _media(connection)
        if media != EVENTS:
            kind = sound(media) if call.api is Api.SPEECH else None
            if kind is None:
                raise AttemptFault(
                    "the answer is of another type than was asked for", FailureKind.MALFORMED
                )
            return ByteRelay(kind, _named(connection))
        return StreamRelay(
            asked.speech.reader(call.model, typed=asked.typed),
            partial(self._judge.model, target, labels=call.labels),
            partial(self._judge.provider, target, labels=call.labels),
            _named(connection),
            typed=asked.typed,
            # An image is one event.
            most_event=MOST_BODY if isinstance(call.asked, Passing) else MOST_EVENT,
        )


def _through(
    stream: Flow, clock: Clock, onward: Callable[[Relayed], bool] | None
) -> Through | None:
    """The way onward of what needs no look, where there is one."""
    if onward is None:
        return None

    def through(pieces: Sequence[bytes]) -> float | None:
        event = stream.plain(pieces)
        if event is None or not onward(event):
            return None
        clock.heard(content=True)
        return clock.until()

    return through


async def _more(
    connection: Connection, clock: Clock, stream: Flow, through: Through | None
) -> list[Event]:
    """The next events of a stream."""
    try:
        # Not ``clock.read``: each frame between this and the socket is gone through by each chunk.
        while (data := connection.come()) is None:
            await connection.more(clock.until(), through)
    except TimeoutError:
        return stream.broken(clock.late().failed())
    except AttemptFault as fault:
        return stream.broken(fault.failed())
    events = stream.feed(data) if data else stream.end()
    clock.follow(stream, events)
    return events


def _flows(connection: Connection, call: Call) -> bool:
    """Whether an answer is passed on as it comes. Of what is passed on unread, only some models
    can be had as a stream: others answer as if they had not been asked for one.
    """
    if not call.stream or type(call.asked) is not Passing:
        return call.stream
    return call.api is Api.SPEECH or _media(connection) == EVENTS


def _is_text(media: bytes, call: Call) -> bool:
    """Whether it is the text that was asked for, in place of JSON."""
    if type(call.asked) is not Passing or not call.asked.text:
        return False
    return not is_json(media) and media != b"text/html"


def _media(connection: Connection) -> bytes:
    return connection.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()


def _named(connection: Connection) -> str | None:
    """To whom Hugging Face's router says that the request went, which it does in a header."""
    named = connection.headers.get(b"x-inference-provider")
    return named.decode("latin-1") if named else None


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
