"""The readiness score of a running gateway, reckoned in its main process, or once of what is there.

The main process may serve as well, and then its requests wait for whoever computes beside them: so
this rests after each few milliseconds, for much longer than it worked.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
import structlog

from gateway.auditing import audit_folder
from gateway.background import Background
from gateway.config.settings import Settings
from gateway.dialled import with_credentials
from gateway.engine.routes import Routes
from gateway.errors import GatewayError
from gateway.inventory import Inventory
from gateway.policy.compile import Policy
from gateway.readiness.capacity import kept
from gateway.readiness.score.reading import LogOfDay
from gateway.readiness.score.reckoning import reckon
from gateway.readiness.score.report import Report
from gateway.telemetry.readings import Shared

EVERY = 15.0
"""Seconds between the end of one reckoning and the next."""
SPELL = 0.002
"""Seconds of work between two rests."""
REST = 9
"""How many times as long as the work a rest is."""


class Scoring:
    """In a thread of its own. ``inventory`` and ``policy`` give those in force; what comes of it is
    told to the serving processes through ``shared``.
    """

    def __init__(
        self,
        shared: Shared,
        background: Background,
        *,
        inventory: Callable[[], Inventory],
        policy: Callable[[], Policy],
        every: float = EVERY,
    ) -> None:
        self._every = every
        self._shared = shared
        self._inventory = inventory
        self._policy = policy
        self._stop = threading.Event()
        self._known: Inventory | None = None
        self._routes = Routes({})
        self._began = 0.0
        self._problem = ""
        self._log = structlog.get_logger("gateway.readiness")
        self._thread = background.thread("readiness", self._run, self._stop)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        log = LogOfDay(audit_folder(self._inventory().settings), lambda _: None)
        try:
            while True:
                self._once(log)
                if self._stop.wait(self._every):
                    return
        except _Stopped:
            return

    def _once(self, log: LogOfDay) -> None:
        self._began = time.perf_counter()
        inventory = self._inventory()
        try:
            if inventory is not self._known:
                # The files of keys are read for it, and may be gone for a moment.
                self._routes = _routes(inventory)
                self._known = inventory
            log.name = self._routes.name
            report = _report(log, inventory, self._routes, self._policy(), self._breathe)
            self._shared.tell_readiness(msgspec.json.encode(report))
            self._problem = ""
        except (GatewayError, OSError) as error:
            problem = error.message if isinstance(error, GatewayError) else str(error)
            if problem != self._problem:
                self._log.error("readiness.not_reckoned", problem=problem)
            self._problem = problem

    def _breathe(self) -> None:
        worked = time.perf_counter() - self._began
        if worked >= SPELL:
            if self._stop.wait(worked * REST):
                raise _Stopped
            self._began = time.perf_counter()


class _Stopped(Exception):
    """The gateway ends."""


def reckoned(settings: Settings) -> Report:
    """What there is to say now, of files alone. Raises GatewayError where one cannot be read."""
    inventory = Inventory(settings)
    routes = _routes(inventory)
    log = LogOfDay(audit_folder(settings), routes.name)
    return _report(log, inventory, routes, inventory.load_policy(), lambda: None)


def _routes(inventory: Inventory) -> Routes:
    return inventory.routes(with_credentials(inventory.settings))


def _report(
    log: LogOfDay,
    inventory: Inventory,
    routes: Routes,
    policy: Policy,
    breathe: Callable[[], None],
) -> Report:
    now = datetime.now(UTC)
    since = log.read(now, breathe)
    capacity = kept(inventory.settings.state.dir, inventory.weights)
    return reckon(log.day, routes, policy, capacity, now=now, since=since, breathe=breathe)
