"""The process of one local model: ``python -m gateway.local.worker``.

Its supervisor starts it with a listening Unix socket as an inherited descriptor and writes one line
of JSON (``WorkerConfig``) to its standard input, which then stays open: its end is the parent's
end, and the worker's. The main thread serves sockets, one thread renders and tokenizes prompts, and
one thread owns the batcher and the model.
"""

from __future__ import annotations

import asyncio
import math
import os
import queue
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import msgspec
import structlog

from gateway.domain.call import Chat, Message, Sampling
from gateway.errors import StartupError
from gateway.local.batch import Batcher
from gateway.local.isolation import drop_network, limit, refuse_calls, stand_back
from gateway.local.jobs import Admitted, Declined, Ended, Event, Job, Said
from gateway.local.prepare import Preparer
from gateway.local.protocol import (
    Accepted,
    Cancel,
    Done,
    Generate,
    Hello,
    Ping,
    Pong,
    ProtocolError,
    Reason,
    RefusalKind,
    Refused,
    Reply,
    Request,
    Retire,
    Text,
    encode,
    request_decoder,
)
from gateway.local.template import TemplateFault
from gateway.local.worker_config import WorkerConfig

if TYPE_CHECKING:
    from gateway.local.llama import LlamaModel

READ = 1 << 16
NICENESS = 5
MAX_UNREAD = 8 << 20
"""Bytes that a client may leave unread before its connection is given up."""

Key: TypeAlias = tuple[int, int]
"""Connection and the client's id of the request. The batcher's keys have the choice behind them."""


class Decoding:
    """The thread that owns the batcher. Everything reaches it through one queue; what it has to
    say goes to ``emit``, which must be safe to call from it.
    """

    def __init__(self, batcher: Batcher, emit: Callable[[list[Event]], None]) -> None:
        self._batcher = batcher
        self._emit = emit
        self._inbox: queue.SimpleQueue[Job | Hashable] = queue.SimpleQueue()
        self._step_since = 0.0

    def submit(self, job: Job) -> None:
        self._inbox.put(job)

    def cancel(self, key: Hashable) -> None:
        self._inbox.put(key)

    def pong(self, asked: int) -> Pong:
        """The state of affairs; figures may be one step old."""
        since = self._step_since
        return Pong(
            waiting=self._batcher.waiting,
            active=self._batcher.active,
            tokens_per_second=self._batcher.tokens_per_second,
            stalled=time.monotonic() - since if since else 0.0,
            asked=asked,
        )

    def run(self, first: Job, warm: Callable[[], None]) -> None:
        """For ever. ``first`` is answered before any other can come, and ``warm`` called behind it.
        An exception of the model goes through: the process must end.
        """
        # In this thread as all others: each that computes has a team of threads of its own, and
        # with more threads than cores OpenMP sends them to sleep at every barrier, for good.
        self._batcher.submit(first)
        while not self._batcher.idle:
            self._batcher.step()
        warm()
        while True:
            events: list[Event] = []
            while self._batcher.idle or not self._inbox.empty():
                order = self._inbox.get()
                if isinstance(order, Job):
                    events += self._batcher.submit(order)
                    if events and self._batcher.idle:
                        break
                else:
                    self._batcher.cancel(order)
            self._step_since = time.monotonic()
            events += self._batcher.step()
            self._step_since = 0.0
            if events:
                self._emit(events)


@dataclass(slots=True)
class _Open:
    """A request whose choices are not all at their ends."""

    reasons: list[Reason | None]
    accepted: bool = False
    prompt: int = 0
    completion: int = 0
    cached: int = 0

    def keys(self, key: Key) -> list[Hashable]:
        return [(*key, choice) for choice in range(len(self.reasons))]


