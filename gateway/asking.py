"""An engine of a command's own, that asks targets as a gateway would: by the same policy, through
the same egress guard, into the same audit log, whether a gateway runs beside it or not.

Local models are asked where they are: a gateway on the same state folder has them in memory, and
its workers answer its own user (decision 24). Without one they are started, one at a time, and
ended again.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gateway.access.prices import Prices, Served
from gateway.audit.happening import Happening
from gateway.audit.journal import Journal
from gateway.audit.record import Record
from gateway.audit.sink import AuditSink
from gateway.audit.transcript import Transcript
from gateway.auditing import audit_sink
from gateway.background import Background
from gateway.config.channels import LOCAL
from gateway.config.presence import run_dir, serving
from gateway.config.publication import Publication, published
from gateway.config.reload import PolicyStore
from gateway.config.settings import Settings
from gateway.config.shipped import load_routers
from gateway.configured import Configured
from gateway.configuring import configure
from gateway.domain.call import Api, Backend, Call, Counting
from gateway.domain.decision import Labels
from gateway.domain.events import Failed, FailureKind, Usage
from gateway.domain.plan import LeftOut
from gateway.domain.target import Target
from gateway.engine.heard import Heard, hear
from gateway.engine.judge import Judge
from gateway.engine.loop import Engine
from gateway.engine.routes import Route
from gateway.errors import DeadlinePassed, StateError
from gateway.http.ids import new_id
from gateway.inventory import policy_sources
from gateway.local.client import LocalBackend
from gateway.local.keeper import ModelState
from gateway.local.supervisor import Supervisor
from gateway.processes.logs import Logs
from gateway.readiness.evaluation.results import Asked
from gateway.routing.groups import in_order
from gateway.routing.outcome import nothing_planned
from gateway.upstream.guard import EgressGuard
from gateway.upstream.pool import Pool
from gateway.upstream.relay import RelayBackend
from gateway.upstream.tls import system_trust
from gateway.upstream.translate.backend import ByDialect, TranslateBackend
from gateway.wire import openai_chat
from gateway.wire.openai_chat import ChatRequest
from gateway.wire.openai_request import Listener

LOADED_WITHIN = 120.0
"""Seconds for a local model to get ready."""
LONGEST_REST = 60.0
"""Seconds that a target which has had enough for now is waited for."""
TRIES = 4
"""Times that one question is asked, where a target says that it comes too soon."""
SOON = 0.5
"""Seconds to wait before that where nobody says how long, and twice as many each time."""
_LASTING = frozenset({LeftOut.POLICY, LeftOut.RISKY, LeftOut.OFFLINE, LeftOut.NO_CREDENTIALS})
_TOO_SOON = frozenset({FailureKind.RATE_LIMITED, FailureKind.BUSY})


@asynccontextmanager
async def asking(
    read: Callable[[bytes], Settings],
    text: bytes,
    targets: Sequence[str],
    labels: Labels,
    logs: Logs,
) -> AsyncIterator[Questions]:
    """While ``targets`` can be asked, by their ids, for whoever has these ``labels``. ``text`` is
    the configuration, ``read`` as in ``configure``. Raises StartupError where it is none, or the
    policy is none, or the audit log cannot be written.
    """
    version = configure(read, text, Publication(0, text, {}))
    policies = PolicyStore(
        policy_sources(version.settings), version.settings.state.dir, version.load
    )
    policies.start()
    background = Background()
    audit = audit_sink(version.settings, "eval", os.environ, background)
    try:
        async with _Ways(version, policies, targets, background).open() as ways:
            yield Questions(version, ways, Journal(_Priced(audit, version.prices)), labels, logs)
    finally:
        audit.close()


class _Ways:
    """All ways to targets, and the engine that goes them. A policy that changes meanwhile is in
    force here as soon as in a gateway.
    """

    def __init__(
        self,
        version: Configured,
        policies: PolicyStore,
        targets: Sequence[str],
        background: Background,
    ) -> None:
        settings, inventory = version.settings, version.inventory
        self.background = background
        self._policies = policies
        self._targets = [inventory.target(target) for target in targets]
        self._judge = Judge(
            lambda: policies.current,
            inventory.facts,
            inventory.catalog,
            load_routers(inventory.catalog),
            offline=settings.offline,
        )
        guard = EgressGuard(offline=settings.offline, current=version.has)
        self._pool = Pool(guard, system_trust())
        # Which of our own servers are up is told by asking them, as of any other.
        relay = RelayBackend(version.channels, guard, self._judge, pool=self._pool)
        asked = {target.channel for target in self._targets}
        self._translate = TranslateBackend(
            tuple(one for name, one in version.translated.items() if name in asked),
            guard,
            self._usable,
            self._judge,
            settings.translate.python,
            background,
        )
        self.local = LocalBackend({}, background)
        kinds: dict[str, Backend] = {
            "openai": relay,
            "anthropic": ByDialect(relay, self._translate),
            "litellm": self._translate,
        }
        channels = {name: kinds[channel.kind] for name, channel in settings.channels.items()}
        self.engine = Engine(
            routes=version.routes,
            policy=lambda: policies.current,
            backends={LOCAL: self.local, **channels},
            told=self._told,
        )

    @asynccontextmanager
    async def open(self) -> AsyncIterator[_Ways]:
        stop = asyncio.Event()
        watching = asyncio.create_task(
            self.background.keep(
                "policy", lambda: self._policies.watch(lambda _: self._enforce(), stop)
            )
        )
        await self.local.start()
        await self._translate.start()
        try:
            yield self
        finally:
            stop.set()
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            await self._pool.close()
            await self._translate.stop()
            await self.local.stop()

    def _told(self, target: Target) -> Any:
        hello = self.local.loaded(target.model) if target.channel == LOCAL else None
        return None if hello is None else hello.abilities.capabilities

    def _usable(self, channel: str) -> bool:
        return any(self._judge.anyone(one) for one in self._targets if one.channel == channel)

    def _enforce(self) -> None:
        self.engine.enforce()
        for channel in {target.channel for target in self._targets}:
            if channel != LOCAL and not self._usable(channel):
                self._pool.sweep(channel)
        self._translate.enforce()


class Questions:
    """Implements ``gateway.readiness.evaluation.running.Asking``."""

    def __init__(
        self, version: Configured, ways: _Ways, journal: Journal, labels: Labels, logs: Logs
    ) -> None:
        self._inventory = version.inventory
        self._settings = version.settings
        self._routes = version.routes
        self._ways = ways
        self._engine = ways.engine
        self._journal = journal
        self._labels = labels
        self._logs = logs

    def refusal(self, target: Target) -> str | None:
        """Why policy or the configuration lets nothing be sent to a target."""
        plan = self._engine.plan(
            target.id, api=Api.CHAT, labels=self._labels, route=self._route(target)
        )
        if any(one.why in _LASTING for one in plan.omitted):
            return nothing_planned(plan, None).message
        return None

    @asynccontextmanager
    async def there(self, target: Target) -> AsyncIterator[None]:
        """While a local model is in memory. Raises StartupError where it does not get there."""
        if target.channel != LOCAL:
            yield
        elif serving(self._settings):
            there = published(run_dir(self._settings)).sockets
            if target.model not in there:
                raise StateError(f"the gateway that runs here has no model {target.id}")
            one = there[target.model]
            on_demand = {target.model} if one.on_demand else set()
            self._ways.local.change({target.model: Path(one.path)}, on_demand)
            await self._loaded(target, on_demand=one.on_demand)
            yield
        else:
            async with self._started(target):
                yield

    @asynccontextmanager
    async def _started(self, target: Target) -> AsyncIterator[None]:
        """With a worker of our own."""
        inventory = self._inventory
        model = replace(inventory.local[target.model], preload=True)
        with tempfile.TemporaryDirectory(prefix="gateway-eval-") as folder:
            supervisor = Supervisor(
                [model],
                Path(folder),
                self._settings.state.dir,
                self._ways.background,
                accept=inventory.check_weights,
                gpu_budget=inventory.gpu_budget,
                logs=self._logs,
            )
            await supervisor.start()
            try:
                status = await supervisor.wait_ready(target.model, LOADED_WITHIN)
                if status.state is not ModelState.READY:
                    raise StateError(f"{target.id} does not get ready: {status.detail}")
                self._ways.local.change(supervisor.sockets(), set())
                await self._loaded(target)
                yield
            finally:
                self._ways.local.change({}, set())
                await supervisor.stop()

    async def _loaded(self, target: Target, *, on_demand: bool = False) -> None:
        """Wait until its worker is there, so that the first question is no slower than the others.
        Raises StateError.
        """
        if on_demand:
            await self._load(target)
        elif not await self._ways.local.wait_ready(target.model, LOADED_WITHIN):
            raise StateError(f"{target.id} does not get ready")

    async def _load(self, target: Target) -> None:
        """One that is loaded when it is asked for is asked to count tokens."""
        now = time.monotonic()
        raw = json.dumps({"model": target.id, "messages": [{"role": "user", "content": "Hi"}]})
        task = Counting(openai_chat.parse(raw.encode()).chat)
        ends = now + LOADED_WITHIN
        call = Call(new_id(), Api.CHAT, target.id, False, raw.encode(), task, now, ends)
        async with aclosing(self._ways.local.attempt(target, call)) as batches:
            async for batch in batches:
                for event in batch:
                    if isinstance(event, Failed):
                        raise StateError(f"{target.id} cannot be asked: {event.message}")

    async def ask(self, target: Target, members: dict[str, Any], most: int) -> Asked:
        """One chat. Where a target has had enough for now, it is asked again when it may be.
        Raises AuditUnavailable where nothing may be asked that is not written down.
        """
        limit = "max_completion_tokens" if Listener.at(target).newer else "max_tokens"
        streamed = {"stream": True, "stream_options": {"include_usage": True}}
        written = {**members, "model": target.id, limit: most, **streamed}
        body = json.dumps(written).encode()
        request = openai_chat.parse(body)
        for number in range(1, TRIES + 1):
            await self._rested(target)
            self._journal.check()
            asked = await self._once(target, request, body)
            if asked.error not in _TOO_SOON or number == TRIES:
                break
            if self._rest(target) is None:
                await asyncio.sleep(SOON * 2**number)
        return asked

    async def _once(self, target: Target, request: ChatRequest, body: bytes) -> Asked:
        within, now = float(self._settings.server.deadline), time.monotonic()
        record = Record(
            id=new_id(), at=datetime.now(UTC), api=Api.CHAT, labels=self._labels, origin="eval"
        )
        call = Call(
            id=record.id,
            api=Api.CHAT,
            model=target.id,
            stream=True,
            body=body,
            asked=request.asked,
            received=now,
            deadline=now + within,
            include_usage=True,
            needs=request.needs,
            labels=self._labels,
            typed=True,
        )
        try:
            async with asyncio.timeout(within):
                heard = await hear(self._engine, self._journal, call, record, self._route(target))
        except TimeoutError:
            late = DeadlinePassed(within)
            heard = Heard("", "", (), within, failure=late.message, code=late.code)
        error = None if heard.failure is None else self._error(target, record, heard)
        return Asked(heard, error, record.cost)

    def _error(self, target: Target, record: Record, heard: Heard) -> str:
        """In a word: how the last attempt failed or, where there was none, what was in its way."""
        if record.attempts and record.attempts[-1].outcome not in ("served", "cancelled"):
            return record.attempts[-1].outcome
        obstacle = self._engine.health(target.id).obstacle(time.monotonic())
        return (None if record.attempts else obstacle) or heard.code or "failed"

    def _rest(self, target: Target) -> float | None:
        """Seconds that a target rests because it said that it has had enough."""
        now, health = time.monotonic(), self._engine.health(target.id)
        return health.available_in(now) if health.obstacle(now) is LeftOut.RESTING else None

    async def _rested(self, target: Target) -> None:
        while (  # noqa: ASYNC110 - a time, not an event
            wait := self._rest(target)
        ) is not None and wait <= LONGEST_REST:
            await asyncio.sleep(wait)

    def _route(self, target: Target) -> Route:
        """To a target alone. One that is risky is asked where a model has it as its last resort."""
        risky = any(
            route.risky_last_resort and any(one.id == target.id for one in route.targets)
            for route in self._routes.all()
        )
        return Route(in_order(target), risky, continuation=False, name=target.id)


class _Priced:
    """An audit log whose records tell what they cost. Implements ``AuditSink``."""

    def __init__(self, log: AuditSink, prices: Prices) -> None:
        self._log = log
        self._prices = prices

    def begin(self) -> Transcript | None:
        return self._log.begin()

    def check(self) -> None:
        self._log.check()

    def write(self, told: Record | Happening, transcript: Transcript | None = None) -> None:
        if isinstance(told, Record):
            told.cost = self._cost(told)
        self._log.write(told, transcript)

    def _cost(self, record: Record) -> int | None:
        """``None`` where a price is not known, or a target that answered has not said how much."""
        cost, behind = 0, {one.target: one for one in record.targets}
        for attempt in record.attempts:
            if attempt.prompt_tokens is None:
                if attempt.first_content_us is not None:
                    return None
                continue
            one = behind[attempt.target]
            served = Served(one.target, one.channel, one.model, one.locality)
            usage = Usage(
                attempt.prompt_tokens,
                attempt.completion_tokens or 0,
                cached=attempt.cached_tokens or 0,
                stored=attempt.stored_tokens or 0,
            )
            price, known = self._prices.cost(served, usage)
            if not known:
                return None
            cost += price
        return cost
