"""Attempts on channels that are translated: a ``Backend`` over the translators' processes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

from msgspec.structs import replace

from gateway.background import Background
from gateway.domain.call import Api, Backend, Call, Counting, Dialect
from gateway.domain.events import Event, Failed, FailureKind, Finished, Relayed, Started, Usage
from gateway.domain.providers import can
from gateway.domain.target import APIS, Target
from gateway.errors import CapabilityMissing
from gateway.processes.frames import ProtocolError
from gateway.upstream.classify import classify
from gateway.upstream.clock import Clock
from gateway.upstream.fault import AttemptFault
from gateway.upstream.guard import EgressGuard
from gateway.upstream.relay import Answerable
from gateway.upstream.stream import StreamRelay
from gateway.upstream.translate import envelopes
from gateway.upstream.translate.link import Answer, Asked, Link, State, Translated
from gateway.upstream.translate.parameters import Untranslatable
from gateway.upstream.translate.protocol import Answered, Done, Failure, Piece
from gateway.upstream.translate.spawning import ADVICE
from gateway.wire.openai_embeddings_relay import EmbeddingSpeech
from gateway.wire.openai_relay import OpenAISpeech
from gateway.wire.relay import Speech
from gateway.wire.sent import joined

__all__ = ["ByDialect", "TranslateBackend", "Translated"]

LOST = "the channel's translator was lost"
NOT_UP = "the channel's translator is not up"
ABSENT = f"litellm is not installed: {ADVICE}"
LOOK_EVERY = 0.1
"""Seconds between two looks whether a process has nothing to do any more."""
_CHATS = OpenAISpeech()
_EMBEDDINGS = EmbeddingSpeech()
SHORTEST_SECRET = 4
"""Characters: what is shorter is no secret to look for in a vendor's words."""


class TranslateBackend:
    """``python`` is the interpreter of the translators' virtual environment; ``usable`` says
    whether policy leaves a channel to anybody, ``judge`` what may be asked and delivered.
    """

    def __init__(
        self,
        channels: Sequence[Translated],
        guard: EgressGuard,
        usable: Callable[[str], bool],
        judge: Answerable,
        python: Path,
        background: Background,
    ) -> None:
        self._background = background
        self.links = {
            channel.name: Link(channel, python, guard, partial(usable, channel.name))
            for channel in channels
        }
        self._guard = guard
        self._usable = usable
        self._judge = judge
        self._python = python
        self._tasks: dict[Link, asyncio.Task[None]] = {}
        self._leaving: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Begin to start the processes that policy lets be; does not wait for any."""
        self._begin()

    def after(self, channels: Iterable[Translated], judge: Answerable) -> TranslateBackend:
        """The backend of another configuration, with the processes of the channels that are the
        same. Those of the others end after their answers, with this backend.
        """
        heir = TranslateBackend(
            tuple(channels), self._guard, self._usable, judge, self._python, self._background
        )
        for name, link in self.links.items():
            task = self._tasks[link]
            if name in heir.links and heir.links[name].channel is link.channel:
                heir.links[name] = link
                heir._tasks[link] = task
            else:
                leaving = asyncio.create_task(_let_go(link, task))
                heir._leaving.add(leaving)
                leaving.add_done_callback(heir._leaving.discard)
                leaving.add_done_callback(self._background.over("translators"))
        heir._leaving |= self._leaving
        heir._begin()
        return heir

    def _begin(self) -> None:
        self.enforce()
        for link in self.links.values():
            if link not in self._tasks:
                self._tasks[link] = asyncio.create_task(
                    self._background.keep("translators", link.keep)
                )

    async def stop(self) -> None:
        """End all processes; what is still being answered fails."""
        tasks = (*self._tasks.values(), *self._leaving)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks.clear()

    def enforce(self) -> None:
        """Verdicts may have changed: processes end, or are started, by what policy says now."""
        for link in self.links.values():
            link.allow(self._permitted(link.channel))

    def ready(self, target: Target) -> bool:
        """Whether an attempt will be taken: the process is up, or soon will be."""
        link = self.links.get(target.channel)
        return link is not None and link.coming

    async def attempt(self, target: Target, call: Call) -> AsyncGenerator[Sequence[Event], None]:
        """The events of one attempt, together what one frame brought. Closing the generator ends
        the request to the vendor.
        """
        link = self.links.get(target.channel)
        if link is None:
            # Reached only past a plan: a channel without its credentials is in none.
            yield (Failed(FailureKind.INCAPABLE, NOT_UP),)
            return
        clock = Clock(link.channel.gate, call, asyncio.get_running_loop())
        asked: Asked | None = None
        try:
            self._guard.ask(link.channel.gate, partial(self._judge.allows, target, call.labels))
            asked = await self._ask(link, clock, target, call)
            if not call.stream:
                yield await self._whole(clock, asked, link.channel, target, call)
                return
            stream = self._stream_of(target, call)
            while not stream.ended:
                if events := await _more(link, clock, asked, stream):
                    yield events
        except AttemptFault as fault:
            yield (fault.failed(),)
        finally:
            if asked is not None:
                link.close(asked.id)

    async def _whole(
        self, clock: Clock, asked: Asked, channel: Translated, target: Target, call: Call
    ) -> list[Event]:
        first = last = await clock.wait(asked.next)
        if isinstance(first, Piece):
            clock.heard(content=True)
            last = await clock.wait(asked.next)
        if not isinstance(first, Piece) or not isinstance(last, Done):
            return [_failed(channel, last)]
        typed = _typed(call)
        try:
            answer = _speech(call).answer(first.data, call.model, typed=typed)
        except ValueError as error:
            raise AttemptFault(str(error), FailureKind.MALFORMED) from None
        why = answer.model and self._judge.model(target, answer.model, call.labels)
        if why:
            return [Failed(FailureKind.ANSWERED_BY_DENIED, why)]
        events: list[Event] = [Started(answer.model)]
        events += answer.pieces if typed else (Relayed(answer.data, answer.text),)
        return [*events, *_usage(last), Finished(answer.reasons)]

    def _stream_of(self, target: Target, call: Call) -> StreamRelay:
        typed = _typed(call)
        return StreamRelay(
            _speech(call).reader(call.model, typed=typed),
            partial(self._judge.model, target, labels=call.labels),
            partial(self._judge.provider, target, labels=call.labels),
            typed=typed,
        )

    async def _ask(self, link: Link, clock: Clock, target: Target, call: Call) -> Asked:
        """Send the request, as soon as somebody is there. Raises ``AttemptFault``."""
        if link.state is State.ABSENT:
            # Nothing that waiting or counting would help: another target is to answer.
            raise AttemptFault(ABSENT, FailureKind.INCAPABLE)
        if isinstance(call.asked, Counting):
            raise AttemptFault(
                "tokens cannot be counted where the API is translated", FailureKind.INCAPABLE
            )
        lacking = sorted(call.needs - APIS - can(link.channel.begin.provider))
        if lacking:
            # A channel of Anthropic's dialect has more to offer to callers of that dialect.
            raise Untranslatable(lacking[0])
        if not await link.wait(clock.patience):
            raise AttemptFault(NOT_UP, FailureKind.WORKER_LOST)
        try:
            body = joined(_speech(call).request(call, target))
            asked = link.ask(target.model, body, embeds=_embeds(call))
        except CapabilityMissing as missing:
            kind = FailureKind.INCAPABLE
            raise AttemptFault(missing.message, kind, param=missing.param) from None
        except ProtocolError as error:
            raise AttemptFault(str(error), FailureKind.INCAPABLE) from None
        if asked is None:
            raise AttemptFault(NOT_UP, FailureKind.WORKER_LOST)
        clock.sent()
        return asked

    def _permitted(self, channel: Translated) -> bool:
        try:
            self._guard.ask(channel.gate, partial(self._usable, channel.name))
        except AttemptFault:
            return False
        return True


async def _let_go(link: Link, task: asyncio.Task[None]) -> None:
    """End a process that is wanted no more, after its answers."""
    try:
        while link.busy:  # noqa: ASYNC110 - rare, and no event for every answer
            await asyncio.sleep(LOOK_EVERY)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class ByDialect:
    """A channel that speaks Anthropic's dialect: its callers are relayed, all others translated."""

    def __init__(self, relay: Backend, translate: Backend) -> None:
        self._relay = relay
        self._translate = translate

    def ready(self, target: Target) -> bool:
        return self._relay.ready(target)

    def attempt(self, target: Target, call: Call) -> AsyncGenerator[Sequence[Event], None]:
        native = call.api.dialect is Dialect.ANTHROPIC
        return (self._relay if native else self._translate).attempt(target, call)


