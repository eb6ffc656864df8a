"""The thread of a worker that computes: it owns the batcher, the embedder and the model."""

from __future__ import annotations

import asyncio
import queue
import sys
import threading
import time
from collections.abc import Callable, Hashable

from gateway.local.batch import Batcher
from gateway.local.embed import Embedder
from gateway.local.jobs import EmbedJob, Event, Job
from gateway.local.outlet import call
from gateway.local.protocol import Pong


class Decoding:
    """The thread that owns the batcher and the embedder. Everything reaches it through one queue;
    what it has to say goes to ``emit``, which is called in it.
    """

    def __init__(
        self, batcher: Batcher, embedder: Embedder, emit: Callable[[list[Event]], None]
    ) -> None:
        self._batcher = batcher
        self._embedder = embedder
        self._emit = emit
        self._inbox: queue.SimpleQueue[Job | EmbedJob | Hashable] = queue.SimpleQueue()
        self._step_since = 0.0

    def submit(self, job: Job | EmbedJob) -> None:
        self._inbox.put(job)

    def cancel(self, key: Hashable) -> None:
        self._inbox.put(key)

    def pong(self, asked: int) -> Pong:
        """The state of affairs; figures may be one step old."""
        since = self._step_since
        return Pong(
            waiting=self._batcher.waiting + self._embedder.waiting,
            active=self._batcher.active,
            tokens_per_second=self._batcher.tokens_per_second,
            stalled=time.monotonic() - since if since else 0.0,
            asked=asked,
            tokens=self._batcher.tokens + self._embedder.tokens,
        )

    def run(self, first: Job | EmbedJob, warm: Callable[[], None]) -> None:
        """For ever. ``first`` is answered before any other can come, and ``warm`` called behind it.
        An exception of the model goes through: the process must end.
        """
        # In this thread as all others: each that computes has a team of threads of its own, and
        # with more threads than cores OpenMP sends them to sleep at every barrier, for good.
        self._take(first)
        while not self._idle:
            self._batcher.step()
            self._embedder.step(generating=False)
        warm()
        while True:
            events: list[Event] = []
            while self._idle or not self._inbox.empty():
                events += self._take(self._inbox.get())
                if events and self._idle:
                    break
            events += self._batcher.admit()
            if events:
                # Before the step: whoever waits for a slot knows at once that there is one.
                self._emit(events)
            self._step_since = time.monotonic()
            events = self._batcher.compute()
            if not self._embedder.idle:
                if events:
                    self._emit(events)
                self._step_since = time.monotonic()
                events = self._embedder.step(generating=not self._batcher.idle)
            self._step_since = 0.0
            if events:
                self._emit(events)

    @property
    def _idle(self) -> bool:
        return self._batcher.idle and self._embedder.idle

    def _take(self, order: Job | EmbedJob | Hashable) -> list[Event]:
        if isinstance(order, Job):
            return self._batcher.submit(order)
        if isinstance(order, EmbedJob):
            return self._embedder.submit(order)
        self._batcher.cancel(order)
        self._embedder.cancel(order)
        return []


async def in_thread(run: Callable[[], None]) -> None:
    """A daemon thread, unlike the executor's: one that hangs in C does not keep the process."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def target() -> None:
        try:
            run()
        finally:
            failed = sys.exc_info()[1]
            call(loop, _settle, ended, failed)

    threading.Thread(target=target, name="decode", daemon=True).start()
    await ended


def _settle(future: asyncio.Future[None], failed: BaseException | None) -> None:
    if future.done():
        return
    if failed is None:
        future.set_result(None)
    else:
        future.set_exception(failed)
