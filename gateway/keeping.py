"""The main process of ``gateway serve``: follows the configuration, keeps the local models that it
names, and tells the serving processes which version is in force (decision 11).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from gateway.background import Background
from gateway.config.configuration import SETTLED, ConfigurationStore, Watched
from gateway.config.fixed import with_fixed
from gateway.config.publication import Publication, Socket, publish
from gateway.config.references import contents, referred
from gateway.config.reload import Load, PolicyStore
from gateway.config.settings import Settings
from gateway.configured import revision
from gateway.errors import StartupError
from gateway.inventory import Inventory
from gateway.local.commands import Commands
from gateway.local.control import ControlServer
from gateway.local.keeper import ModelStatus
from gateway.local.supervisor import Supervisor
from gateway.local.wanted import Checked, Wanted
from gateway.recording import Recording
from gateway.telemetry.background import BackgroundTally
from gateway.telemetry.counts import Counts
from gateway.telemetry.readings import TOLD_EVERY, ModelReading, Shared
from gateway.telling import Telling


@dataclass(frozen=True, slots=True)
class Kept:
    """One version of the configuration, checked in all that can be. ``restart`` names what of it
    takes a restart, ``beside`` what stands in the files that it refers to.
    """

    text: bytes
    inventory: Inventory
    load: Load
    beside: tuple[tuple[str, str], ...]
    checked: tuple[Checked, ...] = ()
    restart: tuple[str, ...] = ()

    @property
    def revision(self) -> str:
        return revision(self.text)

    @property
    def fingerprint(self) -> object:
        return self.text, self.beside

    @property
    def wanted(self) -> Wanted:
        found = self.inventory
        return Wanted(tuple(found.local.values()), found.local_budget, found.idle_unload)


class Keeping:
    """In a thread with an event loop of its own, so that the models are there once, however many
    serving processes there are; ``shared`` is where those read what the models are like. ``read``
    makes settings of a file's bytes, ``check`` raises StartupError where something else of them is
    wrong; ``text`` is what the gateway starts with, and ``problem`` why that is not what stands in
    the file. What comes of it is told to ``recording``.
    """

    def __init__(
        self,
        inventory: Inventory,
        policies: PolicyStore,
        text: bytes,
        *,
        run_dir: Path,
        shared: Shared,
        read: Callable[[bytes], Settings],
        check: Callable[[Settings], None],
        recording: Recording,
        background: Background,
        problem: str | None = None,
    ) -> None:
        settings = inventory.settings
        self._settings = settings
        self._read = read
        self._check = check
        self._run_dir = run_dir
        self._log = structlog.get_logger("gateway.configuration")
        self._shared = shared
        self._background = background
        self._counts = Counts(shared.folder)
        self._works = BackgroundTally(self._counts, background)
        self._supervisor = Supervisor(
            list(inventory.local.values()),
            run_dir,
            settings.state.dir,
            background,
            accept=inventory.check_weights,
            budget=inventory.local_budget,
            gpu_budget=inventory.gpu_budget,
            idle=inventory.idle_unload,
            told=recording.model,
            logs=settings.telemetry.process_logs,
        )
        self._policies = policies
        self._recording = recording
        commands = Commands(self._supervisor, self._commanded)
        self._control = ControlServer(self._supervisor, commands, run_dir)
        self._watched = Watched(settings.file, settled=SETTLED)
        self._watched.beside = _beside(inventory)
        first = Kept(
            text, inventory, inventory.policy_loader().load, contents(self._watched.beside)
        )
        self._store = ConfigurationStore(
            self._watched, policies, first, make=self._make, enact=self._enact
        )
        self._store.problem = problem
        self._told = Publication(0, b"", {})
        self._telling = Telling(self._publish, "gateway.configuration", "configuration.not_told")
        self._version = 1
        self._started: Future[None] = Future()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="models")

    def start(self) -> None:
        """Returns once the models' sockets are there and the serving processes are told; raises
        what kept it from that.
        """
        self._thread.start()
        self._started.result()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    @property
    def inventory(self) -> Inventory:
        """Of the configuration in force."""
        return self._store.current.inventory

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._keep())
        self._loop.close()

    async def _keep(self) -> None:
        try:
            await self._supervisor.start()
            await self._control.start()
            self._publish()
        except StartupError as error:
            await self._control.stop()
            await self._supervisor.stop()
            self._started.set_exception(error)
            return
        except BaseException as error:
            # Who waits for the start is to hear of it.
            self._started.set_exception(error)
            raise
        self._look()
        self._started.set_result(None)
        keep = self._background.keep
        telling = asyncio.create_task(keep("telling", self._tell_all))
        await asyncio.gather(
            keep("configuration", lambda: self._store.watch(self._changed, self._stop)),
            keep("policy", lambda: self._policies.watch(lambda _: self._look(), self._stop)),
        )
        telling.cancel()
        self._counts.close()
        await self._control.stop()
        await self._supervisor.stop()

    async def _tell_all(self) -> None:
        """What the models and this process are like, for whoever is scraped, and what could not be
        told the serving processes at its time.
        """
        told: tuple[list[ModelReading], Mapping[str, str]] = [], {}
        while True:
            self._works.take()
            self._counts.write()
            models = [_reading(status) for status in self._supervisor.status()]
            now = models, self._background.problems
            if now != told:
                try:
                    self._shared.tell_models(models)
                    self._shared.tell_background(now[1])
                    told = now
                except OSError as error:
                    self._log.error("metrics.not_told", problem=error.strerror)
            self._telling.again()
            await asyncio.sleep(TOLD_EVERY)

    async def _make(self, raw: bytes) -> Kept:
        kept = await asyncio.to_thread(self._checked, raw)
        return replace(kept, checked=await self._supervisor.prepare(kept.wanted))

    def _checked(self, raw: bytes) -> Kept:
        settings, restart = with_fixed(self._read(raw), self._settings)
        # Also of a version that is refused: when one of them is mended, it is tried again.
        self._watched.beside = referred(settings)
        inventory = Inventory(settings)
        self._watched.beside = _beside(inventory)
        beside = contents(self._watched.beside)
        self._check(settings)
        load = inventory.policy_loader().load
        return Kept(raw, inventory, load, beside, restart=restart)

    async def _enact(self, kept: Kept) -> None:
        self._supervisor.change(kept.wanted, kept.checked)
        self._version += 1
        if kept.restart:
            self._log.warning("configuration.takes_a_restart", values=list(kept.restart))

    def _look(self) -> None:
        self._recording.look(self._policies, self._store.current.revision, self._store.problem)

    def _commanded(self) -> None:
        """A model was loaded or unloaded by command: another version of what is told, of the same
        configuration.
        """
        self._version += 1
        self._changed()

    def _changed(self) -> None:
        self._look()
        self._telling.tell()

    def _publish(self) -> None:
        at_once, on_demand = self._supervisor.at_once, self._supervisor.on_demand
        told = Publication(
            version=self._version,
            text=self._store.current.text,
            sockets={
                name: Socket(str(path), on_demand=name in on_demand, at_once=name in at_once)
                for name, path in self._supervisor.sockets().items()
            },
            problem=self._store.problem,
            control=str(self._control.path),
        )
        if told != self._told:
            publish(self._run_dir, told)
            self._told = told


def _reading(status: ModelStatus) -> ModelReading:
    tokens = status.tokens
    return ModelReading(
        name=status.name,
        state=status.state,
        pid=status.pid,
        restarts=status.restarts,
        slots=status.slots,
        busy=status.active,
        waiting=status.waiting,
        prompt=tokens.prompt,
        cached=tokens.cached,
        completion=tokens.completion,
        memory=0 if status.layout is None else status.layout.memory,
    )


def _beside(inventory: Inventory) -> frozenset[Path]:
    """The files that a configuration refers to, the templates that its manifests name too."""
    templates = (model.manifest.template for model in inventory.local.values())
    return referred(inventory.settings) | {path for path in templates if path is not None}
