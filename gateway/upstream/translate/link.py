"""One channel's translator as a serving process has it: started, asked, ended, started again.

Theory of operation. A link is ``ABSENT`` where litellm is not installed, ``DENIED`` while policy
does not let the channel be dialled, and else ``STARTING`` until the process has said ``Hello``,
then ``UP``, and ``RESTING`` after a loss, for longer each time it is lost soon. Where policy comes
to deny the channel, the process ends as soon as nothing is under way in it. All on one event
loop.
"""

from __future__ import annotations

import asyncio
import socket
import time
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TypeAlias

import structlog

from gateway.processes.frames import ProtocolError, frame
from gateway.upstream.channel import Channel
from gateway.upstream.guard import EgressGuard, Permit
from gateway.upstream.translate.dialling import Dials, Endpoints
from gateway.upstream.translate.protocol import (
    Answered,
    Ask,
    Begin,
    Cancel,
    Done,
    Failure,
    Hello,
    Piece,
    Reply,
    Request,
    Took,
    reply_decoder,
)
from gateway.upstream.translate.spawning import ADVICE, packages, spawn

READ = 1 << 16
FIRST_DELAY = 0.2
LONGEST_DELAY = 30.0
"""Seconds that a link rests before the next start; twice as long each time, up to so long."""
SETTLED = 60.0
"""Seconds after which a process that is lost counts as one that was well."""
PATIENT = 1.0
"""A link that rests for no longer than so many seconds is waited for."""
LOADING = 60.0
"""Seconds within which a process must be ready."""

Answer: TypeAlias = Piece | Done | Answered | Failure


class State(StrEnum):
    ABSENT = "absent"
    DENIED = "denied"
    STARTING = "starting"
    UP = "up"
    RESTING = "resting"


@dataclass(frozen=True, slots=True)
class Translated:
    """A channel that is translated: how its process begins, and what it may reach. ``gate`` is the
    endpoint that the guard is asked about where none is dialled, with the channel's time-outs.
    """

    name: str
    begin: Begin
    endpoints: Endpoints

    @property
    def gate(self) -> Channel:
        return next(iter(self.endpoints.values()))


@dataclass(slots=True)
class Asked:
    """``answers`` end in ``None`` where the translator was lost."""

    id: int
    answers: asyncio.Queue[Answer | None] = field(default_factory=asyncio.Queue)

    async def next(self, until: float) -> Answer | None:
        """What comes next. Raises ``TimeoutError`` at ``until`` (loop time)."""
        async with asyncio.timeout_at(until):
            return await self.answers.get()


