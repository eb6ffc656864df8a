"""Keeps one worker process for each local model: checked files, sockets, restarts, heartbeats.

The supervisor owns the listening sockets, so that a client's connection attempt outlives a crash:
it waits in the backlog for the next worker. Times are in seconds.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

import structlog

from gateway.domain.local_model import LocalModel
from gateway.errors import ModelFileError
from gateway.local.attendance import PING_EVERY, attend
from gateway.local.fit import needs
from gateway.local.keeper import CRASHES, WITHIN, Keeper, ModelState, ModelStatus
from gateway.local.residency import Resident, check_budget, idle_since, to_unload
from gateway.local.spawning import listen, socket_folder
from gateway.local.verify import verify

FIRST_DELAY = 0.1
LONGEST_DELAY = 5.0
Accept: TypeAlias = Callable[[LocalModel, Mapping[str, object]], None]
"""Raises ModelFileError where a model may not be served with such metadata."""


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
        self._keepers: dict[str, Keeper] = {}
        self._sizes: dict[str, int] = {}
        self._templates: dict[str, str] = {}
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
            size, template = self._sizes[model.name], self._templates.get(model.name)
            keeper = Keeper(model, listen(path), path, size, template, self._moved)
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
        return keeper.status

    def status(self) -> tuple[ModelStatus, ...]:
        """Of every model, in the order of the configuration."""
        return tuple(keeper.status for keeper in self._keepers.values())

    def socket_path(self, name: str) -> Path:
        """Where the model's worker is reached. Raises KeyError for a name that is not there."""
        return self._keepers[name].path

    def sockets(self) -> Mapping[str, Path]:
        """All models' sockets by name; there are none before ``start``."""
        return {name: keeper.path for name, keeper in self._keepers.items()}

    def _check(self, model: LocalModel) -> None:
        path = model.manifest.path
        header, cached = verify(path, model.manifest.sha256, self._state_dir)
        wanted = needs(header, model.context, model.slots, model.ubatch)
        self._sizes[model.name] = wanted.total
        if header.architecture is None:
            raise ModelFileError(f"{path.name} does not say its architecture: not a model")
        if self._accept is not None:
            self._accept(model, header.metadata)
        if model.manifest.template is not None:
            # Jinja is of the workers' requirements: who has no local model need not have it.
            from gateway.local.template import read_template  # noqa: PLC0415 - as said

            self._templates[model.name] = read_template(model.manifest.template)
        self._log.info(
            "local_model_verified",
            model=model.name,
            architecture=header.architecture,
            hash="remembered" if cached else "computed",
        )

    async def _keep(self, keeper: Keeper) -> None:
        """Start the worker, and start it again, until cancelled or given up."""
        delay = FIRST_DELAY
        while True:
            if not keeper.model.preload and keeper.state is not ModelState.RESTARTING:
                await self._asked_for(keeper)
            started = time.monotonic()
            try:
                why = await attend(keeper, self._python)
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

    async def _asked_for(self, keeper: Keeper) -> None:
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


async def _knock(listener: socket.socket) -> None:
    """Return when somebody connects. He is not let in: that is for the worker to do."""
    loop = asyncio.get_running_loop()
    somebody = asyncio.Event()
    loop.add_reader(listener, somebody.set)
    try:
        await somebody.wait()
    finally:
        loop.remove_reader(listener)
