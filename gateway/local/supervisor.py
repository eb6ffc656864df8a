"""Keeps one worker process for each local model: checked files, sockets, restarts, heartbeats.

The supervisor owns the listening sockets, so that a client's connection attempt outlives a crash:
it waits in the backlog for the next worker. Times are in seconds.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import structlog

from gateway.domain.local_model import LocalModel
from gateway.errors import ModelFileError
from gateway.local.attendance import PING_EVERY, attend
from gateway.local.files import Accept, verify_model
from gateway.local.fit import Needs
from gateway.local.gpus import BUILD, Gpus
from gateway.local.keeper import CRASHES, WITHIN, Keeper, ModelState, ModelStatus
from gateway.local.layout import Layout
from gateway.local.place import Placed
from gateway.local.residency import (
    Resident,
    Room,
    check_budget,
    idle_since,
    lay_out,
    least_memory,
    make_room,
)
from gateway.local.spawning import listen, socket_folder

COMING = (ModelState.STARTING, ModelState.RESTARTING)
FIRST_DELAY = 0.1
LONGEST_DELAY = 5.0


class Supervisor:
    """Runs the local models' workers from ``start`` to ``stop``, on one event loop.

    ``run_dir`` gets the sockets, ``state_dir`` the memory of verified files; ``python`` is the
    interpreter of the workers; ``accept`` may refuse a model for what its file's metadata says.
    ``budget`` is the memory in bytes that all models together may be reckoned to need, and
    ``gpu_budget`` that of each device, or of those that it names; one that is loaded on demand is
    unloaded when it has had nothing to do for ``idle`` seconds.
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
        gpu_budget: int | Mapping[str, int] | None = None,
        idle: float | None = None,
    ) -> None:
        self._models = tuple(models)
        self._wanted_dir = run_dir
        self._state_dir = state_dir
        self._python = python
        self._accept = accept
        self._keepers: dict[str, Keeper] = {}
        self._needs: dict[str, Needs] = {}
        self._templates: dict[str, str] = {}
        self._budget = budget
        self._gpus = Gpus(python, gpu_budget)
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
        if not self._models:
            return
        # Beside the hashing, so that a build without GPU support starts as soon as it would.
        wanted = any(model.gpu_layers != 0 for model in self._models)
        looking = asyncio.create_task(self._gpus.first_look()) if wanted else None
        try:
            for model in self._models:
                await asyncio.to_thread(self._check, model)
            rooms = await looking if looking is not None else ()
        finally:
            if looking is not None:
                looking.cancel()
                await asyncio.gather(looking, return_exceptions=True)
        self._check_layers()
        always, others = self._least(rooms, preload=True), self._least(rooms, preload=False)
        check_budget(always, others, self._budget)
        self._folder = folder = socket_folder(self._wanted_dir, [m.name for m in self._models])
        for model in self._models:
            path = folder / f"{model.name}.sock"
            wants, template = self._needs[model.name], self._templates.get(model.name)
            keeper = Keeper(model, listen(path), path, wants, template, self._moved)
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
        found = verify_model(model, self._state_dir, self._accept)
        self._needs[model.name] = found.needs(model)
        if model.manifest.template is not None:
            # Jinja is of the workers' requirements: who has no local model need not have it.
            from gateway.local.template import read_template  # noqa: PLC0415 - as said

            self._templates[model.name] = read_template(model.manifest.template)
        self._log.info(
            "local_model_verified",
            model=model.name,
            architecture=found.header.architecture,
            hash="remembered" if found.remembered else "computed",
        )

    async def _keep(self, keeper: Keeper) -> None:
        """Start the worker, and start it again, until cancelled or given up."""
        delay = FIRST_DELAY
        while True:
            if not keeper.model.preload and keeper.state is not ModelState.RESTARTING:
                await self._asked_for(keeper)
            else:
                await self._lay_out(keeper)
            started = time.monotonic()
            try:
                why = await attend(keeper, self._python)
            except Exception as error:  # noqa: BLE001 - a defect here must not end the restarting
                why = f"{type(error).__name__}: {error}"
            now = time.monotonic()
            if keeper.retiring:
                self._log.info("local_model_unloaded", model=keeper.model.name)
                keeper.without = ""
                keeper.become(ModelState.UNLOADED)
                continue
            keeper.blame_devices(why, now)
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
            rooms = await self._rooms(keeper)
            while True:
                loaded = self._residents()
                plan = make_room(loaded, keeper.needs, keeper.model.gpu_layers, self._budget, rooms)
                if plan is not None and not plan.unload:
                    break
                self._moved.clear()
                for name in plan.unload if plan is not None else ():
                    self._keepers[name].retire()
                await self._moved.wait()
                if len(self._residents()) != len(loaded):
                    rooms = await self._rooms(keeper)
            self._placed(keeper, plan.placed, rooms)
            # At work until it says that it is not: nobody is loaded only to be unloaded.
            keeper.retiring, keeper.busy = False, True
            keeper.become(ModelState.STARTING)

    async def _lay_out(self, keeper: Keeper) -> None:
        """Of a model that is to be in memory whatever else is, or was there and has its place."""
        rooms = await self._rooms(keeper)
        others = [one for one in self._residents() if one.name != keeper.model.name]
        placed = lay_out(keeper.needs, keeper.model.gpu_layers, rooms, others)
        self._placed(keeper, placed, rooms)

    async def _rooms(self, keeper: Keeper) -> tuple[Room, ...]:
        """The devices, without what those will take of them that are only being loaded."""
        if keeper.model.gpu_layers == 0 or keeper.without:
            return ()
        rooms = await self._gpus.look()
        loading = [
            share
            for other in self._keepers.values()
            if other is not keeper and other.laid_out and other.state in COMING
            for share in other.layout.devices
        ]
        return tuple(
            Room(
                room.name,
                room.free - sum(share.bytes for share in loading if share.device == room.name),
                room.limit,
            )
            for room in rooms
        )

    def _placed(self, keeper: Keeper, placed: Placed, rooms: Sequence[Room]) -> None:
        note = keeper.without
        if not rooms and not note and keeper.model.gpu_layers != 0 and self._gpus.supported:
            note = "there is no device"
        keeper.layout = Layout.of(placed, tuple(room.name for room in rooms), note)
        keeper.laid_out = True
        if self._gpus.supported and keeper.model.gpu_layers != 0:
            self._log.log(
                logging.WARNING if note else logging.INFO,
                "local_model_placed",
                model=keeper.model.name,
                gpu_layers=placed.gpu_layers,
                layers=placed.layers,
                **{share.device: share.bytes for share in keeper.layout.devices},
                **({"reason": note} if note else {}),
            )

    async def _unload_idle(self, idle: float) -> None:
        while True:
            await asyncio.sleep(min(idle / 4, PING_EVERY))
            for name in idle_since(self._residents(), time.monotonic() - idle):
                self._keepers[name].retire()

    def _residents(self) -> list[Resident]:
        """Who is in memory, or about to be."""
        return [
            Resident(
                name,
                keeper.layout.memory,
                keeper.model.preload,
                keeper.busy,
                keeper.used,
                {share.device: share.bytes for share in keeper.layout.devices},
            )
            for name, keeper in self._keepers.items()
            if keeper.loaded or keeper.model.preload or keeper.state in COMING
        ]

    def _least(self, rooms: Sequence[Room], *, preload: bool) -> dict[str, int]:
        """Bytes of main memory that models need at least."""
        return {
            model.name: least_memory(self._needs[model.name], rooms, model.gpu_layers)
            for model in self._models
            if model.preload is preload
        }

    def _check_layers(self) -> None:
        if self._gpus.supported:
            return
        for model in self._models:
            if model.gpu_layers:
                raise ModelFileError(
                    f"local.models.{model.name}.gpu_layers is {model.gpu_layers}, but this build "
                    f"of llama.cpp has no GPU support: {BUILD}; or say auto, or 0"
                )


async def _knock(listener: socket.socket) -> None:
    """Return when somebody connects. He is not let in: that is for the worker to do."""
    loop = asyncio.get_running_loop()
    somebody = asyncio.Event()
    loop.add_reader(listener, somebody.set)
    try:
        await somebody.wait()
    finally:
        loop.remove_reader(listener)
