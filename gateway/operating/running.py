"""The operations of one serving process. Implements ``Operations``."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

import msgspec

from gateway.access.following import LOOK_EVERY
from gateway.access.operators import Actor, OperatorRole
from gateway.audit.reader import Request, last, last_texts
from gateway.auditing import audit_folder
from gateway.config.channels import LOCAL
from gateway.domain.decision import Labels
from gateway.domain.identity import Role
from gateway.engine.routes import Route
from gateway.errors import ModelNotFound
from gateway.http.operations import KeyAsked
from gateway.http.readiness import ReadinessState
from gateway.http.seen import (
    DecisionState,
    DesignationState,
    KeyState,
    LocalModel,
    ModelTargets,
    NewKey,
    NewOperator,
    OperatorState,
    PolicyFileState,
    PolicyInForce,
    Preview,
    Status,
    Toggled,
    Traffic,
    VendorState,
)
from gateway.operating.decisions import decision_state
from gateway.operating.drilling import Drilling
from gateway.operating.keys import Keys
from gateway.operating.models import Models
from gateway.operating.parts import Parts, process_state
from gateway.operating.readiness import Told
from gateway.operating.targets import model_targets
from gateway.operating.toggling import Toggling, as_refusals
from gateway.operating.traffic import Recent, share, traffic
from gateway.operating.vendors import all_targets, designation_states, preview, vendor_states
from gateway.policy.explain import Explanation, explain
from gateway.routing.groups import in_order

KNOWN_WITHIN = 2 * LOOK_EVERY
"""Seconds after which all serving processes have read a change of keys."""
T = TypeVar("T")
LOOKED_AT = timedelta(hours=1)
"""The requests by which it is told what a ban would move."""


class Running:
    """What blocks is done in a thread."""

    def __init__(self, parts: Parts, drills: Drilling) -> None:
        self._parts = parts
        self.drills = drills
        self._log = audit_folder(parts.settings)
        self._recent = Recent(self._log)
        self._models = Models(parts, parts.journal.happened)
        # Of its own: the one that is followed is read in another thread.
        self._keys = Keys(parts.settings.state.dir, parts.journal.happened)
        self._readiness = Told(parts.shared)
        self._one = asyncio.Lock()

    async def status(self) -> Status:
        serving = await asyncio.to_thread(self._parts.serving)
        return Status(
            **self._parts.state().model_dump(),
            url=self._parts.url,
            processes=[process_state(one) for one in serving],
        )

    async def policy(self) -> PolicyInForce:
        policy, store = self._parts.engine.policy, self._parts.policies
        return PolicyInForce(
            revision=policy.revision,
            mode=policy.mode,
            default=policy.default,
            loaded_at=store.loaded_at,
            problem=store.problem,
            rules=len(policy.rules),
            waivers=len(policy.waivers),
            designations=len(policy.designations),
            next_change=policy.next_change(datetime.now(UTC)),
            signed=self._parts.configured().settings.policy.require_signature,
            files=[
                PolicyFileState(name=name, bytes=len(raw), sha256=hashlib.sha256(raw).hexdigest())
                for name, raw in sorted(store.files.items())
            ],
        )

    async def vendors(self) -> list[VendorState]:
        inventory = self._parts.configured().inventory
        engine = self._parts.engine
        return await asyncio.to_thread(
            vendor_states,
            engine.policy,
            engine,
            inventory.catalog,
            self._toggling().toggles,
            datetime.now(UTC),
        )

    async def preview(self, vendor: str, roles: Sequence[Role]) -> Preview:
        now = datetime.now(UTC)
        engine, since = self._parts.engine, now - LOOKED_AT
        with as_refusals():
            after = await asyncio.to_thread(
                self._toggling().toggles.proposed, vendor, list(roles) or None
            )
        recent = await asyncio.to_thread(self._recent.since, since)
        names = {one.model: name for one in recent if (name := self._route(one.model))}
        known = self._parts.configured().inventory.catalog.vendor(vendor)
        look = partial(
            preview,
            vendor,
            roles,
            policies=(engine.policy, after),
            engine=engine,
            title=known.name if known is not None else vendor,
            requests=Counter(names[one.model] for one in recent if one.model in names),
            now=now,
        )
        first = look(recent=share(recent, (), (), since, names))
        shared = share(recent, first.denied, first.stranded, since, names)
        return first.model_copy(update={"recent": shared})

    async def ban(
        self,
        vendor: str,
        *,
        reason: str,
        authority: str | None,
        reference: str | None,
        until: datetime | None,
        roles: Sequence[Role],
        actor: Actor,
    ) -> Toggled:
        return await asyncio.to_thread(
            self._toggling().ban,
            vendor,
            reason=reason,
            authority=authority,
            reference=reference,
            until=until,
            roles=roles,
            actor=actor,
            now=datetime.now(UTC),
        )

    async def unban(self, vendor: str, *, actor: Actor) -> Toggled:
        return await asyncio.to_thread(
            self._toggling().unban, vendor, actor=actor, now=datetime.now(UTC)
        )

    async def designations(self) -> list[DesignationState]:
        engine = self._parts.engine
        return designation_states(engine.policy, all_targets(engine), datetime.now(UTC))

    async def explain(self, model: str, labels: Labels, at: datetime | None) -> Explanation:
        moment = at or datetime.now(UTC)
        engine, policy = self._parts.engine, self._parts.engine.policy
        configured = self._parts.configured()
        channel, _, name = model.partition("/")
        known = channel == LOCAL or channel in configured.settings.channels
        route = None
        if name and known and self._route(model) is None:
            route = Route(in_order(configured.inventory.target(model)), name=model)
        plan = engine.plan(model, labels=labels, at=moment, policy=policy, route=route)
        return explain(policy, plan, model, labels, moment)

    async def targets(self) -> list[ModelTargets]:
        return model_targets(self._parts.engine)

    async def models(self) -> list[LocalModel]:
        return await self._models.all()

    async def load(self, name: str, *, actor: Actor) -> LocalModel:
        return await self._models.load(name, actor)

    async def unload(self, name: str, *, cut: bool, actor: Actor) -> LocalModel:
        return await self._models.unload(name, cut=cut, actor=actor)

    async def keys(self) -> list[KeyState]:
        async with self._one:
            return await asyncio.to_thread(self._keys.apps, datetime.now(UTC))

    async def create_key(self, asked: KeyAsked, *, actor: Actor) -> NewKey:
        return await self._changed(partial(self._keys.create, asked, actor))

    async def revoke_key(self, id: str, *, actor: Actor) -> KeyState:
        return await self._changed(partial(self._keys.revoke, id, actor))

    async def rotate_key(self, id: str, *, overlap: timedelta, actor: Actor) -> NewKey:
        return await self._changed(partial(self._keys.rotate, id, overlap, actor))

    async def operators(self) -> list[OperatorState]:
        async with self._one:
            return await asyncio.to_thread(self._keys.operators, datetime.now(UTC))

    async def create_operator(
        self, name: str, role: OperatorRole, expires: datetime | None, *, actor: Actor
    ) -> NewOperator:
        return await self._changed(partial(self._keys.create_operator, name, role, expires, actor))

    async def revoke_operator(self, id: str, *, actor: Actor) -> OperatorState:
        return await self._changed(partial(self._keys.revoke_operator, id, actor))

    async def rotate_operator(self, id: str, *, overlap: timedelta, actor: Actor) -> NewOperator:
        return await self._changed(partial(self._keys.rotate_operator, id, overlap, actor))

    async def _changed(self, change: Callable[[datetime], T]) -> T:
        """Change a key. Who is told of it finds it so in every serving process."""
        async with self._one:
            done = await asyncio.to_thread(change, datetime.now(UTC))
        await asyncio.sleep(KNOWN_WITHIN)
        return done

    async def decisions(self, limit: int) -> list[DecisionState]:
        lines = await asyncio.to_thread(
            last, self._log, limit, lambda line: isinstance(line, Request)
        )
        return [decision_state(one.record) for one in reversed(lines) if isinstance(one, Request)]

    async def audit_tail(self, limit: int) -> list[dict[str, Any]]:
        texts = await asyncio.to_thread(last_texts, self._log, limit)
        lines = (text.content for text in reversed(texts) if text.ended and not text.long)
        return [msgspec.json.decode(line, type=dict[str, Any]) for line in lines]

    async def traffic(self, minutes: int) -> Traffic:
        now = datetime.now(UTC)
        start = now - timedelta(minutes=minutes)
        return traffic(await asyncio.to_thread(self._recent.since, start), minutes, now)

    async def readiness(self, vendor: str | None = None) -> ReadinessState:
        return await asyncio.to_thread(self._readiness.readiness, vendor)

    def _toggling(self) -> Toggling:
        """By the configuration in force."""
        return Toggling(
            self._parts.configured().inventory, self._parts.serving, self._parts.journal.happened
        )

    def _route(self, model: str) -> str | None:
        """The configured name by which a model is served."""
        try:
            return self._parts.engine.routes.find(model).name
        except ModelNotFound:
            return None
