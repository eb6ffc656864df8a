"""Keeps one worker process for each local model: checked files, sockets, restarts, heartbeats.

The supervisor owns the listening sockets, so that a client's connection attempt outlives a crash:
it waits in the backlog for the next worker. Times are in seconds.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import structlog

from gateway.domain.local_model import LocalModel
from gateway.local.files import Accept, verify_model
from gateway.local.protocol import Hello, Ping, Pong, ProtocolError, Retire, encode, reply_decoder
from gateway.local.residency import Resident, check_budget, idle_since, to_unload
from gateway.local.spawning import listen, socket_folder, spawn
from gateway.local.worker_config import WorkerConfig

FIRST_DELAY = 0.1
LONGEST_DELAY = 5.0
CRASHES = 3
WITHIN = 60.0
"""So many crashes within so long a time, and the model is given up."""
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


class ModelState(StrEnum):
    STARTING = "starting"
    READY = "ready"
    RESTARTING = "restarting"
    UNLOADED = "unloaded"
    """Not in memory; loaded as soon as it is asked for."""
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """One model as it is now. ``pid`` is that of the worker that runs, ``detail`` for people."""

    name: str
    state: ModelState
    detail: str = ""
    pid: int | None = None
    restarts: int = 0


@dataclass(slots=True)
class _Keeper:
    """One model's mutable state. ``size`` is the memory that it is reckoned to need, in bytes;
    ``moved`` is set for all whenever something is otherwise with one.
    """

    model: LocalModel
    listener: socket.socket
    path: Path
    size: int
    moved: asyncio.Event
    state: ModelState = ModelState.STARTING
    detail: str = ""
    busy: bool = False
    asked: int = 0
    used: float = 0.0
    retiring: bool = False
    voice: asyncio.StreamWriter | None = None
    process: asyncio.subprocess.Process | None = None
    restarts: int = 0
    crashes: deque[float] = field(default_factory=lambda: deque(maxlen=CRASHES))
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def loaded(self) -> bool:
        return self.process is not None

    def heard(self, pong: Pong) -> None:
        """What the worker says of its work."""
        self.busy = pong.active + pong.waiting > 0
        if self.busy or pong.asked != self.asked:
            self.used = time.monotonic()
        self.asked = pong.asked
        self.retiring = self.retiring and not self.busy
        self.moved.set()

    def retire(self) -> None:
        """Ask the worker to go, unless it has work by now."""
        if not self.retiring and self.voice is not None:
            self.retiring = True
            self.voice.write(encode(Retire()))

    def become(self, state: ModelState, detail: str = "") -> None:
        self.state, self.detail = state, detail
        self.changed.set()
        self.moved.set()

    def given_up(self, now: float) -> bool:
        self.crashes.append(now)
        return len(self.crashes) == CRASHES and now - self.crashes[0] <= WITHIN


class Supervisor:
    """Runs the local models' workers from ``start`` to ``stop``, on one event loop.

    ``run_dir`` gets the sockets, ``state_dir`` the memory of verified files; ``python`` is the
    interpreter of the workers; ``accept`` may refuse a model for what its file's metadata says.
    ``budget`` is the memory in bytes that all models together may be reckoned to need; one that is
    loaded on demand is unloaded when it has had nothing to do for ``idle`` seconds.
    """

    def __init__(
        self,
        models: Sequence[LocalModel],
        run_dir: Path,
        state_dir: Path,
        python: str = sys.executable,
        accept: Accept | None = None,
        *,
        budget: int | None = None,
        idle: float | None = None,
    ) -> None:
        self._models = tuple(models)
        self._wanted_dir = run_dir
        self._state_dir = state_dir
        self._python = python
        self._accept = accept
        self._keepers: dict[str, _Keeper] = {}
        self._sizes: dict[str, int] = {}
        self._budget = budget
        self._idle = idle
        self._loading = asyncio.Lock()
        self._moved = asyncio.Event()
        self._folder: Path | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._log = structlog.get_logger()

    async def start(self) -> None:
        """Check all files, make the sockets and start the workers; does not wait for them to load.

        Raises ModelFileError where a file is missing, altered or malformed, StartupError where a
        socket cannot be made.
        """
        for model in self._models:
            await asyncio.to_thread(self._check, model)
        if not self._models:
            return
        check_budget(self._sizes_of(preload=True), self._sizes_of(preload=False), self._budget)
        self._folder = folder = socket_folder(self._wanted_dir, [m.name for m in self._models])
        for model in self._models:
            path = folder / f"{model.name}.sock"
            size = self._sizes[model.name]
            keeper = _Keeper(model, listen(path), path, size, self._moved)
            keeper.state = ModelState.STARTING if model.preload else ModelState.UNLOADED
            self._keepers[model.name] = keeper
        self._tasks = [asyncio.create_task(self._keep(k)) for k in self._keepers.values()]
        if self._idle is not None:
            self._tasks.append(asyncio.create_task(self._unload_idle(self._idle)))

    async def stop(self) -> None:
        """End all workers and remove the sockets."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        for keeper in self._keepers.values():
            keeper.become(ModelState.STOPPED)
            keeper.listener.close()
            keeper.path.unlink(missing_ok=True)
        if self._folder is not None and self._folder != self._wanted_dir.resolve():
            with suppress(OSError):
                self._folder.rmdir()

    async def wait_ready(self, name: str, timeout: float) -> ModelStatus:
        """The status once the model is ready or has failed, or after ``timeout`` seconds."""
        keeper = self._keepers[name]
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while keeper.state not in (ModelState.READY, ModelState.FAILED):
                    keeper.changed.clear()
                    await keeper.changed.wait()
        return _status(keeper)

    def status(self) -> tuple[ModelStatus, ...]:
        """Of every model, in the order of the configuration."""
        return tuple(_status(keeper) for keeper in self._keepers.values())

    def socket_path(self, name: str) -> Path:
        """Where the model's worker is reached. Raises KeyError for a name that is not there."""
        return self._keepers[name].path

    def sockets(self) -> Mapping[str, Path]:
        """All models' sockets by name; there are none before ``start``."""
        return {name: keeper.path for name, keeper in self._keepers.items()}

    def _check(self, model: LocalModel) -> None:
        found = verify_model(model, self._state_dir, self._accept)
        self._sizes[model.name] = found.needs(model).total
        self._log.info(
            "local_model_verified",
            model=model.name,
            architecture=found.header.architecture,
            hash="remembered" if found.remembered else "computed",
        )

    async def _keep(self, keeper: _Keeper) -> None:
        """Start the worker, and start it again, until cancelled or given up."""
        delay = FIRST_DELAY
        while True:
            if not keeper.model.preload and keeper.state is not ModelState.RESTARTING:
                await self._asked_for(keeper)
            started = time.monotonic()
            try:
                why = await self._run_once(keeper)
            except Exception as error:  # noqa: BLE001 - a defect here must not end the restarting
                why = f"{type(error).__name__}: {error}"
            now = time.monotonic()
            if keeper.retiring:
                self._log.info("local_model_unloaded", model=keeper.model.name)
                keeper.become(ModelState.UNLOADED)
                continue
            if keeper.given_up(now):
                detail = f"crashed {CRASHES} times within {WITHIN:.0f} s, last: {why}; given up"
                # Whoever asks is to know at once, and not wait for a worker that will not come.
                keeper.listener.close()
                keeper.path.unlink(missing_ok=True)
                keeper.become(ModelState.FAILED, detail)
                self._log.error("local_model_failed", model=keeper.model.name, reason=detail)
                return
            if now - started > WITHIN:
                delay = FIRST_DELAY
            keeper.restarts += 1
            keeper.become(ModelState.RESTARTING, why)
            self._log.warning(
                "local_worker_lost", model=keeper.model.name, reason=why, again_in=delay
            )
            await asyncio.sleep(delay)
            delay = min(delay * 2, LONGEST_DELAY)

    async def _asked_for(self, keeper: _Keeper) -> None:
        """Wait until somebody wants the model, and until there is room for it."""
        keeper.become(ModelState.UNLOADED)
        await _knock(keeper.listener)
        async with self._loading:
            while (names := to_unload(self._residents(), keeper.size, self._budget)) != []:
                self._moved.clear()
                for name in names or ():
                    self._keepers[name].retire()
                await self._moved.wait()
            # At work until it says that it is not: nobody is loaded only to be unloaded.
            keeper.retiring, keeper.busy = False, True
            keeper.become(ModelState.STARTING)

    async def _unload_idle(self, idle: float) -> None:
        while True:
            await asyncio.sleep(min(idle / 4, PING_EVERY))
            for name in idle_since(self._residents(), time.monotonic() - idle):
                self._keepers[name].retire()

    def _residents(self) -> list[Resident]:
        """Who is in memory, or about to be."""
        return [
            Resident(name, keeper.size, keeper.model.preload, keeper.busy, keeper.used)
            for name, keeper in self._keepers.items()
            if keeper.loaded or keeper.model.preload or keeper.state is ModelState.STARTING
        ]

    def _sizes_of(self, *, preload: bool) -> dict[str, int]:
        chosen = [model.name for model in self._models if model.preload is preload]
        return {name: self._sizes[name] for name in chosen}

    async def _run_once(self, keeper: _Keeper) -> str:
        """One worker's life; how it ended."""
        try:
            process = await self._spawn(keeper)
        except OSError as error:
            return f"the worker cannot be started: {error.strerror}"
        keeper.process = process
        watch = asyncio.create_task(self._watch(keeper))
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
            keeper.process = keeper.voice = None
            keeper.moved.set()

    async def _spawn(self, keeper: _Keeper) -> asyncio.subprocess.Process:
        model = keeper.model
        projector = model.manifest.projector
        config = WorkerConfig(
            name=model.name,
            path=str(model.manifest.path.resolve()),
            projector=str(projector.path.resolve()) if projector is not None else None,
            context=model.context,
            slots=model.slots,
            queue=model.queue,
            threads=model.threads or len(os.sched_getaffinity(0)),
            gpu_layers=model.gpu_layers,
            pooling=model.manifest.pooling,
            listener=keeper.listener.fileno(),
            parent=os.getpid(),
            memory=LENIENCE * keeper.size + SPARE,
        )
        return await spawn(self._python, config)

    async def _watch(self, keeper: _Keeper) -> str:
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
                        keeper.become(ModelState.READY)
                    elif isinstance(reply, Pong):
                        keeper.heard(reply)
                        if reply.stalled > STALLED:
                            return f"one step has taken {reply.stalled:.0f} s"
        except (ConnectionError, ProtocolError) as error:
            return f"its connection failed: {error}"
        finally:
            writer.close()


def _status(keeper: _Keeper) -> ModelStatus:
    pid = keeper.process.pid if keeper.process is not None else None
    return ModelStatus(keeper.model.name, keeper.state, keeper.detail, pid, keeper.restarts)


async def _knock(listener: socket.socket) -> None:
    """Return when somebody connects. He is not let in: that is for the worker to do."""
    loop = asyncio.get_running_loop()
    somebody = asyncio.Event()
    loop.add_reader(listener, somebody.set)
    try:
        await somebody.wait()
    finally:
        loop.remove_reader(listener)


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
