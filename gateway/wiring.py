"""The composition root: configuration to objects. The only place that knows all the parts."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from gateway import __version__
from gateway.audit.record import Record
from gateway.audit.sink import JsonLinesSink
from gateway.config.presence import Announcement, Presence
from gateway.config.reload import PolicyStore
from gateway.config.sections import LOCAL
from gateway.config.settings import Settings, load_settings
from gateway.config.shipped import load_routers
from gateway.config.translated import translations
from gateway.dialled import channel_keys, channels, with_credentials
from gateway.domain.call import Backend, Call
from gateway.domain.events import Event
from gateway.domain.target import Target
from gateway.engine.judge import Judge
from gateway.engine.loop import Engine
from gateway.engine.routes import Route, Routes
from gateway.errors import InternalFault, StateError
from gateway.http.app import GatewayApp, create_app
from gateway.http.state import (
    ChatState,
    DiscoveredModel,
    LoadedState,
    LocalState,
    PolicyState,
    SovereignState,
    State,
)
from gateway.inventory import Inventory, policy_sources
from gateway.local.client import LocalBackend
from gateway.local.protocol import Hello
from gateway.local.supervisor import Supervisor
from gateway.policy.compile import Policy
from gateway.readiness.capacity import Capacity, measure
from gateway.routing.groups import in_order
from gateway.telemetry.logs import configure_logs
from gateway.translation import translated_channels
from gateway.upstream.discovery import Discovery
from gateway.upstream.guard import EgressGuard
from gateway.upstream.relay import RelayBackend
from gateway.upstream.servers import Server, Servers
from gateway.upstream.translate.backend import ByDialect, TranslateBackend
from gateway.wire.openai_models import same_model

DATES_EVERY = 0.25
"""Seconds within which a date of the policy is noticed by what is running already."""


MEASURED_WITHIN = 120.0
"""Seconds for a local model to get ready to be measured."""


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What every serving process is started with; crosses process borders, so plain data only.

    ``overrides`` are flags by dotted path; ``local_sockets`` the Unix socket of each local model.
    """

    config: Path
    overrides: Mapping[str, object]
    local_sockets: Mapping[str, Path]
    url: str


class Gateway:
    """One serving process: its parts, and what it tells of itself. Implements ``Services``."""

    def __init__(self, options: ServeOptions) -> None:
        settings = load_settings(options.config, options.overrides, os.environ)
        inventory = Inventory(settings)
        keys = channel_keys(settings)
        translated = translations(settings, os.environ)
        self._options = options
        self._settings = settings
        self._inventory = inventory
        self._store = policy_store(inventory)
        self._announcement = Announcement(run_dir(settings))
        self._audit = JsonLinesSink(settings.state.dir / "audit")
        self._local = LocalBackend(options.local_sockets, inventory.on_demand)
        self._judge = Judge(
            lambda: self._store.current,
            inventory.facts,
            inventory.catalog,
            load_routers(inventory.catalog),
            offline=settings.offline,
        )
        dialled = channels(settings, keys)
        self._servers = Servers(inventory.sovereign)
        guard = EgressGuard(offline=settings.offline)
        self._relay = RelayBackend(dialled, guard, self._judge, servers=self._servers)
        self._translate = TranslateBackend(
            translated_channels(settings, translated),
            guard,
            self._usable,
            self._judge,
            settings.translate.python,
        )
        self._discovery = Discovery(
            [dialled[name] for name in inventory.sovereign if name in dialled],
            self._relay.pool,
            self._usable,
            self._servers,
            interval=float(settings.upstream.health_interval),
        )
        ways: dict[str, Backend] = {
            "openai": self._relay,
            "anthropic": ByDialect(self._relay, self._translate),
            "litellm": self._translate,
        }
        backends = {name: ways[channel.kind] for name, channel in settings.channels.items()}
        backends[LOCAL] = self._local
        routes = inventory.routes({*keys, *translated})
        self._targets = {
            **{name: (inventory.server(name),) for name in inventory.sovereign},
            **by_channel(routes),
        }
        self.engine = Engine(
            routes=routes,
            policy=lambda: self._store.current,
            backends=backends,
            audit=self._audit,
            listed=self._servers.lists,
        )
        self.max_body = int(settings.server.max_body_mb * 1_000_000)
        self.deadline = float(settings.server.deadline)

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        self._store.start()
        self._announce()
        stop = asyncio.Event()
        following = [
            asyncio.create_task(self._store.watch(self._on_policy, stop)),
            asyncio.create_task(self._follow_dates()),
            asyncio.create_task(self._discovery.run()),
        ]
        await self._local.start()
        await self._translate.start()
        try:
            yield
        finally:
            stop.set()
            for task in following:
                task.cancel()
            await asyncio.gather(*following, return_exceptions=True)
            await self._relay.close()
            await self._translate.stop()
            await self._local.stop()
            self._audit.close()
            self._announcement.withdraw()

    def state(self) -> State:
        policy = self._store.current
        local = [
            local_state(name, self._local.loaded(name), on_demand=name in self._inventory.on_demand)
            for name in self._options.local_sockets
        ]
        degraded = self._store.problem is not None
        starting = any(not model.ready and not model.on_demand for model in local)
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
            local_models=local,
            sovereign=[self._sovereign(*row) for row in self._servers.all().items()],
            without_credentials=sorted(self.engine.routes.without_credentials),
            offline=self._settings.offline,
        )

    def _sovereign(self, channel: str, server: Server) -> SovereignState:
        listed = server.models.names if server.models is not None else None
        return SovereignState(
            channel=channel,
            standing=server.standing.value,
            detail=server.detail,
            models=None if listed is None else [self._discovered(channel, m) for m in listed],
            seen=server.seen,
        )

    def _discovered(self, channel: str, model: str) -> DiscoveredModel:
        target = self._inventory.target(f"{channel}/{model}")
        return DiscoveredModel(
            target=target.id,
            developer=target.identity.developer,
            lineage=list(target.identity.lineage),
            locality=target.locality,
            configured=any(same_model(model, known.model) for known in self._targets[channel]),
        )

    def _on_policy(self, policy: Policy | None) -> None:
        self._enforce()
        self._announce()

    def _enforce(self) -> None:
        """Verdicts may have changed: what runs or is kept open against them ends."""
        self.engine.enforce()
        for name in self._inventory.facts:
            if not self._usable(name):
                self._relay.sweep(name)
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

    def _announce(self) -> None:
        self._announcement.publish(
            Presence(
                pid=os.getpid(),
                url=self._options.url,
                policy_dir=str(self._settings.policy.dir),
                revision=self._store.current.revision,
                problem=self._store.problem,
            )
        )

    def _usable(self, channel: str) -> bool:
        """Whether policy leaves any configured target of a channel to anybody at this instant."""
        return any(self._judge.anyone(target) for target in self._targets.get(channel, ()))


