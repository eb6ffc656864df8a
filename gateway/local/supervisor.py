"""Keeps one worker process for each local model: checked files, sockets, restarts, heartbeats.

The supervisor owns the listening sockets, so that a client's connection attempt outlives a crash:
it waits in the backlog for the next worker. Times are in seconds.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import structlog

from gateway.background import Background
from gateway.domain.local_model import LocalModel
from gateway.errors import StartupError
from gateway.local.attendance import attend
from gateway.local.files import Accept, verify_model
from gateway.local.gpus import Gpus
from gateway.local.keeper import CRASHES, WITHIN, Keeper, ModelState, ModelStatus
from gateway.local.loading import Loading
from gateway.local.residency import Room, check_budget
from gateway.local.spawning import listen, socket_folder
from gateway.local.wanted import Checked, Wanted, least
from gateway.processes.logs import Logs

THERE = (ModelState.READY, ModelState.UNLOADED)
FIRST_DELAY = 0.1
LONGEST_DELAY = 5.0
RETIRE_EVERY = 0.1
"""Seconds between two questions to a worker that is to leave, whether it has work."""
KNOWN_WITHIN = 1.0
"""Seconds within which all serving processes know of a change."""


class Supervisor:
    """Runs the local models' workers from ``start`` to ``stop``, on one event loop.

    ``run_dir`` gets the sockets, ``state_dir`` the memory of verified files; ``python`` is the
    interpreter of the workers; ``accept`` may refuse a model for what its file's metadata says.
    ``budget`` is the memory in bytes that all models together may be reckoned to need, and
    ``gpu_budget`` that of each device, or of those that it names; one that is loaded on demand is
    unloaded when it has had nothing to do for ``idle`` seconds. ``told`` hears of each state that a
    model comes into; ``logs`` is how the workers log.
    """

    def __init__(
        self,
        models: Sequence[LocalModel],
        run_dir: Path,
        state_dir: Path,
        background: Background,
        python: str = sys.executable,
        accept: Accept | None = None,
        *,
        budget: int | None = None,
        gpu_budget: int | Mapping[str, int] | None = None,
        idle: float | None = None,
        told: Callable[[ModelStatus], None] = lambda _: None,
        logs: Logs = Logs(),  # noqa: B008 - frozen
    ) -> None:
        self._background = background
        self._told = told
        self._wanted = Wanted(tuple(models), budget, idle)
        self._wanted_dir = run_dir
        self._state_dir = state_dir
        self._python = python
        self._accept = accept
        self._logs = logs
        self._keepers: dict[str, Keeper] = {}
        self._leaving: list[Keeper] = []
        self._made: Counter[str] = Counter()
        self._gpus = Gpus(python, gpu_budget)
        self._looked = False
        self._loading = Loading(
            self._gpus, lambda: self._keepers, self._leaving, lambda: self._wanted
        )
        self._folders: list[Path] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._log = structlog.get_logger()

    async def start(self) -> None:
        """Check all files, make the sockets and start the workers; does not wait for them to load.

        Raises ModelFileError where a file is missing, altered or malformed, StartupError where a
        socket cannot be made.
        """
        self.change(self._wanted, await self.prepare(self._wanted))
        self.begin(self._background.keep("idle models", self._loading.unload_idle))

    async def prepare(self, wanted: Wanted) -> tuple[Checked, ...]:
        """Check the files of these models, and that they fit. Changes nothing. Raises
        ModelFileError as ``start`` does.
        """
        # Beside the hashing, so that a build without GPU support starts as soon as it would.
        devices = any(model.gpu_layers != 0 for model in wanted.models)
        looking = asyncio.create_task(self._look()) if devices else None
        try:
            checked = [await asyncio.to_thread(self._check, model) for model in wanted.models]
            rooms = await looking if looking is not None else ()
        finally:
            if looking is not None:
                looking.cancel()
                await asyncio.gather(looking, return_exceptions=True)
        self._gpus.check_layers(wanted.models)
        always, others = (least(checked, rooms, preload=preload) for preload in (True, False))
        check_budget(always, others, wanted.budget)
        return tuple(checked)

    def change(self, wanted: Wanted, checked: Sequence[Checked]) -> None:
        """Run these models, which ``prepare`` has checked, and no other. Workers that are wanted no
        more end after their answers; one that is to be otherwise goes on until another is ready,
        where there is room for both. Raises StartupError, with nothing changed, where a socket
        cannot be made.
        """
        before = self._keepers
        same = {
            one.model.name: keeper
            for one in checked
            if (keeper := before.get(one.model.name)) is not None and keeper.takes(one)
        }
        made = self._keepers_of([one for one in checked if one.model.name not in same])
        for one in checked:
            if one.model.name in same:
                same[one.model.name].model = one.model
        self._wanted = wanted
        for name, keeper in made.items():
            keeper.at_once = name in before and not self._loading.fits_beside(before[name], keeper)
        self._keepers = {one.model.name: {**same, **made}[one.model.name] for one in checked}
        left: dict[str, asyncio.Task[None]] = {}
        for name, keeper in before.items():
            if self._keepers.get(name) is not keeper:
                self._leaving.append(keeper)
                left[name] = self.begin(self._leave(keeper))
        for name, keeper in made.items():
            after = left.get(name) if keeper.at_once else None
            kept = self._background.keep("local models", partial(self._keep, keeper, after))
            keeper.task = self.begin(kept)

    async def stop(self) -> None:
        """End all workers and remove the sockets."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for keeper in (*self._keepers.values(), *self._leaving):
            keeper.put_away()
        for folder in self._folders:
            if folder != self._wanted_dir.resolve():
                with suppress(OSError):
                    folder.rmdir()

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

    @property
    def on_demand(self) -> frozenset[str]:
        """The models that are loaded when they are asked for, by the configuration or since they
        were unloaded by command.
        """
        return frozenset(name for name, one in self._keepers.items() if not one.model.preload)

    def keeper(self, name: str) -> Keeper:
        """Raises KeyError for a name that is not there."""
        return self._keepers[name]

    def preloads(self, name: str) -> bool:
        """Whether a model is, by the configuration, to be in memory whatever else is."""
        return any(one.preload for one in self._wanted.models if one.name == name)

    async def verify(self, keeper: Keeper) -> None:
        """Check a model's files again. Raises ModelFileError as ``start`` does."""
        await asyncio.to_thread(verify_model, keeper.model, self._state_dir, self._accept)

    async def renew(self, name: str) -> None:
        """Give a model that was given up another start, at another socket. Raises as ``prepare``
        and ``change`` do.
        """
        given_up = self._keepers.pop(name)
        try:
            self.change(self._wanted, await self.prepare(self._wanted))
        except StartupError:
            self._keepers[name] = given_up
            raise

    def socket_path(self, name: str) -> Path:
        """Where the model's worker is reached. Raises KeyError for a name that is not there."""
        return self._keepers[name].path

    def sockets(self) -> Mapping[str, Path]:
        """All models' sockets by name; there are none before ``start``."""
        return {name: keeper.path for name, keeper in self._keepers.items()}

    @property
    def at_once(self) -> frozenset[str]:
        """The models whose sockets are to be asked now, though a worker before may still run."""
        return frozenset(name for name, keeper in self._keepers.items() if keeper.at_once)

    async def _look(self) -> tuple[Room, ...]:
        if self._looked:
            return await self._gpus.look()
        rooms = await self._gpus.first_look()
        self._looked = True
        return rooms

    def _check(self, model: LocalModel) -> Checked:
        template = None
        if model.manifest.template is not None:
            # Jinja is of the workers' requirements: who has no local model need not have it.
            from gateway.local.template import read_template  # noqa: PLC0415 - as said

            template = read_template(model.manifest.template)
        keeper = self._keepers.get(model.name)
        if keeper is not None and keeper.model == model:
            return Checked(model, keeper.needs, template)
        found = verify_model(model, self._state_dir, self._accept)
        self._log.info(
            "local_model_verified",
            model=model.name,
            architecture=found.header.architecture,
            hash="remembered" if found.remembered else "computed",
        )
        return Checked(model, found.needs(model), template)

    def _keepers_of(self, checked: Sequence[Checked]) -> dict[str, Keeper]:
        """With a socket for each. Raises StartupError, and leaves none, where one is not made."""
        made: dict[str, Keeper] = {}
        if not checked:
            return made
        files = {}
        for one in checked:
            count = self._made[one.model.name]
            # No name of a model has a tilde.
            files[one.model.name] = f"{one.model.name}~{count}" if count else one.model.name
        folder = socket_folder(self._wanted_dir, list(files.values()))
        try:
            for one in checked:
                path = folder / f"{files[one.model.name]}.sock"
                keeper = Keeper(
                    one.model,
                    listen(path),
                    path,
                    one.needs,
                    one.template,
                    self._loading.moved,
                    self._told,
                )
                preload = one.model.preload
                keeper.state = ModelState.STARTING if preload else ModelState.UNLOADED
                made[one.model.name] = keeper
        except StartupError:
            for keeper in made.values():
                keeper.put_away()
            raise
        self._folders.append(folder)
        self._made.update(made.keys())
        return made

    def begin(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Do it meanwhile; ``stop`` cancels it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(self._background.over("local models"))
        return task

    def _awaits_heir(self, name: str) -> bool:
        """Whether whoever has the name now is not there yet, and is to be waited for."""
        heir = self._keepers.get(name)
        return heir is not None and not heir.at_once and heir.state not in THERE

    async def _leave(self, keeper: Keeper) -> None:
        """End a worker that is wanted no more, after its answers. The name may be another's."""
        name = keeper.model.name
        while self._awaits_heir(name):  # noqa: ASYNC110 - the heir may become another
            await asyncio.sleep(RETIRE_EVERY)
        # Until the serving processes know, it is still asked.
        await asyncio.sleep(KNOWN_WITHIN)
        keeper.leaving = True
        task = keeper.task
        while task is not None and not task.done() and keeper.loaded and keeper.greeted:
            keeper.retire()
            await asyncio.wait((task,), timeout=RETIRE_EVERY)
        if task is not None:
            task.cancel()
            await asyncio.wait((task,))
        keeper.put_away()
        self._leaving.remove(keeper)
        self._log.info("local_model_left", model=name)

    async def _keep(self, keeper: Keeper, after: asyncio.Task[None] | None = None) -> None:
        """Start the worker, ``after`` another has left, and start it again, until cancelled or
        given up.
        """
        if after is not None:
            await asyncio.wait((after,))
        delay = FIRST_DELAY
        while True:
            if not keeper.model.preload and keeper.state is not ModelState.RESTARTING:
                await self._loading.asked_for(keeper)
            else:
                await self._loading.lay_out(keeper)
            started = time.monotonic()
            try:
                why = await attend(keeper, self._python, self._logs)
            except Exception as error:  # noqa: BLE001 - a defect here must not end the restarting
                why = f"{type(error).__name__}: {error}"
                self._log.error("local_worker_defect", model=keeper.model.name, exc_info=error)
            now = time.monotonic()
            if keeper.leaving:
                return
            if keeper.retiring or keeper.dismissed:
                self._log.info("local_model_unloaded", model=keeper.model.name)
                keeper.without, keeper.dismissed = "", False
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
