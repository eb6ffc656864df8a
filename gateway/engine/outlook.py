"""What policy and the configuration say of a route for one caller, and the plans that follow.

Theory of operation. Of all that a plan depends on, most is the same from request to request: the
decisions, until policy changes or time goes over to another of its periods; keys and vectors, until
the configuration does. That is an ``Outlook``. What is left are the facts of the moment: health,
readiness, what a request needs. Requests that find the same facts have the same plan, made once.
"""

from __future__ import annotations

from collections.abc import Hashable
from datetime import datetime

import msgspec

from gateway.audit.record import JudgedTarget
from gateway.domain.decision import Decision, Handling, Labels, Verdict
from gateway.domain.plan import LeftOut, Plan
from gateway.domain.target import Target
from gateway.engine.routes import Route, Routes
from gateway.policy.compile import Policy
from gateway.policy.decided import decide, lasts

MOST_PLANS = 64
"""Of one outlook that are remembered."""


class Prospect(msgspec.Struct, frozen=True):
    """A target with what does not change from request to request. One that is ``barred`` is in no
    plan, whatever the moment is like; of one that ``drains`` it depends on the request.
    """

    target: Target
    decision: Decision
    offline: bool
    credentials: bool
    one_space: bool
    barred: bool
    drains: bool


class Planned(msgspec.Struct, frozen=True):
    """A plan, and what the record says of its targets. ``drilled`` says that a drill takes one of
    them away, ``revision`` which policy it was made by.
    """

    plan: Plan
    judged: tuple[JudgedTarget, ...]
    drilled: bool
    revision: str

    @classmethod
    def of(cls, plan: Plan) -> Planned:
        rows = (JudgedTarget.of(target, one, why or "") for target, one, why in plan.judged)
        drilled = any(one.why is LeftOut.DRILL for one in plan.omitted)
        return cls(plan, tuple(rows), drilled, plan.revision)


class Outlook:
    """``vectors`` says that the route is asked for such. ``prospects`` are its targets by id;
    ``order`` has them as they are asked, ``None`` where that is another for each request.
    """

    __slots__ = (
        *("_lasts", "_period", "_plans", "_policy", "_routes"),
        *("order", "prospects", "route"),
    )

    def __init__(
        self,
        route: Route,
        routes: Routes,
        policy: Policy,
        labels: Labels,
        when: datetime,
        *,
        vectors: bool,
    ) -> None:
        one_space = route.one_space if vectors else None
        self.route = route
        self.prospects = {
            target.id: _prospect(
                target,
                decide(policy, target.id, target.identity, labels, when),
                routes,
                one_space=one_space is None or target.id in one_space,
            )
            for target in route.targets
        }
        single = all(len(group.targets) == 1 for group in route.groups)
        self.order = [self.prospects[one.id] for one in route.targets] if single else None
        self._routes = routes
        self._policy = policy
        self._period = policy.period(when)
        self._lasts = all(lasts(one.decision, labels) for one in self.prospects.values())
        self._plans: dict[Hashable, Planned] = {}

    def holds(self, routes: Routes, policy: Policy, when: datetime) -> bool:
        """Whether it is still what would be found."""
        return (
            self._policy is policy
            and self._routes is routes
            and self._lasts
            and self._period.covers(when)
        )

    def known(self, facts: Hashable) -> Planned | None:
        """The plan for these facts, where they are not new."""
        return self._plans.get(facts)

    def keep(self, facts: Hashable, plan: Plan) -> Planned:
        if len(self._plans) >= MOST_PLANS:
            self._plans.clear()
        planned = self._plans[facts] = Planned.of(plan)
        return planned


def _prospect(target: Target, decision: Decision, routes: Routes, *, one_space: bool) -> Prospect:
    offline = routes.forbids(target)
    credentials = target.channel not in routes.without_credentials
    denied = decision.acted is Verdict.DENY
    return Prospect(
        target,
        decision,
        offline,
        credentials,
        one_space,
        barred=denied or offline or not credentials or not one_space,
        drains=decision.handling is Handling.DRAIN,
    )
