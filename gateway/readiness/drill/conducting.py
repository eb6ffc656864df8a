"""A drill in one serving process: followed, sampled, asked for, and put away when its time is over.

Every process follows the file of the drill and tells its engine. What only one is to do (reading
the local models' queues, asking) is done by the one that holds a lock, which the kernel passes on
when its holder dies. Whoever sees first that the time is over puts the drill away; that it is over
needs nobody: the engine asks the clock for each request.
"""

from __future__ import annotations

import asyncio
import fcntl
from collections.abc import Collection, Hashable
from datetime import UTC, datetime
from functools import partial
from io import BufferedWriter

import structlog

from gateway.audit.happening import Happening
from gateway.audit.journal import Journal
from gateway.background import Background
from gateway.domain.drill import Drill
from gateway.domain.drilled import End
from gateway.engine.loop import Engine
from gateway.errors import GatewayError, StateError
from gateway.readiness.drill.asking import Asker, asked, kinds
from gateway.readiness.drill.reporting import DRILL, ENDED, Reports
from gateway.readiness.drill.sampling import sampled
from gateway.readiness.drill.store import Drills, Kept
from gateway.telemetry.readings import TOLD_EVERY, Shared

LOOK_EVERY = 0.25
"""Seconds within which every serving process knows of a drill."""
SOON = 2.0
"""Seconds after which what is over is in the log."""


class Conductor:
    """``shared`` is where the local models are told of; ``deadline`` are the seconds that a request
    may take.
    """

    def __init__(
        self,
        drills: Drills,
        reports: Reports,
        engine: Engine,
        journal: Journal,
        shared: Shared,
        background: Background,
        *,
        deadline: float,
    ) -> None:
        self._background = background
        self._drills = drills
        self._reports = reports
        self._engine = engine
        self._journal = journal
        self._shared = shared
        self._deadline = deadline
        self._version: Hashable = None
        self._kept: Kept | None = None
        self._leading: asyncio.Task[None] | None = None
        self._settling: set[asyncio.Task[None]] = set()
        self._problem: str | None = None
        self._log = structlog.get_logger("gateway.drill")

    @property
    def drill(self) -> Drill | None:
        """The one that runs."""
        kept = self._kept
        if kept is None or datetime.now(UTC) >= kept.drill.until:
            return None
        return kept.drill

    async def run(self) -> None:
        """Until cancelled. What cannot be read or written is told, and tried again."""
        try:
            while True:
                try:
                    await self._look()
                    self._problem = None
                except StateError as error:
                    if self._problem is None:
                        self._log.error("drill.state", problem=error.message)
                    self._problem = error.message
                await asyncio.sleep(LOOK_EVERY)
        finally:
            for task in (self._leading, *self._settling):
                if task is not None:
                    task.cancel()

    async def _look(self) -> None:
        version = self._drills.version()
        if version != self._version:
            self._kept = await asyncio.to_thread(self._drills.running)
            self._version = version
            self._engine.drill = None if self._kept is None else self._kept.drill
        kept = self._kept
        if kept is None:
            return
        if datetime.now(UTC) >= kept.drill.until:
            await self._end(kept)
        elif self._leading is None or self._leading.done():
            leading = self._background.keep("drills", partial(self._lead, kept))
            self._leading = asyncio.create_task(leading)

    async def _end(self, kept: Kept) -> None:
        drill = kept.drill
        ended = await asyncio.to_thread(self._drills.close, drill.id, End(drill.until))
        self._kept = self._engine.drill = None
        if ended is None:
            return
        detail = {DRILL: drill.id}
        now = datetime.now(UTC)
        self._journal.happened(Happening(ENDED, now, subject=drill.vendor, detail=detail))
        self.settle(ended)

    def settle(self, ended: Kept) -> None:
        """Have its report kept, soon and once it is final: the log may not be there for ever."""
        task = asyncio.create_task(self._settle(ended))
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)
        task.add_done_callback(self._background.over("drills"))

    async def _settle(self, ended: Kept) -> None:
        settles = self._reports.settles(ended)
        assert settles is not None  # noqa: S101 - it has ended
        for wait in (SOON, (settles - datetime.now(UTC)).total_seconds()):
            await asyncio.sleep(max(SOON, wait))
            try:
                await asyncio.to_thread(self._reports.of, ended)
            except StateError as error:
                self._log.error("drill.report", problem=error.message)

    def _goes_on(self, drill: Drill) -> bool:
        return self._kept is not None and self._kept.drill.id == drill.id

    async def _lead(self, kept: Kept) -> None:
        """What one process does for all, for as long as the drill goes on."""
        try:
            with await asyncio.to_thread(self._drills.leader) as lock:
                while not _taken(lock):
                    await asyncio.sleep(LOOK_EVERY)
                    if not self._goes_on(kept.drill):
                        return
                asking = asyncio.create_task(self._asker(kept).run())
                asking.add_done_callback(self._background.over("drills"))
                try:
                    await self._sample(kept.drill)
                    if datetime.now(UTC) >= kept.drill.until:
                        await asking
                finally:
                    asking.cancel()
        except StateError as error:
            self._log.error("drill.samples", problem=error.message)
            await asyncio.sleep(TOLD_EVERY)

    async def _sample(self, drill: Drill) -> None:
        queues = await asyncio.to_thread(self._drills.queues, drill.id)
        while self._goes_on(drill):
            queues = sampled(queues, self._shared.models())
            await asyncio.to_thread(self._drills.keep_queues, drill.id, queues)
            await asyncio.sleep(TOLD_EVERY)

    def _asker(self, kept: Kept) -> Asker:
        models = {
            one.model: [*kinds(self._can(one.model, one.then))]
            for one in kept.moved
            if kept.drill.synthetic and asked(one)
        }
        asked_for = {model: bodies for model, bodies in models.items() if bodies}
        return Asker(self._engine, self._journal, kept.drill, asked_for, self._deadline)

    def _can(self, model: str, target: str | None) -> Collection[str] | None:
        try:
            found = self._engine.routes.find(model).targets
        except GatewayError:
            return None
        return next((self._engine.can(one) for one in found if one.id == target), None)


def _taken(lock: BufferedWriter) -> bool:
    """Whether the lock is ours now."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
