"""The loop: decide → plan → perform → feed back. Knows backends only by their protocol.

The engine yields ``Serving`` once, as soon as it is known which target answers, then that answer's
events. Until then every failure leads to the next target without the app noticing; afterwards the
next target goes on with the same answer, behind one ``Continued``. For a plain (not streamed) call
nothing is yielded before the answer is complete.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Collection, Hashable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from gateway.audit.record import Record
from gateway.domain.call import Api, Backend, Call
from gateway.domain.decision import DENY, Labels
from gateway.domain.drill import ORIGIN, Drill
from gateway.domain.events import Failed
from gateway.domain.plan import Plan
from gateway.domain.target import Capability, Target
from gateway.engine.attempt import Attempt, Told
from gateway.engine.course import Course
from gateway.engine.outlook import Outlook, Planned, Prospect
from gateway.engine.routes import Route, Routes
from gateway.engine.sent import Sent
from gateway.errors import Refused
from gateway.policy.compile import Policy
from gateway.policy.decided import decide
from gateway.policy.evaluate import share_sent
from gateway.policy.rules import InFlight
from gateway.routing.failover import TABLE, Progress
from gateway.routing.gaps import gap
from gateway.routing.groups import ordered
from gateway.routing.health import Health
from gateway.routing.outcome import LASTING, nothing_planned
from gateway.routing.plan import Candidate, make_plan
from gateway.routing.retries import RetryBudget

CHATS = frozenset({Api.CHAT, Api.RESPONSES, Api.MESSAGES, Api.COUNT_TOKENS})
"""APIs that ask for the next turn of a chat."""
MOST_OUTLOOKS = 1024
"""Of models by whoever asks, who may claim many things."""
_UNTRIED = Health()
_VECTORS = Api.EMBEDDINGS
_NOTHING: frozenset[Capability] = frozenset()


class Engine:
    """Serves calls. ``policy`` gives the policy in force at this instant; ``listed`` says whether a
    target's server has its model, as far as it tells, and ``told`` what a target says itself that
    it can do, ``None`` where it says nothing.
    """

    def __init__(
        self,
        *,
        routes: Routes,
        policy: Callable[[], Policy],
        backends: Mapping[str, Backend],
        listed: Callable[[Target], bool] = lambda _: True,
        told: Callable[[Target], Collection[Capability] | None] = lambda _: None,
    ) -> None:
        self._policy = policy
        self._backends = backends
        self._listed = listed
        self._told = told
        self._health: dict[str, Health] = {}
        self._busy: Counter[str] = Counter()
        self._outlooks: dict[tuple[str, Labels, bool], Outlook] = {}
        self.running: set[Attempt] = set()
        self.drill: Drill | None = None
        """The one that runs, or has run: its own clock says whether it still does."""
        self.retries = RetryBudget()
        self.unmet: Counter[tuple[str, Capability]] = Counter()
        """How many requests of apps needed what ``lacking`` says."""
        self.change(routes)

    def change(self, routes: Routes, renewed: Collection[str] = ()) -> None:
        """Another configuration: new requests go by these routes. Of the targets of ``renewed``
        channels nothing is known any more, and what is still running says nothing of them.
        """
        self.routes = routes
        self.lacking = {route.name: gap(route.targets).capabilities for route in routes.all()}
        """What no local target of a configured model can do, and another can."""
        for attempt in self.running:
            attempt.outdated = attempt.outdated or attempt.target.channel in renewed
        for target in [name for name in self._health if name.partition("/")[0] in renewed]:
            del self._health[target]

    def plan(
        self,
        model: str,
        *,
        api: Api | None = None,
        needs: frozenset[Capability] = frozenset(),
        labels: Labels | None = None,
        request_id: str = "",
        session: str | None = None,
        at: datetime | None = None,
        policy: Policy | None = None,
        route: Route | None = None,
    ) -> Plan:
        """The plan for a request as things stand, by the policy in force and the configured route
        unless others are given. Without an ``api`` it is for what the model is there for: one with
        equivalent vectors, for those. Raises ``ModelNotFound``.
        """
        route = route or self.routes.find(model)
        vectors = api is Api.EMBEDDINGS or (api is None and bool(route.equivalent))
        policy, when, who = policy or self.policy, at or datetime.now(UTC), labels or Labels()
        # Not one that requests share: this may be about another policy, or another day.
        outlook = Outlook(route, self.routes, policy, who, when, vectors=vectors)
        return self._planned(outlook, api, needs, request_id, session, when, None).plan

    def _outlook(
        self, model: str, policy: Policy, labels: Labels, when: datetime, *, vectors: bool
    ) -> Outlook:
        """What there is to be said of a model for whoever asks so. Raises ``ModelNotFound``."""
        key = model, labels, vectors
        outlook = self._outlooks.get(key)
        if outlook is None or not outlook.holds(self.routes, policy, when):
            route = self.routes.find(model)
            outlook = Outlook(route, self.routes, policy, labels, when, vectors=vectors)
            if len(self._outlooks) >= MOST_OUTLOOKS:
                self._outlooks.clear()
            self._outlooks[key] = outlook
        return outlook

    def _planned(
        self,
        outlook: Outlook,
        api: Api | None,
        needs: frozenset[Capability],
        request_id: str,
        session: str | None,
        when: datetime,
        drill: Drill | None,
    ) -> Planned:
        now, chats = time.monotonic(), api in CHATS
        prospects = outlook.order or self._ordered(outlook, request_id, session)
        facts = (
            needs,
            chats,
            drill,
            *[self._facts(prospect, request_id, when, now) for prospect in prospects],
        )
        planned = outlook.known(facts)
        if planned is not None:
            return planned
        plan = make_plan(
            [self._candidate(prospect, request_id, when, drill) for prospect in prospects],
            needs=needs,
            risky_last_resort=outlook.route.risky_last_resort,
            now=now,
            chats=chats,
        )
        return outlook.keep(facts, plan)

    def _ordered(self, outlook: Outlook, request_id: str, session: str | None) -> list[Prospect]:
        """The targets of groups in this request's own order."""
        key, within = session or request_id, session is not None
        return [
            outlook.prospects[target.id]
            for group in outlook.route.groups
            for target in (
                group.targets
                if len(group.targets) == 1
                else ordered(group, key, session=within, busy=self._busy)
            )
        ]

    @property
    def policy(self) -> Policy:
        """The policy in force at this instant."""
        return self._policy()

    def health(self, target: str) -> Health:
        return self._health.get(target, _UNTRIED)

    def busy(self, target: str) -> int:
        """How many attempts are under way on a target."""
        return self._busy[target]

    def can(self, target: Target) -> Collection[Capability] | None:
        """What a target can do, as far as that is known."""
        told = self._told(target)
        return target.capabilities if told is None else told

    def ready(self, target: Target) -> bool:
        """Whether a request could be sent to a target now, if policy lets it."""
        return (
            target.channel not in self.routes.without_credentials
            and not self.routes.forbids(target)
            and self.health(target.id).obstacle(time.monotonic()) is None
            and self._backends[target.channel].ready(target)
            and self._listed(target)
        )

    def run(
        self,
        call: Call,
        record: Record,
        reader: asyncio.Task[Any] | None = None,
        route: Route | None = None,
    ) -> AsyncGenerator[Sequence[Told], None]:
        """Serve one call, and fill the record of it: what is told of the answer, as it comes
        together, never empty. It is decided now, for the instant of the record. Raises
        ``GatewayError`` where no answer has begun, at once where none will. ``reader`` as in
        ``Course``; the ``route`` is the configured one, unless another is given.
        """
        policy, vectors = self._policy(), call.api is _VECTORS
        if route is None:
            outlook = self._outlook(call.model, policy, call.labels, record.at, vectors=vectors)
        else:
            outlook = Outlook(route, self.routes, policy, call.labels, record.at, vectors=vectors)
        drill = self.drill
        if drill and not drill.covers(call.id, call.labels, record.origin, record.at):
            drill = None
        if drill is None and record.origin == ORIGIN:
            # Without its drill the vendor would be asked.
            raise Refused("the drill that asks is over", code="no_drill")
        planned = self._planned(
            outlook, call.api, call.needs, call.id, call.session, record.at, drill
        )
        plan = planned.plan
        if drill and planned.drilled:
            record.drill = drill.id
        self.retries.request(time.monotonic())
        if call.needs:
            record.needs = tuple(sorted(call.needs))
            if record.origin is None:
                name = outlook.route.name
                lacking = self.lacking.get(name, _NOTHING)
                self.unmet.update((name, word) for word in call.needs & lacking)
        record.targets = planned.judged
        record.policy = planned.revision
        if not plan.steps and not plan.rescue:
            raise nothing_planned(plan, self.shortest_wait(plan))
        sent = Sent(call, continuation=outlook.route.continuation)
        return Course(self, call, plan, record, sent, reader).events()

    def enforce(self) -> None:
        """Policy may have come to deny what is running: where it says ``in_flight: cut``, such
        attempts end now. To be called whenever policy or its verdicts change.
        """
        policy, now = self.policy, datetime.now(UTC)
        if policy.in_flight is not InFlight.CUT:
            return
        for attempt in tuple(self.running):
            target = attempt.target
            decision = decide(policy, target.id, target.identity, attempt.labels, now)
            if decision.acted is DENY:
                attempt.cut(decision)

    def feed_back(self, target: Target, failure: Failed | None, progress: Progress) -> None:
        """Remember how an attempt ended: ``None`` is success."""
        now = time.monotonic()
        self._busy[target.id] -= 1
        health = self._health.get(target.id, _UNTRIED)
        if failure is None:
            self._health[target.id] = health.succeeded(now)
            return
        mark = TABLE[progress, failure.kind].mark
        spread = random.uniform(-1, 1)  # noqa: S311 - jitter, no secret
        self._health[target.id] = health.failed(failure, mark, now, spread)

    def dispatch(self, target: Target) -> Backend:
        """The backend for an attempt that is made now."""
        self._health[target.id] = self.health(target.id).dispatched()
        self._busy[target.id] += 1
        return self._backends[target.channel]

    def release(self, target: Target) -> None:
        """An attempt was cancelled: it says nothing of the target."""
        self._busy[target.id] -= 1
        self._health[target.id] = self.health(target.id).released()

    def _facts(self, prospect: Prospect, request_id: str, when: datetime, now: float) -> Hashable:
        """All of the moment that ``_candidate`` takes: the target's id where nothing of it is in
        the way.
        """
        target = prospect.target
        if prospect.barred:
            return target.id
        obstacle = self.health(target.id).obstacle(now)
        ready = self._backends[target.channel].ready(target)
        listed = self._listed(target)
        told = self._told(target)
        drained = prospect.drains and share_sent(prospect.decision, request_id, when)
        if obstacle is None and ready and listed and told is None and not drained:
            return target.id
        return (
            target.id,
            obstacle,
            ready,
            listed,
            drained,
            None if told is None else frozenset(told),
        )

    def _candidate(
        self, prospect: Prospect, request_id: str, when: datetime, drill: Drill | None
    ) -> Candidate:
        target, decision = prospect.target, prospect.decision
        return Candidate(
            target=target,
            decision=decision,
            health=self.health(target.id),
            drained=prospect.drains and share_sent(decision, request_id, when),
            offline=prospect.offline,
            credentials=prospect.credentials,
            ready=self._backends[target.channel].ready(target),
            listed=self._listed(target),
            told=self._told(target),
            one_space=prospect.one_space,
            drill=drill if drill and drill.takes(target.identity) else None,
        )

    def shortest_wait(self, plan: Plan) -> float | None:
        """Seconds until one of the targets of a plan may be tried again; ``None`` where time alone
        does not help.
        """
        now = time.monotonic()
        targets = [step.target for step in (*plan.steps, *plan.rescue)]
        targets += [o.target for o in plan.omitted if o.why not in LASTING]
        waits = [self.health(target.id).available_in(now) for target in targets]
        known = [wait for wait in waits if wait is not None]
        return max(1.0, min(known)) if known else None