class Worker:
    """The sockets' side: connections, their requests, and the way of events back to them."""

    def __init__(self, config: WorkerConfig, model: LlamaModel) -> None:
        self._config = config
        self._preparer = Preparer(model, config.context)
        self._writers: dict[int, asyncio.StreamWriter] = {}
        self._open: dict[Key, _Open] = {}
        self._connections = 0
        self._asked = 0
        self._preparing: set[Key] = set()
        self._prepare = ThreadPoolExecutor(1, thread_name_prefix="prepare")
        self._loop = asyncio.get_running_loop()
        self._decoding = Decoding(
            Batcher(model, config.queue, time.monotonic),
            lambda events: _call(self._loop, self._deliver, events),
        )

    async def run(self, listener: socket.socket, warm: Callable[[], None]) -> None:
        """Generate a token, so that the first request does not pay for what is done once; call
        ``warm``; then serve until the process ends. Raises what ended the decoding.
        """
        hello = Chat((Message("user", "Hello"),), Sampling(temperature=0.0), max_tokens=1)
        first = self._preparer.jobs((0, 0), hello)
        if isinstance(first, Declined):
            raise StartupError(first.message)
        warmed = asyncio.Event()
        decoding = asyncio.create_task(
            _in_thread(lambda: self._decoding.run(first[0], lambda: _call(self._loop, warmed.set)))
        )
        waiting = asyncio.create_task(warmed.wait())
        await asyncio.wait((decoding, waiting), return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            waiting.cancel()
            await decoding
        warm()
        server = await asyncio.start_unix_server(self._serve, sock=listener)
        try:
            await decoding
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        connection = self._connections
        self._writers[connection] = writer
        config = self._config
        self._send(connection, Hello(config.name, config.context, config.slots, os.getpid()))
        decoder = request_decoder()
        try:
            while data := await reader.read(READ):
                for request in decoder.feed(data):
                    self._handle(connection, request)
        except (ConnectionError, ProtocolError) as error:
            structlog.get_logger().warning("local_connection_lost", reason=str(error))
        finally:
            del self._writers[connection]
            for key in [key for key in (*self._open, *self._preparing) if key[0] == connection]:
                self._cancel(key)
            writer.close()

    def _handle(self, connection: int, request: Request) -> None:
        match request:
            case Generate():
                self._asked += 1
                key = (connection, request.id)
                self._preparing.add(key)
                self._prepare.submit(self._jobs, key, request).add_done_callback(
                    lambda done: _call(self._loop, self._prepared, key, _outcome(key, done))
                )
            case Cancel():
                self._cancel((connection, request.id))
            case Retire() if not self._open and not self._preparing:
                # At once: who asks in this very moment has heard nothing, and asks again.
                os._exit(0)
            case Ping() | Retire():
                self._send(connection, self._decoding.pong(self._asked))

    def _cancel(self, key: Key) -> None:
        self._preparing.discard(key)
        found = self._open.pop(key, None)
        if found is not None:
            for one in found.keys(key):
                self._decoding.cancel(one)

    def _jobs(self, key: Key, request: Generate) -> list[Job] | Declined:
        """In the thread for prompts: a long one must not stall those who generate."""
        if key not in self._preparing:
            return Declined(key, RefusalKind.FAULT, "cancelled")
        until = math.inf if request.within is None else time.monotonic() + request.within
        return self._preparer.jobs(key, request.chat, app=request.app, until=until)

    def _prepared(self, key: Key, outcome: list[Job] | Declined) -> None:
        if key not in self._preparing:
            return
        self._preparing.discard(key)
        if isinstance(outcome, Declined):
            self._send(key[0], _refused(key[1], outcome))
            return
        self._open[key] = _Open([None] * len(outcome))
        for job in outcome:
            self._decoding.submit(job)

    def _deliver(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event.key, tuple):
                connection, id, choice = event.key
                reply = self._reply((connection, id), choice, event)
                if reply is not None:
                    self._send(connection, reply)

    def _reply(self, key: Key, choice: int, event: Event) -> Reply | None:
        """What the client is told of an event, if anything."""
        found = self._open.get(key)
        if found is None:
            return None
        match event:
            case Admitted():
                # The choices of a request share its prompt: it counts once.
                first = not found.accepted
                found.accepted = True
                if first:
                    found.prompt, found.cached = event.prompt_tokens, event.cached
                return Accepted(key[1], event.prompt_tokens, event.cached) if first else None
            case Said():
                piece = event.piece
                return Text(key[1], piece.text, piece.kind, choice, event.scores)
            case Ended():
                found.reasons[choice] = event.reason
                found.completion += event.completion_tokens
                reasons = tuple(reason for reason in found.reasons if reason is not None)
                if len(reasons) < len(found.reasons):
                    return None
                del self._open[key]
                return Done(key[1], reasons, found.prompt, found.completion, found.cached)
            case Declined():
                self._cancel(key)
                return _refused(key[1], event)

    def _send(self, connection: int, reply: Reply) -> None:
        writer = self._writers.get(connection)
        if writer is None or writer.is_closing():
            return
        writer.write(encode(reply))
        if writer.transport.get_write_buffer_size() > MAX_UNREAD:
            writer.transport.abort()


def _outcome(key: Key, done: Future[list[Job] | Declined]) -> list[Job] | Declined:
    """Whatever preparing came to: an exception there must not leave its client waiting."""
    error = done.exception()
    if error is None:
        return done.result()
    structlog.get_logger().error("local_prompt_failed", reason=type(error).__name__)
    return Declined(key, RefusalKind.FAULT, "the prompt could not be prepared for the local model")


def _refused(id: int, declined: Declined) -> Refused:
    return Refused(id, declined.kind, declined.message, declined.retry_after, declined.param)


def _call(loop: asyncio.AbstractEventLoop, what: Callable[..., None], *arguments: object) -> None:
    """From another thread. When the loop is closed the process is ending, and nobody listens."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(what, *arguments)


async def _in_thread(run: Callable[[], None]) -> None:
    """A daemon thread, unlike the executor's: one that hangs in C does not keep the process."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def target() -> None:
        try:
            run()
        finally:
            failed = sys.exc_info()[1]
            _call(loop, _settle, ended, failed)

    threading.Thread(target=target, name="decode", daemon=True).start()
    await ended


def _settle(future: asyncio.Future[None], failed: BaseException | None) -> None:
    if future.done():
        return
    if failed is None:
        future.set_result(None)
    else:
        future.set_exception(failed)


def _end_with_input() -> None:
    """End the process, whatever its other threads do, when standard input ends: then the parent
    has. (The kernel's own signal would come when the parent's *thread* ends, which is not that.)
    """
    while os.read(0, READ):
        pass
    os._exit(0)


async def _work(config: WorkerConfig) -> None:
    # Not at the top: numpy starts threads when it is imported, and the network must be dropped
    # before; and whoever only reads the configuration's type needs no llama.cpp.
    from gateway.local.llama import LlamaModel  # noqa: PLC0415 - heavy, after the isolation

    log = structlog.get_logger()
    started = time.monotonic()
    model = LlamaModel(
        Path(config.path),
        context=config.context,
        slots=config.slots,
        threads=config.threads,
        gpu_layers=config.gpu_layers,
    )
    worker = Worker(config, model)
    await worker.run(
        socket.socket(fileno=config.listener),
        lambda: log.info(
            "local_model_ready", model=config.name, seconds=round(time.monotonic() - started, 2)
        ),
    )


def main() -> int:
    """0 when the parent ended, 1 when the model could not be served."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    log = structlog.get_logger()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when it is over
    # Byte by byte: what is buffered here would be lost to the loop that reads on.
    line = bytearray()
    while (byte := os.read(0, 1)) not in (b"", b"\n"):
        line += byte
    config = msgspec.json.decode(line, type=WorkerConfig)
    limit(config.memory)
    stand_back(NICENESS)
    isolation = {"namespace": drop_network(), "seccomp": refuse_calls()}
    if any(isolation.values()):
        log.info("local_worker_isolated", model=config.name, **isolation)
    else:
        log.warning("local_network_not_dropped", model=config.name, reason="the kernel forbids it")
    if os.getppid() != config.parent:
        return 0
    threading.Thread(target=_end_with_input, name="parent", daemon=True).start()
    try:
        asyncio.run(_work(config))
    except (StartupError, TemplateFault) as error:
        log.error("local_model_failed", model=config.name, reason=str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
