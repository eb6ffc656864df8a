"""Where requests of a kind would go if some targets were gone, by the configuration and the policy
in force, with everything that is left in good health. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from gateway.domain.identity import Locality
from gateway.domain.plan import LeftOut, Omission
from gateway.domain.target import Capability, Target
from gateway.engine.routes import Route, Routes
from gateway.policy.compile import Policy
from gateway.policy.decided import decide
from gateway.readiness.score.day import Kind
from gateway.routing.health import Health
from gateway.routing.plan import Candidate, make_plan

_WORDS = frozenset(Capability)


class Why(StrEnum):
    """What keeps requests from being served by a local target."""

    UNCONFIGURED = "unconfigured"
    """Their model is not configured any more."""
    NO_LOCAL = "no local target"
    CAPABILITY = "capability"
    """The detail says what is lacking."""
    CONTEXT = "context"
    """The detail says how long the longest local one is."""
    VECTORS = "other vectors"
    POLICY = "policy"


_OF_OMISSION = {
    LeftOut.CAPABILITY: Why.CAPABILITY,
    LeftOut.OTHER_VECTORS: Why.VECTORS,
}


@dataclass(frozen=True, slots=True)
class Landing:
    """``places`` are where there is a target that can; ``local`` is the first local one by its id.
    Without one there is a reason why.
    """

    places: frozenset[Locality] = frozenset()
    local: str | None = None
    why: Why | None = None
    detail: str = ""


class Ground:
    """What requests land on, at one instant."""

    def __init__(self, routes: Routes, policy: Policy, now: datetime) -> None:
        self._routes = routes
        self._by_name = {route.name: route for route in routes.all()}
        self._policy = policy
        self._now = now

    def land(self, kind: Kind, gone: Callable[[Target], bool]) -> Landing:
        route = self._by_name.get(kind.model)
        if route is None:
            return Landing(why=Why.UNCONFIGURED)
        left = [target for target in route.targets if not gone(target)]
        roomy = [one for one in left if one.context is None or kind.room <= one.context]
        if not roomy:
            return Landing(frozenset(), *_without((), left, kind))
        plan = make_plan(
            [self._candidate(target, route, kind) for target in roomy],
            needs=frozenset(_WORDS.intersection(kind.needs)),
            risky_last_resort=route.risky_last_resort,
            now=0.0,
        )
        places = frozenset(step.target.locality for step in plan.steps)
        for step in plan.steps:
            if step.target.locality is Locality.LOCAL:
                return Landing(places, step.target.id)
        return Landing(places, *_without(plan.omitted, left, kind))

    def _candidate(self, target: Target, route: Route, kind: Kind) -> Candidate:
        return Candidate(
            target,
            decide(self._policy, target.id, target.identity, kind.labels, self._now),
            Health(),
            offline=self._routes.forbids(target),
            credentials=target.channel not in self._routes.without_credentials,
            one_space=not kind.vectors or target.id in route.one_space,
        )


def _without(
    omitted: Iterable[Omission], left: Iterable[Target], kind: Kind
) -> tuple[None, Why, str]:
    """Why no local target is among those that can: of several, what the first of those says that
    have the room.
    """
    for one in omitted:
        if one.target.locality is Locality.LOCAL:
            why = _OF_OMISSION.get(one.why, Why.POLICY)
            return None, why, "" if why is Why.VECTORS else one.detail
    contexts = [one.context or 0 for one in left if one.locality is Locality.LOCAL]
    if contexts:
        return None, Why.CONTEXT, f"{max(contexts)} tokens"
    return None, Why.NO_LOCAL, ""
