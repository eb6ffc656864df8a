"""One local model as its supervisor has it: its state, its worker, and what it is known to need."""

from __future__ import annotations

import asyncio
import socket
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from gateway.domain.local_model import LocalModel
from gateway.local.fit import Needs
from gateway.local.layout import Layout
from gateway.local.place import place
from gateway.local.protocol import NO_TOKENS, Pong, Retire, Tokens, encode
from gateway.local.residency import Resident
from gateway.local.wanted import Checked, same_worker

CRASHES = 3
WITHIN = 60.0
"""So many crashes within so long a time, and the model is given up."""


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
    """One model as it is now. ``pid`` is that of the worker that runs, ``detail`` for people;
    ``layout`` is that of the worker that runs or ran last; ``needs`` are the bytes that the model
    is reckoned to need, wherever. Of ``slots``, ``active`` are busy, and ``waiting`` requests have
    none; ``tokens`` are those of all its workers so far.
    """

    name: str
    state: ModelState
    detail: str = ""
    pid: int | None = None
    restarts: int = 0
    layout: Layout | None = None
    slots: int = 0
    active: int = 0
    waiting: int = 0
    tokens: Tokens = NO_TOKENS
    tokens_per_second: float = 0.0
    needs: int = 0


@dataclass(slots=True)
class Keeper:
    """One model's mutable state. ``needs`` is the memory that it is reckoned to need, ``template``
    the Jinja source in place of the file's own, ``layout`` where its worker has it once
    it is ``laid_out``; ``greeted`` says that the worker has been ready, ``without`` why the model
    goes without devices for now; ``dismissed`` that the worker is to go, whatever it is doing;
    ``leaving`` that no worker follows the one that runs, ``at_once`` that it is to be asked before
    it is ready, for one that leaves has no more room; ``tokens`` are those of the worker that runs,
    and ``before`` of all before it; ``moved`` is set for all whenever something is otherwise with
    one, and ``told`` of each state. ``task`` keeps it.
    """

    model: LocalModel
    listener: socket.socket
    path: Path
    needs: Needs
    template: str | None
    moved: asyncio.Event
    told: Callable[[ModelStatus], None]
    layout: Layout = field(init=False)
    greeted: bool = False
    laid_out: bool = False
    without: str = ""
    state: ModelState = ModelState.STARTING
    detail: str = ""
    busy: bool = False
    asked: int = 0
    active: int = 0
    waiting: int = 0
    tokens: Tokens = NO_TOKENS
    before: Tokens = NO_TOKENS
    pace: float = 0.0
    used: float = 0.0
    retiring: bool = False
    dismissed: bool = False
    leaving: bool = False
    voice: asyncio.StreamWriter | None = None
    at_once: bool = False
    task: asyncio.Task[None] | None = None
    process: asyncio.subprocess.Process | None = None
    restarts: int = 0
    crashes: deque[float] = field(default_factory=lambda: deque(maxlen=CRASHES))
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.layout = Layout.of(place(self.needs, ()), ())

    @property
    def loaded(self) -> bool:
        return self.process is not None

    @property
    def status(self) -> ModelStatus:
        pid = self.process.pid if self.process is not None else None
        return ModelStatus(
            self.model.name,
            self.state,
            self.detail,
            pid,
            self.restarts,
            self.layout,
            self.model.slots,
            self.active,
            self.waiting,
            self.before + self.tokens,
            self.pace,
            self.needs.total,
        )

    @property
    def resident(self) -> Resident:
        """What it takes of the memory."""
        return Resident(
            self.model.name,
            self.layout.memory,
            self.model.preload,
            self.busy,
            self.used,
            {share.device: share.bytes for share in self.layout.devices},
        )

    def takes(self, one: Checked) -> bool:
        """Whether the worker that runs will do."""
        return self.template == one.template and same_worker(self.model, one.model)

    def heard(self, pong: Pong) -> None:
        """What the worker says of its work."""
        self.active, self.waiting, self.tokens = pong.active, pong.waiting, pong.tokens
        self.pace = pong.tokens_per_second
        self.busy = pong.active + pong.waiting > 0
        if self.busy or pong.asked != self.asked:
            self.used = time.monotonic()
        self.asked = pong.asked
        self.retiring = self.retiring and not self.busy
        self.moved.set()

    def ended(self) -> None:
        """The worker is no more."""
        self.process = self.voice = None
        self.active, self.waiting, self.pace = 0, 0, 0.0
        self.before, self.tokens = self.before + self.tokens, NO_TOKENS
        self.moved.set()

    def retire(self) -> None:
        """Ask the worker to go, unless it has work by now."""
        if not self.retiring and self.voice is not None:
            self.retiring = True
            self.voice.write(encode(Retire()))

    def dismiss(self) -> None:
        """End the worker: what it is answering breaks off."""
        if self.process is not None and self.process.returncode is None:
            self.dismissed = True
            self.process.kill()

    def become(self, state: ModelState, detail: str = "") -> None:
        self.state, self.detail = state, detail
        self.changed.set()
        self.moved.set()
        self.told(self.status)

    def put_away(self) -> None:
        """Nobody can reach it any more."""
        self.become(ModelState.STOPPED)
        self.listener.close()
        self.path.unlink(missing_ok=True)

    def blame_devices(self, why: str, now: float) -> None:
        """A worker has ended. Where it had layers on devices and was never ready, or another has
        ended shortly before, the next one has none.
        """
        again = any(now - crash <= WITHIN for crash in self.crashes)
        if self.layout.gpu_layers and (again or not self.greeted):
            self.without = f"with {self.layout.gpu_layers} layers on devices its worker {why}"

    def given_up(self, now: float) -> bool:
        self.crashes.append(now)
        return len(self.crashes) == CRASHES and now - self.crashes[0] <= WITHIN
