"""The composition root: configuration to objects. The only place that knows all the parts."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from starlette.types import ASGIApp

from gateway import __version__
from gateway.access.layout import FILE as LEDGER
from gateway.access.ledger import Ledger
from gateway.admitting import Admitting
from gateway.announcing import Announcing
from gateway.audit.journal import Journal
from gateway.audit.sink import Standing as AuditStanding
from gateway.auditing import audit_sink
from gateway.background import Background
from gateway.config.channels import LOCAL
from gateway.config.configuration import ConfigurationStore, Watched
from gateway.config.presence import run_dir
from gateway.config.publication import FILE, decode, published
from gateway.config.reload import PolicyStore
from gateway.config.settings import Settings, load_settings
from gateway.config.shipped import load_routers
from gateway.configured import Configured
from gateway.configuring import configure
from gateway.dialled import ISSUER, otlp_channel, otlp_post
from gateway.domain.call import Backend
from gateway.domain.target import Capability, Target
from gateway.engine.judge import Judge
from gateway.engine.loop import Engine
from gateway.http.app import create_app
from gateway.http.cors import CrossOrigin, Pages
from gateway.http.quotas import Quotas
from gateway.http.state import (
    ConfigurationState,
    PolicyState,
    State,
)
from gateway.inventory import policy_sources
from gateway.local.client import LocalBackend
from gateway.observing import Observing
from gateway.operating.drilling import Practice
from gateway.operating.parts import Parts
from gateway.operating.running import Running
from gateway.processes.garbage import let_generators_begin, look_seldom
from gateway.processes.logs import Logs, configure_logs
from gateway.processes.memory import keep_memory
from gateway.readiness.canary.canaries import Canaries
from gateway.readiness.canary.schedule import Schedule
from gateway.readiness.canary.successes import Successes
from gateway.responses.store import Limits, SqliteResponseStore
from gateway.serving import ServeOptions
from gateway.telemetry.readings import Shared
from gateway.told import audit_state, drilled_state, local_state, sovereign_state
from gateway.upstream.discovery import Discovery
from gateway.upstream.guard import EgressGuard
from gateway.upstream.pool import Pool
from gateway.upstream.relay import RelayBackend
from gateway.upstream.servers import Servers
from gateway.upstream.tls import system_trust
from gateway.upstream.translate.backend import ByDialect, TranslateBackend

DATES_EVERY = 0.25
"""Seconds within which a date of the policy is noticed by what is running already."""


class Gateway:
    """One serving process: its parts, and what it tells of itself. Implements ``Services``."""

    engine: Engine

    def __init__(self, options: ServeOptions) -> None:
        read = partial(load_settings, options.config, options.overrides, os.environ)
        settings = read(options.text)
        run = run_dir(settings)
        self._settings = settings
        self._configure = partial(configure, read, options.text)
        first = self._configure(published(run))
        self._store = PolicyStore(policy_sources(settings), settings.state.dir, first.load)
        self._configuration = ConfigurationStore(
            Watched(run / FILE), self._store, first, make=self._make, enact=self._enact
        )
        self._announcing = Announcing(
            run, options, settings.policy.dir, self._store, self._configuration, self._works
        )
        self._background = Background()
        self._audit = audit_sink(settings, "serving", os.environ, self._background)
        self.successes = Successes(settings.state.dir)
        otlp = otlp_channel(settings)
        self._shared = Shared(options.shared)
        self._guard = EgressGuard(
            offline=first.settings.offline,
            current=lambda channel: channel is otlp or self._now.has(channel),
        )
        self._pool = Pool(self._guard, system_trust())
        self._observing = Observing(
            options.shared,
            settings.telemetry,
            self,
            self._background,
            alone=settings.server.workers == 1,
            post=otlp_post(settings, otlp, self._pool),
        )
        self.scrape = self._observing.scrape
        self.journal = Journal(self._audit, self._observing.observers)
        self._admitting = Admitting(settings, first, self._pool, self._background)
        self.access = self._admitting.access
        self.entrance = self._admitting.entrance
        self.names = self._admitting.names
        self.apart = options.admin_port
        self.responses = SqliteResponseStore(settings.state.dir, _limits(first.settings))
        self._local = LocalBackend(first.sockets, self._background, first.on_demand)
        self._servers = Servers(first.inventory.sovereign)
        self._judge = self._judge_of(first)
        self._relay: RelayBackend | None = None
        self._translate = TranslateBackend(
            tuple(first.translated.values()),
            self._guard,
            self._usable,
            self._judge,
            settings.translate.python,
            self._background,
        )
        self._discovering: asyncio.Task[None] | None = None
        self._backends: dict[str, Backend] = {LOCAL: self._local, **self._relaying(first)}
        self.engine = Engine(
            routes=first.routes,
            policy=lambda: self._store.current,
            backends=self._backends,
            listed=self._servers.lists,
            told=self._told,
        )
        self.asked = self._canaries = Canaries(
            self.engine,
            self.journal,
            self._local.loaded,
            self._observing.canaries,
            first.settings.readiness.canary,
            self._background,
        )
        self._schedule = Schedule(self._canaries, run, lambda: self._now.targets.get(LOCAL, ()))
        self._ledger = Ledger(settings.state.dir / LEDGER)
        self.quotas = Quotas(
            self._ledger,
            lambda: self._now.prices,
            lambda model: self.engine.routes.find(model),
        )
        self.max_body = int(settings.server.max_body_mb * 1_000_000)
        self.deadline = float(settings.server.deadline)
        parts = Parts(
            settings=settings,
            url=options.url,
            engine=self.engine,
            policies=self._store,
            journal=self.journal,
            configured=lambda: self._now,
            state=self.state,
            shared=self._shared,
            background=self._background,
        )
        self._practice = Practice.of(parts)
        self.operations = Running(parts, self._practice.drilling)
        cors = settings.server.cors
        self.pages = None if cors is None else Pages(cors.origins, cors.headers, cors.max_age)

    def _told(self, target: Target) -> Collection[Capability] | None:
        """What the worker of a local model has said that it can do; ``None`` where there is none
        now, and of all other targets.
        """
        hello = self._local.loaded(target.model) if target.channel == LOCAL else None
        return None if hello is None else hello.abilities.capabilities

    @property
    def audit(self) -> AuditStanding:
        """How writing the audit log goes."""
        return self._audit.standing

    @property
    def logs(self) -> Logs:
        """How this process logs."""
        return self._settings.telemetry.process_logs

    @property
    def _now(self) -> Configured:
        return self._configuration.current

    def _judge_of(self, version: Configured) -> Judge:
        return Judge(
            lambda: self._store.current,
            version.inventory.facts,
            version.inventory.catalog,
            load_routers(version.inventory.catalog),
            offline=version.settings.offline,
        )

    def _relaying(self, version: Configured) -> dict[str, Backend]:
        """The backend of each channel. A request stays with the one that it began with."""
        self._relay = RelayBackend(
            version.channels,
            self._guard,
            self._judge,
            servers=self._servers,
            pool=self._pool,
            before=self._relay,
        )
        ways: dict[str, Backend] = {
            "openai": self._relay,
            "anthropic": ByDialect(self._relay, self._translate),
            "litellm": self._translate,
        }
        return {name: ways[channel.kind] for name, channel in version.settings.channels.items()}

    async def _make(self, raw: bytes) -> Configured:
        publication = decode(raw)
        if publication.version == self._now.publication.version:
            return replace(self._now, publication=publication)
        return await asyncio.to_thread(self._configure, publication, self._now)

    async def _enact(self, version: Configured) -> None:
        """All at once: there is nothing to wait for in here."""
        before, renewed = self._now, version.renewed(self._now)
        self._servers.change(version.inventory.sovereign, renewed)
        self._local.change(version.sockets, version.on_demand, version.at_once)
        self._guard.offline = version.settings.offline
        self.responses.limits = _limits(version.settings)
        self._canaries.section = version.settings.readiness.canary
        self._judge = self._judge_of(version)
        self._translate = self._translate.after(version.translated.values(), self._judge)
        # A channel that is gone stays with its last backend, for who began with it: it is refused.
        self._backends.update(self._relaying(version))
        self.engine.change(version.routes, renewed)
        for name, channel in before.channels.items():
            if not version.has(channel) or (version.settings.offline and channel.cloud):
                self._pool.sweep(name)
        self._discover(version)
        if version.settings.offline and not before.settings.offline:
            self._pool.sweep(ISSUER)
        if version.trusted is not before.trusted:
            self._pool.sweep(ISSUER)
            self._admitting.trust(version)

    def _discover(self, version: Configured) -> None:
        """Ask the servers of this version whether they are there, and those before no more."""
        if self._discovering is not None:
            self._discovering.cancel()
        discovery = Discovery(
            [version.channels[n] for n in version.inventory.sovereign if n in version.channels],
            self._pool,
            self._usable,
            self._servers,
            interval=float(version.settings.upstream.health_interval),
        )
        self._discovering = self._kept("discovery", discovery.run)

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        self._store.start()
        self._announcing.begin()
        stop = asyncio.Event()
        following = [
            self._kept("policy", lambda: self._store.watch(lambda _: self._changed(), stop)),
            self._kept("configuration", lambda: self._configuration.watch(self._changed, stop)),
            self._kept("dates", self._follow_dates),
            self._kept("responses", self.responses.run),
            asyncio.create_task(self._admitting.run()),
            self._kept("metrics", self._observing.run),
            self._kept("drills", self._practice.conductor.run),
            self._kept("local successes", self.successes.run),
            self._kept("canaries", self._schedule.run),
        ]
        self._discover(self._now)
        self._admitting.trust(self._now)
        await self._local.start()
        await self._translate.start()
        look_seldom()
        let_generators_begin()
        keep_memory()
        try:
            yield
        finally:
            stop.set()
            if self._discovering is not None:
                following.append(self._discovering)
            for task in following:
                task.cancel()
            await asyncio.gather(*following, return_exceptions=True)
            await self._canaries.stop()
            await self._observing.stop()
            self.successes.exchange()
            await self._pool.close()
            await self._translate.stop()
            await self._local.stop()
            self.responses.close()
            self._ledger.close()
            self._audit.close()
            self._announcing.withdraw()

    def _kept(self, work: str, run: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        return asyncio.create_task(self._background.keep(work, run))

    def state(self) -> State:
        policy = self._store.current
        now = self._now
        local = [
            local_state(
                name,
                self._local.loaded(name),
                on_demand=name in now.on_demand,
                last_success=self.successes.known.get(f"{LOCAL}/{name}"),
            )
            for name in now.sockets
        ]
        problem = self._announcing.problem
        audit = self._audit.standing
        works = self._works()
        degraded = any((self._store.problem, problem, audit.problem, works))
        starting = any(
            not model.ready and not model.on_demand and not self._local.coming(model.name)
            for model in local
        )
        return State(
            status="starting" if starting else "degraded" if degraded else "ready",
            version=__version__,
            pid=os.getpid(),
            policy=PolicyState(
                revision=policy.revision,
                mode=policy.mode,
                loaded_at=self._store.loaded_at,
                problem=self._store.problem,
            ),
            configuration=ConfigurationState(
                revision=now.revision,
                loaded_at=self._configuration.loaded_at,
                problem=problem,
                restart=list(now.restart),
            ),
            local_models=local,
            sovereign=[
                sovereign_state(channel, server, now.inventory, now.targets[channel])
                for channel, server in self._servers.all().items()
            ],
            audit=audit_state(audit),
            without_credentials=sorted(self.engine.routes.without_credentials),
            offline=now.settings.offline,
            drill=drilled_state(self._practice.conductor.drill),
            background=works,
        )

    def _works(self) -> dict[str, str]:
        """What has failed in the background of late, here or in the main process."""
        return {**self._shared.background(), **self._background.problems}

    def _changed(self) -> None:
        self._enforce()
        self._announcing.telling.tell()

    def _enforce(self) -> None:
        """Verdicts may have changed: what runs or is kept open against them ends."""
        self.engine.enforce()
        for name in self._now.channels:
            if not self._usable(name):
                self._pool.sweep(name)
        self._translate.enforce()
        self._servers.hurry()

    async def _follow_dates(self) -> None:
        """Enforce policy whenever one of its dates passes. Wakes up often enough that a new policy
        or another clock is noticed.
        """
        seen = datetime.now(UTC)
        while True:
            await asyncio.sleep(DATES_EVERY)
            now = datetime.now(UTC)
            change = self._store.current.next_change(seen)
            if change is not None and change <= now:
                self._enforce()
            seen = now
            self._announcing.again()

    def _usable(self, channel: str) -> bool:
        """Whether policy leaves any configured target of a channel to anybody at this instant."""
        return any(self._judge.anyone(target) for target in self._now.targets.get(channel, ()))


def serving_app(options: ServeOptions) -> ASGIApp:
    """The ASGI app of one serving process; what uvicorn calls in each of them."""
    gateway = Gateway(options)
    configure_logs(gateway.logs)
    app = create_app(gateway)
    return app if gateway.pages is None else CrossOrigin(app, gateway.pages)


def _limits(settings: Settings) -> Limits:
    section = settings.responses
    return Limits(section.keep, float(section.expire_after), int(section.max_mb * 1_000_000))
