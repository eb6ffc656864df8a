"""One worker's life, from its start to its end: heartbeats, and what ends it. Times in seconds."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress

from gateway.local.keeper import Keeper, ModelState
from gateway.local.protocol import Hello, Ping, Pong, encode, reply_decoder
from gateway.local.spawning import spawn
from gateway.local.worker_config import WorkerConfig
from gateway.processes.frames import ProtocolError
from gateway.processes.logs import Logs

PING_EVERY = 2.0
SILENT = 10.0
"""A worker that says nothing for so long is killed."""
STALLED = 120.0
"""One that computes a single step for so long, too."""
DYING = 0.5
"""For so long a worker whose connection was lost may take to end by itself."""
STOP_WITHIN = 3.0
LENIENCE, SPARE = 2, 1 << 30
"""A worker may have twice the memory that its model is reckoned to need, and so many bytes more: it
is there to end one that runs away, not one that was reckoned too small.
"""


async def attend(keeper: Keeper, python: str, logs: Logs) -> str:
    """Run one worker with the interpreter ``python`` until it ends, or must; how it ended."""
    try:
        process = await spawn(python, _config(keeper, logs))
    except OSError as error:
        return f"the worker cannot be started: {error.strerror}"
    keeper.process, keeper.greeted = process, False
    watch = asyncio.create_task(_watch(keeper))
    ended = asyncio.create_task(process.wait())
    try:
        await asyncio.wait((watch, ended), return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            # A connection is mostly lost because the process is ending: its code says more.
            await asyncio.wait((ended,), timeout=DYING)
        if not ended.done():
            with suppress(ProcessLookupError):
                process.kill()
            await ended
            return watch.result()
        code = await ended
        return f"ended by signal {-code}" if code < 0 else f"ended with code {code}"
    finally:
        watch.cancel()
        await _end(process, ended)
        keeper.ended()


def _config(keeper: Keeper, logs: Logs) -> WorkerConfig:
    model = keeper.model
    projector = model.manifest.projector
    return WorkerConfig(
        name=model.name,
        path=str(model.manifest.path.resolve()),
        projector=str(projector.path.resolve()) if projector is not None else None,
        context=model.context,
        slots=model.slots,
        batch=model.batch,
        ubatch=model.ubatch,
        queue=model.queue,
        threads=model.threads or len(os.sched_getaffinity(0)),
        layout=keeper.layout,
        pooling=model.manifest.pooling,
        listener=keeper.listener.fileno(),
        parent=os.getpid(),
        memory=LENIENCE * keeper.needs.total + SPARE,
        template=keeper.template,
        logs=logs,
    )


async def _watch(keeper: Keeper) -> str:
    """Ask the worker how it is, on a connection like any client's; why it is to be killed."""
    try:
        reader, writer = await asyncio.open_unix_connection(keeper.path)
    except OSError as error:
        return f"its socket is gone: {error.strerror}"
    keeper.voice = writer
    decoder = reply_decoder()
    heard: float | None = None
    try:
        while True:
            # Loading may take as long as it takes: silence counts from the first word on.
            patience = None if heard is None else PING_EVERY
            try:
                async with asyncio.timeout(patience):
                    data = await reader.read(1 << 16)
            except TimeoutError:
                if heard is not None and time.monotonic() - heard > SILENT:
                    return f"no heartbeat for {SILENT:.0f} s"
                writer.write(encode(Ping()))
                continue
            if not data:
                return "it closed its connection"
            heard = time.monotonic()
            for reply in decoder.feed(data):
                if isinstance(reply, Hello):
                    keeper.greeted = True
                    keeper.become(ModelState.READY)
                elif isinstance(reply, Pong):
                    keeper.heard(reply)
                    if reply.stalled > STALLED:
                        return f"one step has taken {reply.stalled:.0f} s"
    except (ConnectionError, ProtocolError) as error:
        return f"its connection failed: {error}"
    finally:
        writer.close()


async def _end(process: asyncio.subprocess.Process, ended: asyncio.Task[int]) -> None:
    """Closing its input asks the worker to end; then it is made to."""
    if process.stdin is not None:
        process.stdin.close()
    if ended.done():
        return
    await asyncio.wait((ended,), timeout=STOP_WITHIN)
    if not ended.done():
        with suppress(ProcessLookupError):
            process.kill()
        await ended