def local_state(name: str, hello: Hello | None, *, on_demand: bool) -> LocalState:
    """``hello`` is what the model's worker has said, where there is one."""
    chat = hello.abilities.chat if hello is not None else None
    return LocalState(
        name=name,
        ready=hello is not None,
        on_demand=on_demand,
        loaded=None
        if hello is None
        else LoadedState(
            context=hello.context,
            slots=hello.slots,
            layers=hello.layout.layers,
            gpu_layers=hello.layout.gpu_layers,
            devices={share.device: share.bytes for share in hello.layout.devices},
            memory=hello.layout.memory,
            note=hello.layout.note,
            capabilities=list(hello.abilities.capabilities),
            chat=chat
            and ChatState(
                roles=list(chat.roles),
                alternating=chat.alternating,
                tools=chat.tools,
                thinks=chat.thinks,
            ),
        ),
    )


def serving_app(options: ServeOptions) -> GatewayApp:
    """The ASGI app of one serving process; what uvicorn calls in each of them."""
    configure_logs()
    return create_app(Gateway(options))


def by_channel(routes: Routes) -> dict[str, tuple[Target, ...]]:
    """The targets of each channel, each once."""
    found: dict[str, dict[str, Target]] = {}
    for route in routes.all():
        for target in route.targets:
            found.setdefault(target.channel, {})[target.id] = target
    return {channel: tuple(targets.values()) for channel, targets in found.items()}


def policy_store(inventory: Inventory) -> PolicyStore:
    """The store of the configured policy folder; ``start`` raises where there is no good policy."""
    settings = inventory.settings
    load = inventory.policy_loader().load
    return PolicyStore(policy_sources(settings), settings.state.dir, load)


def run_dir(settings: Settings) -> Path:
    """Where the files of running processes are."""
    return settings.state.dir / "run"


async def measure_local(inventory: Inventory, prompt_tokens: int) -> dict[str, Capacity]:
    """Start the local models one after the other, measure each by itself, and end it again."""
    state_dir = inventory.settings.state.dir
    found = {}
    with tempfile.TemporaryDirectory(prefix="gateway-measure-") as folder:
        for name, model in inventory.local.items():
            supervisor = Supervisor(
                [model],
                Path(folder),
                state_dir,
                accept=inventory.check_weights,
                gpu_budget=inventory.gpu_budget,
            )
            await supervisor.start()
            backend = LocalBackend(supervisor.sockets())
            await backend.start()
            try:
                if not await backend.wait_ready(name, MEASURED_WITHIN):
                    raise StateError(f"local/{name} cannot be measured: it does not get ready")
                found[name] = await measure(
                    backend,
                    inventory.target(f"{LOCAL}/{name}"),
                    slots=model.slots,
                    sha256=model.manifest.sha256,
                    prompt_tokens=min(prompt_tokens, model.context // 2),
                )
            finally:
                await backend.stop()
                await supervisor.stop()
    return found


def offline_engine(settings: Settings, model: str) -> Engine:
    """An engine that only plans, for questions to a policy without a running gateway. A ``model``
    that is not configured by name may be a bare target id.
    """
    inventory = Inventory(settings)
    policy = inventory.load_policy()
    routes = inventory.routes(with_credentials(settings))
    if "/" in model and model not in routes.exact:
        routes = replace(
            routes, exact={**routes.exact, model: Route(in_order(inventory.target(model)))}
        )
    return Engine(routes=routes, policy=lambda: policy, backends=_Unasked(), audit=_Unwritten())


class _Unasked(dict[str, Backend]):
    """Backends that are taken for ready and never asked."""

    def __missing__(self, channel: str) -> Backend:
        return _UnaskedBackend()


class _UnaskedBackend:
    def ready(self, target: Target) -> bool:
        return True

    def attempt(self, target: Target, call: Call) -> AsyncGenerator[Event, None]:
        raise InternalFault("an engine that only plans was asked to serve")


class _Unwritten:
    def write(self, record: Record) -> None:
        raise InternalFault("an engine that only plans has nothing to record")
