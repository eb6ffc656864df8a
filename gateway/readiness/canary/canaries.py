"""Canaries: a share of what others than local models have served, asked of those once more.

Theory of operation. ``Canaries`` stands between whoever answers apps and the engine. By a request's
id it is drawn, or not; nothing is done for the others. The answer to one that is drawn is overheard
while the app gets it. When the app has all of it, the same is asked on a route that has the local
targets of the model and no other, so there is no vendor to dial; policy is asked of them as ever,
for the labels of the app. The answer goes nowhere: what it does otherwise stands in its record,
and is counted. It is ``spare`` to the local models, which have it only while nobody else wants the
slot.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from zlib import crc32

from msgspec.structs import replace

from gateway.audit.journal import Journal
from gateway.audit.record import Record
from gateway.background import Background
from gateway.config.readiness import CanarySection
from gateway.domain.call import Call, Chat, Completion, Counting, Passing
from gateway.domain.identity import Locality
from gateway.domain.target import Target
from gateway.engine.attempt import Told
from gateway.engine.heard import Heard, hear
from gateway.engine.loop import Engine
from gateway.engine.routes import Route
from gateway.errors import AuditUnavailable, InvalidRequest
from gateway.local.protocol import Hello
from gateway.readiness.canary import asked
from gateway.readiness.canary.differences import differences
from gateway.readiness.canary.overheard import SPEECHES, Overheard
from gateway.routing.groups import in_order
from gateway.routing.health import Breaker
from gateway.telemetry.canaries import CANARY, CanaryTally, Skipped, gave_way
from gateway.telemetry.timing import first_content


def drawn(id: str, share: float) -> bool:
    """Whether the request of that id falls into the share. Another hash than a drain goes by: what
    that still sends would be all of it, or nothing.
    """
    return crc32(id.encode()) < share * 2**32


class Canaries:
    """``loaded`` gives what the worker of a local model says, ``None`` where there is none now."""

    def __init__(
        self,
        engine: Engine,
        journal: Journal,
        loaded: Callable[[str], Hello | None],
        tally: CanaryTally,
        section: CanarySection,
        background: Background,
    ) -> None:
        self._told = background.over("canaries")
        self._engine = engine
        self._journal = journal
        self._loaded = loaded
        self._tally = tally
        self.section = section
        self._asking: set[asyncio.Task[None]] = set()

    def run(
        self, call: Call, record: Record, reader: asyncio.Task[Any] | None = None
    ) -> AsyncGenerator[Sequence[Told], None]:
        """As ``Engine.run``."""
        share = self.section.share
        if not share or not drawn(call.id, share) or call.api not in SPEECHES:
            return self._engine.run(call, record, reader)
        route = self._engine.routes.find(call.model)
        if not _local(route):
            return self._engine.run(call, record, reader)
        overheard = Overheard(call)
        events = self._engine.run(overheard.asked(call), record, reader)
        return self._overheard(call, record, events, overheard, route)

    def there(self, target: Target) -> Hello | None:
        """What the worker of a local target says, where it can be asked something of our own."""
        hello = self._loaded(target.model)
        return hello if hello is not None and self._obstacle([target]) is None else None

    async def stop(self) -> None:
        """End those that are under way."""
        for task in self._asking:
            task.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)

    async def _overheard(
        self,
        call: Call,
        record: Record,
        events: AsyncGenerator[Sequence[Told], None],
        overheard: Overheard,
        route: Route,
    ) -> AsyncGenerator[Sequence[Told], None]:
        try:
            async for batch in events:
                overheard.take(batch)
                yield batch
        finally:
            await events.aclose()
        # Whoever reads has sent the last of it, and asks whether there is more.
        if record.outcome == "served" and record.locality != Locality.LOCAL:
            self._begin(call, record, overheard, route)

    def _begin(self, call: Call, record: Record, overheard: Overheard, route: Route) -> None:
        targets = [target for target in _local(route) if self._loaded(target.model) is not None]
        why = self._obstacle(targets)
        if why is not None:
            self._tally.skipped(why)
            return
        task = asyncio.create_task(self._again(call, record, overheard, route.name, targets))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)
        task.add_done_callback(self._told)

    def _obstacle(self, targets: Sequence[Target]) -> Skipped | None:
        """Why nothing is asked of these now; the worker may still say that it has no slot."""
        if len(self._asking) >= self.section.at_once:
            return Skipped.AT_ONCE
        try:
            self._journal.check()
        except AuditUnavailable:
            return Skipped.NOT_RECORDED
        if not targets:
            return Skipped.NOT_LOADED
        now = time.monotonic()
        # With an open breaker it would be the one probe that others may go by.
        if any(self._engine.health(one.id).breaker(now) is not Breaker.CLOSED for one in targets):
            return Skipped.BREAKER_OPEN
        if all(self._busy(target) for target in targets):
            return Skipped.BUSY
        return None

    def _busy(self, target: Target) -> bool:
        """Whether this process alone has all slots."""
        hello = self._loaded(target.model)
        return hello is None or self._engine.busy(target.id) >= hello.slots

    async def _again(
        self,
        call: Call,
        record: Record,
        overheard: Overheard,
        model: str,
        targets: Sequence[Target],
    ) -> None:
        # Not in between: a long one takes a while to read.
        theirs = await asyncio.to_thread(overheard.heard)
        try:
            whole = call.task
        except InvalidRequest:
            # The vendor took for text what is none.
            return
        assert isinstance(whole, Chat | Completion)  # noqa: S101 - what these APIs ask for
        task, limit = asked.bounded(whole, self.section.max_tokens)
        canary = asked.call(call.model, task, call.api)
        canary = replace(canary, needs=call.needs, labels=call.labels)
        await self.ask(canary, targets, theirs, limit=limit, repeats=record.id)
        first = first_content(record) if record.stream else None
        if first is not None:
            self._tally.first(model, record.served_by or "", first)

    async def ask(
        self,
        canary: Call,
        targets: Sequence[Target],
        theirs: Heard | None,
        *,
        limit: int | None = None,
        repeats: str | None = None,
    ) -> None:
        """Ask local targets, one after the other until one answers, and write down how the answer
        compares with ``theirs``; ``limit`` as in ``differences``.
        """
        record = Record(
            id=canary.id,
            at=datetime.now(UTC),
            api=canary.api,
            labels=canary.labels,
            origin=CANARY,
            repeats=repeats,
        )

        def compared(ours: Heard) -> None:
            if not gave_way(record) and not isinstance(canary.task, Counting | Passing):
                record.differs = differences(canary.task, theirs, ours, limit)

        route = Route(in_order(*targets), continuation=False)
        await hear(self._engine, self._journal, canary, record, route, compared)


def _local(route: Route) -> tuple[Target, ...]:
    return tuple(one for one in route.targets if one.locality is Locality.LOCAL)