class Link:
    """``python`` is the interpreter of the virtual environment of translators; ``permit`` says
    whether anybody may use the channel now.
    """

    def __init__(
        self, channel: Translated, python: Path, guard: EgressGuard, permit: Permit
    ) -> None:
        self.channel = channel
        self.state = State.DENIED
        self.pid: int | None = None
        self.dials: Dials | None = None
        self._python = python
        self._packages = packages(python)
        self._guard = guard
        self._permit = permit
        self._allowed = asyncio.Event()
        self._up = asyncio.Event()
        self._over = asyncio.Event()
        self._writer: asyncio.StreamWriter | None = None
        self._asked: dict[int, Asked] = {}
        self._last = 0
        self._delay = FIRST_DELAY
        if self._packages is None:
            self.state = State.ABSENT
            structlog.get_logger().error(
                "translate_not_installed", channel=channel.name, advice=ADVICE
            )

    @property
    def coming(self) -> bool:
        """Whether a request can be expected to be taken, if it waits."""
        resting = self.state is State.RESTING and self._delay <= PATIENT
        return resting or self.state in (State.STARTING, State.UP)

    @property
    def busy(self) -> bool:
        """Whether anything is asked of the process."""
        return bool(self._asked)

    def allow(self, allowed: bool) -> None:
        """Whether policy lets the channel be dialled."""
        if self.state is State.ABSENT or allowed == self._allowed.is_set():
            return
        if allowed:
            self._allowed.set()
            self._over.clear()
            if self.state is State.DENIED:
                self.state = State.STARTING
        else:
            self._allowed.clear()
            self._end_if_idle()

    async def wait(self, seconds: float) -> bool:
        """Whether the translator is ready, at last."""
        if self.coming:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._up.wait()
        return self.state is State.UP

    def ask(self, model: str, body: bytes, *, embeds: bool = False) -> Asked | None:
        """Send a request; ``None`` where there is nobody. Raises ``ProtocolError`` if too large."""
        if self.state is not State.UP or self._writer is None or self._writer.is_closing():
            return None
        self._last += 1
        packed = frame(Ask(self._last, model, body, embeds))
        asked = self._asked[self._last] = Asked(self._last)
        self._writer.write(packed)
        return asked

    def took(self, id: int, pieces: int) -> None:
        if id in self._asked:
            self._say(Took(id, pieces))

    def close(self, id: int) -> None:
        """The answer is of no more interest; the translator is told if it is not at its end."""
        if self._asked.pop(id, None) is not None:
            self._say(Cancel(id))
        self._end_if_idle()

    async def keep(self) -> None:
        """Start the process whenever there should be one, until cancelled."""
        if self._packages is None:
            return
        while True:
            await self._allowed.wait()
            self.state = State.STARTING
            began = time.monotonic()
            why = await self._live(self._packages)
            if why is None:
                structlog.get_logger().info("translate_ended", channel=self.channel.name)
                self._delay, self.state = FIRST_DELAY, State.DENIED
                continue
            if time.monotonic() - began > SETTLED:
                self._delay = FIRST_DELAY
            structlog.get_logger().warning(
                "translate_lost", channel=self.channel.name, reason=why, again_in=self._delay
            )
            await asyncio.sleep(self._delay)
            self._delay = min(self._delay * 2, LONGEST_DELAY)

    async def _live(self, packages: Path) -> str | None:
        """Run one process to its end; why it ended, ``None`` where policy wants it so."""
        try:
            process, talk, dials = await spawn(self._python, packages, self.channel.begin.agent)
        except OSError as error:
            self.state = State.RESTING
            return f"it cannot be started: {error.strerror}"
        self.pid = process.pid
        self.dials = Dials(
            self.channel.name, self.channel.endpoints, self._guard, self._permit, dials
        )
        try:
            why = await self._talk(talk)
        finally:
            self._lose()
            self.dials.close()
            self.pid = None
            with suppress(ProcessLookupError):
                process.kill()
            code = await process.wait()
        return f"it ended with {code}" if why == "" else why

    async def _talk(self, talk: socket.socket) -> str | None:
        """Until it ends, which returns why, if that is known, or policy does, ``None``."""
        reader, self._writer = await asyncio.open_unix_connection(sock=talk)
        self._say(self.channel.begin)
        over = asyncio.create_task(self._over.wait())
        reading = asyncio.create_task(self._read(reader))
        try:
            await asyncio.wait((over, reading), return_when=asyncio.FIRST_COMPLETED)
            return reading.result() if reading.done() else None
        finally:
            over.cancel()
            reading.cancel()
            await asyncio.gather(over, reading, return_exceptions=True)

    async def _read(self, reader: asyncio.StreamReader) -> str:
        decoder = reply_decoder()
        try:
            async with asyncio.timeout(LOADING) as loading:
                while data := await reader.read(READ):
                    for reply in decoder.feed(data):
                        self._take(reply)
                    if self.state is State.UP:
                        loading.reschedule(None)
        except TimeoutError:
            return f"it was not ready within {LOADING:.0f} s"
        except (OSError, ProtocolError) as error:
            return str(error)
        return ""

    def _take(self, reply: Reply) -> None:
        match reply:
            case Hello():
                self._greet(reply)
            case Piece() if (asked := self._asked.get(reply.id)) is not None:
                asked.answers.put_nowait(reply)
            case Done() | Answered() | Failure() if reply.id in self._asked:
                self._asked.pop(reply.id).answers.put_nowait(reply)
            case _:
                pass  # of a request that is of no more interest

    def _greet(self, hello: Hello) -> None:
        self.state = State.UP
        self._up.set()
        log = structlog.get_logger()
        isolation = {
            "namespace": hello.namespace,
            "seccomp": hello.seccomp,
            "landlock": hello.landlock,
        }
        seconds = round(hello.seconds, 2)
        log.info("translate_ready", channel=self.channel.name, seconds=seconds, **isolation)
        if not (hello.namespace or hello.seccomp):
            log.warning(
                "translate_network_not_dropped",
                channel=self.channel.name,
                reason="the kernel forbids it",
            )

    def _lose(self) -> None:
        self.state = State.RESTING
        self._up.clear()
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        for asked in self._asked.values():
            asked.answers.put_nowait(None)
        self._asked.clear()

    def _end_if_idle(self) -> None:
        if not self._allowed.is_set() and not self._asked:
            self._over.set()

    def _say(self, request: Request) -> None:
        if self._writer is not None:
            self._writer.write(frame(request))
