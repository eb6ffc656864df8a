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
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import msgspec
import structlog

from gateway.background import Background
from gateway.errors import StartupError
from gateway.local.batch import Batcher
from gateway.local.decoding import Decoding, in_thread
from gateway.local.embed import Embedder
from gateway.local.jobs import Declined, Event
from gateway.local.outlet import Outlet, call
from gateway.local.protocol import (
    Cancel,
    Complete,
    Count,
    Counted,
    Embed,
    Generate,
    Hello,
    Ping,
    RefusalKind,
    Reply,
    Request,
    Retire,
    Work,
    encode,
    request_decoder,
)
from gateway.local.requests import Key, Requests, refused
from gateway.local.tasks import Prepared, Tasks
from gateway.local.template import TemplateFault
from gateway.local.worker_config import WorkerConfig
from gateway.processes.frames import ProtocolError
from gateway.processes.isolation import drop_network, limit, refuse_calls, stand_back
from gateway.processes.logs import configure_logs

if TYPE_CHECKING:
    from gateway.local.llama import LlamaModel

READ = 1 << 16
NICENESS = 5

Outcome: TypeAlias = Prepared | int | Declined
"""What preparing a request has come to: work, a number of tokens, or a refusal."""


class Worker:
    """The sockets' side: connections, their requests, and the way of events back to them."""

    def __init__(self, config: WorkerConfig, model: LlamaModel) -> None:
        self._config = config
        self._tasks = Tasks(model, config.context)
        self._abilities = self._tasks.abilities()
        self._outlets: dict[int, Outlet] = {}
        self._requests = Requests()
        self._connections = 0
        self._asked = 0
        self._preparing: set[Key] = set()
        self._prepare = ThreadPoolExecutor(1, thread_name_prefix="prepare")
        self._loop = asyncio.get_running_loop()
        self._clients: set[asyncio.Task[None]] = set()
        self._decoding = Decoding(
            Batcher(model, config.queue, time.monotonic),
            Embedder(model.encoder, config.queue, time.monotonic),
            self._deliver,
        )

    async def run(self, listener: socket.socket, warm: Callable[[], None]) -> None:
        """Do something small, so that the first request does not pay for what is done once; call
        ``warm``; then serve until the process ends. Raises what ended the decoding.
        """
        prepared = self._tasks.first()
        if isinstance(prepared, Declined):
            raise StartupError(prepared.message)
        first = prepared.jobs[0]
        warmed = asyncio.Event()
        decoding = asyncio.create_task(
            in_thread(lambda: self._decoding.run(first, lambda: call(self._loop, warmed.set)))
        )
        waiting = asyncio.create_task(warmed.wait())
        await asyncio.wait((decoding, waiting), return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            waiting.cancel()
            await decoding
        warm()
        kept = Background().keep("connections", lambda: self._accept(listener))
        accepting = asyncio.create_task(kept)
        try:
            await decoding
        finally:
            accepting.cancel()

    async def _accept(self, listener: socket.socket) -> None:
        listener.setblocking(False)
        while True:
            client, _ = await self._loop.sock_accept(listener)
            client.setblocking(False)
            task = asyncio.create_task(self._serve(client))
            self._clients.add(task)
            task.add_done_callback(self._clients.discard)

    async def _serve(self, client: socket.socket) -> None:
        self._connections += 1
        connection = self._connections
        outlet = self._outlets[connection] = Outlet(client, self._loop)
        config = self._config
        self._send(
            connection,
            Hello(
                config.name,
                config.context,
                config.slots,
                os.getpid(),
                config.layout,
                self._abilities,
            ),
        )
        decoder = request_decoder()
        try:
            while data := await self._loop.sock_recv(client, READ):
                for request in decoder.feed(data):
                    self._handle(connection, request)
        except (ConnectionError, ProtocolError) as error:
            structlog.get_logger().warning("local_connection_lost", reason=str(error))
        finally:
            del self._outlets[connection]
            preparing = [key for key in self._preparing if key[0] == connection]
            for key in (*self._requests.of(connection), *preparing):
                self._cancel(key)
            outlet.close()

    def _handle(self, connection: int, request: Request) -> None:
        match request:
            case Generate() | Complete() | Embed() | Count():
                self._asked += 1
                key = (connection, request.id)
                self._preparing.add(key)
                self._prepare.submit(self._look_at, key, request).add_done_callback(
                    lambda done: call(self._loop, self._prepared, key, _outcome(key, done))
                )
            case Cancel():
                self._cancel((connection, request.id))
            case Retire() if not self._requests and not self._preparing:
                # At once: who asks in this very moment has heard nothing, and asks again.
                os._exit(0)
            case Ping() | Retire():
                self._send(connection, self._decoding.pong(self._asked))

    def _cancel(self, key: Key) -> None:
        self._preparing.discard(key)
        for one in self._requests.close(key):
            self._decoding.cancel(one)

    def _look_at(self, key: Key, request: Work | Count) -> Outcome:
        """In the thread for prompts: a long one must not stall those who generate."""
        if key not in self._preparing:
            return Declined(key, RefusalKind.FAULT, "cancelled")
        if isinstance(request, Count):
            return self._tasks.count(key, request.work.task)
        until = math.inf if request.within is None else time.monotonic() + request.within
        outcome = self._tasks.prepare(key, request.task, app=request.app, until=until)
        if isinstance(outcome, Declined) or isinstance(request, Embed):
            return outcome
        if not (request.suspect or request.spare):
            return outcome
        return outcome.as_asked(suspect=request.suspect, spare=request.spare)

    def _prepared(self, key: Key, outcome: Outcome) -> None:
        if key not in self._preparing:
            return
        self._preparing.discard(key)
        match outcome:
            case Declined():
                self._send(key[0], refused(key[1], outcome))
            case int():
                self._send(key[0], Counted(key[1], outcome))
            case Prepared():
                self._requests.open(key, len(outcome.jobs), outcome.prompts)
                for job in outcome.jobs:
                    self._decoding.submit(job)

    def _deliver(self, events: list[Event]) -> None:
        """In the thread that computes: all that a client is told of one step goes out at once."""
        frames: dict[int, bytearray] = {}
        for event in events:
            if isinstance(event.key, tuple):
                connection, id, choice = event.key
                reply = self._requests.reply((connection, id), choice, event)
                if isinstance(event, Declined):
                    self._cancel((connection, id))
                if reply is not None:
                    frames.setdefault(connection, bytearray()).extend(encode(reply))
        for connection, data in frames.items():
            if (outlet := self._outlets.get(connection)) is not None:
                outlet.send(data)

    def _send(self, connection: int, reply: Reply) -> None:
        if (outlet := self._outlets.get(connection)) is not None:
            outlet.send(encode(reply))


def _outcome(key: Key, done: Future[Outcome]) -> Outcome:
    """Whatever preparing came to: an exception there must not leave its client waiting."""
    error = done.exception()
    if error is None:
        return done.result()
    structlog.get_logger().error("local_prompt_failed", reason=type(error).__name__)
    return Declined(key, RefusalKind.FAULT, "the prompt could not be prepared for the local model")


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
        batch=config.batch,
        ubatch=config.ubatch,
        threads=config.threads,
        gpu_layers=config.layout.gpu_layers,
        split={share.device: share.layers for share in config.layout.devices if share.layers},
        pooling=config.pooling,
        projector=Path(config.projector) if config.projector is not None else None,
        template=config.template,
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
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when it is over
    # Byte by byte: what is buffered here would be lost to the loop that reads on.
    line = bytearray()
    while (byte := os.read(0, 1)) not in (b"", b"\n"):
        line += byte
    config = msgspec.json.decode(line, type=WorkerConfig)
    configure_logs(config.logs)
    log = structlog.get_logger()
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