def _typed(call: Call) -> bool:
    """Whether the answer's bytes, which are a chat completion's, are not for the app."""
    foreign = call.api not in (Api.CHAT, Api.EMBEDDINGS)
    return call.typed or foreign or call.begun is not None


def _embeds(call: Call) -> bool:
    return call.api is Api.EMBEDDINGS


def _speech(call: Call) -> Speech:
    """The API of the OpenAI dialect in which a translator is asked."""
    return _EMBEDDINGS if _embeds(call) else _CHATS


async def _more(link: Link, clock: Clock, asked: Asked, stream: StreamRelay) -> list[Event]:
    """The next events of a stream."""
    try:
        answer = await clock.wait(asked.next)
    except AttemptFault as fault:
        return stream.broken(fault.failed())
    if not isinstance(answer, Piece):
        return stream.broken(_failed(link.channel, answer))
    link.took(asked.id, 1)
    events = stream.feed(answer.data)
    clock.follow(stream, events)
    if stream.finished and not any(isinstance(event, Usage) for event in events):
        # What was counted comes behind the stream's own terminator.
        counted = await clock.wait(asked.next)
        if isinstance(counted, Done):
            events[-1:-1] = _usage(counted)
    return events


def _usage(done: Done) -> list[Usage]:
    if done.prompt is None or done.completion is None:
        return []
    return [Usage(done.prompt, done.completion, done.cached, done.reasoning, done.stored)]


def _failed(channel: Translated, answer: Answer | None) -> Failed:
    """What an answer that is none means."""
    match answer:
        case Answered():
            status, error = envelopes.read(answer.status, answer.headers, answer.body)
            headers = {name.encode(): value.encode() for name, value in answer.headers.items()}
            return _scrub(classify(status, error, headers, time.time()), channel)
        case Failure():
            failed = Failed(answer.kind, answer.message, param=answer.param)
            return _scrub(failed, channel)
        case None:
            return Failed(FailureKind.WORKER_LOST, LOST)
        case _:
            return Failed(FailureKind.TRUNCATED, "the answer ended before its end")


def _scrub(failed: Failed, channel: Translated) -> Failed:
    """A vendor's own words, without the addresses or credentials of the channel."""
    hidden = {host: "[vendor]" for host, _ in channel.endpoints}
    hidden |= dict.fromkeys(channel.begin.credentials.values(), "[key]")

    def clean(text: str) -> str:
        for secret, instead in hidden.items():
            if len(secret) >= SHORTEST_SECRET:
                text = text.replace(secret, instead)
        return text

    return replace(
        failed,
        message=clean(failed.message),
        code=failed.code and clean(failed.code),
        param=failed.param and clean(failed.param),
    )
