"""The connection of a serving process to one local model's worker."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import structlog

from gateway.local.protocol import (
    Accepted,
    Cancel,
    Complete,
    Count,
    Counted,
    Done,
    Generate,
    Hello,
    Pong,
    Refused,
    Reply,
    Text,
    Vectors,
    Work,
    encode,
    reply_decoder,
)
from gateway.local.suspects import Suspects
from gateway.processes.frames import ProtocolError

READ = 1 << 16
FIRST_DELAY = 0.05
LONGEST_DELAY = 1.0
"""Seconds between attempts to connect."""

Answer: TypeAlias = Accepted | Text | Vectors | Counted | Done | Refused


@dataclass(slots=True)
class Asked:
    """A request that a worker has; its ``answers`` end in ``None`` where the worker was lost.
    ``begun``: it has a slot; ``told``: it has said something.
    """

    request: Work | Count
    answers: asyncio.Queue[Answer | None] = field(default_factory=asyncio.Queue)
    begun: bool = False
    told: bool = False


class Link:
    """One model's connection, kept open. ``expected`` says that a worker that is not there will be
    back; ``suspects`` are the requests that may be why it is not.
    """

    def __init__(self, name: str, path: Path, *, on_demand: bool) -> None:
        self._name = name
        self._path = path
        # A connection has a model loaded, so where that is done on demand there is none before.
        self._wanted = asyncio.Event()
        self.on_demand = on_demand
        self._writer: asyncio.StreamWriter | None = None
        self._asked: dict[int, Asked] = {}
        self._last = 0
        self.hello: Hello | None = None
        self.greeted = False
        """Whether there has ever been a worker."""
        self.up = asyncio.Event()
        self.expected = on_demand
        self.suspects = Suspects()

    @property
    def path(self) -> Path:
        return self._path

    @property
    def busy(self) -> bool:
        """Whether anything is asked of the worker."""
        return bool(self._asked)

    def open(self, request: Work | Count) -> asyncio.Queue[Answer | None] | None:
        """Send a request; ``None`` where there is no worker. Raises ProtocolError if too large."""
        if self._writer is None or self.hello is None or self._writer.is_closing():
            return None
        frame = encode(request)
        asked = self._asked[request.id] = Asked(request)
        self._writer.write(frame)
        return asked.answers

    async def wait(self, seconds: float) -> bool:
        """Whether there is a worker, at last: one that was lost is waited for."""
        if self.expected and self.hello is None:
            self._wanted.set()
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self.up.wait()
        return self.hello is not None

    def become(self, *, on_demand: bool) -> None:
        """From now on there is a worker always, or only when it is asked for."""
        if self.on_demand and not on_demand:
            self._wanted.set()
        self.on_demand = on_demand

    def next_id(self) -> int:
        self._last += 1
        return self._last

    def close(self, id: int) -> None:
        """The answer is of no more interest; the worker is told where it is not at its end."""
        if self._asked.pop(id, None) is not None and self._writer is not None:
            self._writer.write(encode(Cancel(id)))

    async def keep(self) -> None:
        """Connect, and connect again, until cancelled."""
        delay = FIRST_DELAY
        while True:
            if self.on_demand:
                await self._wanted.wait()
            try:
                reader, self._writer = await asyncio.open_unix_connection(self._path)
                await self._read(reader)
            except (OSError, ProtocolError) as error:
                # The supervisor has taken the socket away: it has given the model up, or ends.
                if isinstance(error, FileNotFoundError):
                    self.expected = False
                    self.up.set()  # nobody is to wait for it any longer
                structlog.get_logger().debug(
                    "local_connection_failed", model=self._name, reason=str(error)
                )
            finally:
                if self.hello is not None:
                    delay = FIRST_DELAY
                    self._wanted.clear()
                self._lose()
            await asyncio.sleep(delay)
            delay = min(delay * 2, LONGEST_DELAY)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        decoder = reply_decoder()
        while data := await reader.read(READ):
            for reply in decoder.feed(data):
                self._take(reply)

    def _take(self, reply: Reply) -> None:
        match reply:
            case Hello():
                self.hello = reply
                self.expected = self.greeted = True
                self.up.set()
            case Pong():
                pass
            case _ if (asked := self._asked.get(reply.id)) is not None:
                self._note(asked, reply)
                asked.answers.put_nowait(reply)
            case _:
                pass  # of a request that is of no more interest

    def _note(self, asked: Asked, reply: Answer) -> None:
        """How far a request is."""
        if isinstance(reply, Accepted):
            asked.begun = True
            return
        if isinstance(reply, Done | Refused | Counted):
            # At its end: nothing is left that could be cancelled.
            del self._asked[reply.id]
        if not asked.told and isinstance(asked.request, Generate | Complete):
            self.suspects.clear(asked.request.task)
        asked.told = True

    def _lose(self) -> None:
        self.hello = None
        self.up.clear()
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        for asked in self._asked.values():
            self._blame(asked)
            asked.answers.put_nowait(None)
        self._asked.clear()

    def _blame(self, asked: Asked) -> None:
        if asked.told or not isinstance(asked.request, Generate | Complete):
            return
        now = time.monotonic()
        if asked.begun and asked.request.suspect:
            self.suspects.convict(asked.request.task, now)
            structlog.get_logger().error("local_request_convicted", model=self._name)
        else:
            self.suspects.suspect(asked.request.task, now)
