"""What a serving process tells of itself to those who watch it, put together.

What is to be counted or logged of a request is left until a moment later, and then done for all
that have ended meanwhile: measured, that costs a quarter of doing it on the way of each.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import structlog

from gateway import __version__
from gateway.audit.journal import Journal, Observer
from gateway.audit.record import Record
from gateway.audit.sink import Standing
from gateway.background import Background
from gateway.config.telemetry import TelemetrySection
from gateway.domain.decision import Mode
from gateway.domain.target import Target
from gateway.engine.loop import Engine
from gateway.errors import ModelNotFound
from gateway.http.state import State
from gateway.readiness.canary.successes import Successes
from gateway.telemetry.background import BackgroundTally
from gateway.telemetry.canaries import CanaryTally
from gateway.telemetry.counts import Counter, Counts
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.post import Post
from gateway.telemetry.readings import TOLD_EVERY, Reading, Shared
from gateway.telemetry.request_log import RequestLog, Which
from gateway.telemetry.tally import Tally

if TYPE_CHECKING:
    from gateway.telemetry.otel import Otel

_UP = {"up": True, "down": False, "unknown": None}

UNMET = Counter(
    "gateway_unmet_needs",
    "Requests that needed what no local target of their configured model can do.",
    ("model", "capability"),
)


LEFT = 0.1
"""Seconds for which finished requests are left; those are not counted if the process is killed."""

LOST = Counter(
    "gateway_audit_lost_records",
    "Records that will never be in the audit log: too many waited while it could not be written.",
    (),
)


class Observed(Protocol):
    """What is watched."""

    @property
    def engine(self) -> Engine: ...
    @property
    def journal(self) -> Journal: ...
    @property
    def audit(self) -> Standing: ...
    @property
    def successes(self) -> Successes: ...
    def state(self) -> State: ...


class Observing:
    """``folder`` is the one that the gateway's processes share, and ``alone`` says that there is no
    other that serves; ``post`` sends to ``telemetry.otlp``, where that is configured. Nothing of
    ``observed`` is asked before it is whole.
    """

    def __init__(
        self,
        folder: Path,
        section: TelemetrySection,
        observed: Observed,
        background: Background,
        *,
        alone: bool,
        post: Post | None,
    ) -> None:
        self._observed = observed
        self._background = background
        self._alone = alone
        self._shared = Shared(folder)
        self._counts = Counts(folder)
        self._metrics = Metrics(self._shared, __version__)
        self._requests = RequestLog(Which(section.logs.requests), background)
        self._otlp = section.otlp
        self._post = post
        self._otel: Otel | None = None
        self._tally = Tally(self._counts, self._name)
        self._works = BackgroundTally(self._counts, background)
        self._lost = self._counts.counter(LOST)
        self._unmet = self._counts.counter(UNMET)
        self._finished: list[Record] = []
        self.observers: Sequence[Observer] = (self._finished.append,)
        self._log = structlog.get_logger("gateway.telemetry")

    @property
    def canaries(self) -> CanaryTally:
        return self._tally.canaries

    async def run(self) -> None:
        """Count, and tell the other processes, until cancelled."""
        if self._otlp is not None and self._post is not None and self._otel is None:
            # Not at the top: it takes a quarter of a second, and few have it configured.
            from gateway.telemetry.otel import Otel  # noqa: PLC0415 - as said

            self._otel = Otel(
                self._post,
                self._tally.model,
                self._background,
                version=__version__,
                interval=float(self._otlp.interval),
                sample=float(self._otlp.sample),
            )
        told = 0.0
        while True:
            self._count()
            if not self._alone and time.monotonic() - told >= TOLD_EVERY:
                told = time.monotonic()
                try:
                    self._shared.tell(self._reading())
                except OSError as error:
                    self._log.error("metrics.not_told", problem=error.strerror)
            await asyncio.sleep(LEFT)

    async def scrape(self, accept: str) -> tuple[bytes, str]:
        """All metrics of the gateway, and their media type, for a header ``Accept``."""
        self._count()
        # First of all: what is told here must not be less the next time, whoever is asked then.
        self._shared.tell(self._reading())
        return await asyncio.to_thread(self._metrics.scrape, accept)

    async def stop(self) -> None:
        """Count what is left, and send what waits to be sent."""
        self._count()
        if self._otel is not None:
            await asyncio.to_thread(self._otel.close)
        self._shared.withdraw()
        self._requests.close()
        self._counts.close()

    def _name(self, model: str) -> str | None:
        try:
            return self._observed.engine.routes.find(model).name
        except ModelNotFound:
            return None

    def _count(self) -> None:
        """What has ended since the last time, and what other parts count by themselves."""
        finished = self._finished[:]
        self._finished.clear()
        for record in finished:
            self._tally.take(record)
            self._observed.successes.take(record)
        self._requests.write(finished)
        if self._otel is not None:
            self._otel.write([record for record in finished if record.origin is None])
        self._lost[()].reach(self._observed.audit.lost)
        engine = self._observed.engine
        for model, words in engine.lacking.items():
            for word in words:
                self._unmet[model, word].reach(engine.unmet[model, word])
        self._works.take()
        self._counts.write()

    def _reading(self) -> Reading:
        engine, state = self._observed.engine, self._observed.state()
        targets = {target.id: target for target in _targets(engine)}
        now = time.monotonic()
        health = {name: engine.health(name) for name in targets}
        obstacles = {name: found.obstacle(now) for name, found in health.items()}
        policy, configuration = engine.policy, state.configuration
        audit = self._observed.audit
        return Reading(
            pid=os.getpid(),
            ready=state.status != "starting",
            offline=state.offline,
            requests=self._observed.journal.under_way,
            local={model.name: model.ready for model in state.local_models},
            targets={name: engine.ready(target) for name, target in targets.items()},
            servers={server.channel: _UP[server.standing] for server in state.sovereign},
            lacking=engine.lacking,
            breakers={name: int(found.breaker(now)) for name, found in health.items()},
            obstacles={name: str(why) for name, why in obstacles.items() if why is not None},
            attempts={name: engine.busy(name) for name in targets},
            drill="" if state.drill is None else state.drill.vendor,
            policy=policy.revision,
            mode=policy.mode,
            policy_since=state.policy.loaded_at.timestamp(),
            shadow_rules=sum(rule.mode is Mode.SHADOW for rule in policy.rules),
            configuration=configuration.revision,
            configuration_since=configuration.loaded_at.timestamp(),
            degraded=state.policy.problem is not None,
            outdated=configuration.problem is not None,
            audit_waiting=audit.waiting,
            audit_fails=audit.problem is not None,
            successes={name: at.timestamp() for name, at in self._observed.successes.known.items()},
        )


def _targets(engine: Engine) -> Iterator[Target]:
    for route in engine.routes.all():
        yield from route.targets
