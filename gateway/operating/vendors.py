"""How vendors stand in a running gateway, what a ban of one would move, and what was published
about them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from gateway.config.toggles import TOGGLES, Toggles
from gateway.domain.decision import Verdict
from gateway.domain.identity import Role
from gateway.domain.plan import Plan
from gateway.domain.target import Target
from gateway.engine.loop import Engine
from gateway.errors import StartupError
from gateway.http.seen import (
    DesignationState,
    ModelMove,
    Preview,
    RequestShare,
    Standing,
    StatusChangeState,
    VendorState,
)
from gateway.policy import standing
from gateway.policy.compile import Policy
from gateway.policy.evaluate import evaluate
from gateway.policy.rules import DEFAULT_ROLES
from gateway.policy.standing import NOBODY
from gateway.vendors.catalog import Catalog
from gateway.vendors.designations import Designation

_WORD: Mapping[Verdict, Standing] = {
    Verdict.ALLOW: Standing.ALLOWED,
    Verdict.RISKY: Standing.RISKY,
    Verdict.DENY: Standing.BANNED,
}


def all_targets(engine: Engine) -> list[Target]:
    """Each configured target once, in the order of the configuration."""
    found = {target.id: target for route in engine.routes.all() for target in route.targets}
    return list(found.values())


def vendor_states(
    policy: Policy, engine: Engine, catalog: Catalog, toggles: Toggles, now: datetime
) -> list[VendorState]:
    """The worst first, then by name. Blocks."""
    denied = standing.denied_by_name(policy, now)
    found = standing.standings(
        policy,
        all_targets(engine),
        {vendor: catalog.jurisdictions(vendor) for vendor in denied},
        now,
    )
    try:
        liftable = toggles.liftable(one.vendor for one in found)
    except StartupError:
        # What is on disk is wrong, and `problem` of the policy says so: nothing can be lifted.
        liftable = frozenset()
    return [_vendor(one, catalog, liftable=one.vendor in liftable) for one in found]


def _vendor(one: standing.Standing, catalog: Catalog, *, liftable: bool) -> VendorState:
    rule = one.rule
    known = catalog.vendor(one.vendor)
    word = _WORD[one.verdict]
    if word is Standing.BANNED and rule is None:
        word = Standing.DEFAULT_DENIED
    return VendorState(
        vendor=one.vendor,
        title=known.name if known is not None else one.vendor,
        standing=word,
        everywhere=one.everywhere,
        rule=rule.id if rule is not None else "default",
        reason=one.reason,
        authority=rule.authority if rule is not None else None,
        reference=rule.reference if rule is not None else None,
        since=rule.start if rule is not None else None,
        until=rule.end if rule is not None else None,
        source=rule.source if rule is not None else "",
        roles=list(one.roles),
        targets=list(one.targets),
        conditional=list(one.conditional),
        toggled=rule is not None and TOGGLES in rule.source,
        liftable=liftable,
    )


def preview(
    vendor: str,
    roles: Sequence[Role],
    *,
    policies: tuple[Policy, Policy],
    engine: Engine,
    title: str,
    recent: RequestShare,
    requests: Mapping[str, int],
    now: datetime,
) -> Preview:
    """What moves from the first policy to the second. ``requests`` are those of each model since
    ``recent.since``.
    """
    before, after = policies
    denied = [
        target.id
        for target in all_targets(engine)
        if _acted(before, target, now) is not Verdict.DENY
        and _acted(after, target, now) is Verdict.DENY
    ]
    moves = []
    for route in engine.routes.all():
        first = _first(engine.plan(route.name, at=now, policy=before))
        then = _first(engine.plan(route.name, at=now, policy=after))
        moves.append(
            ModelMove(
                model=route.name,
                now=first.id if first is not None else None,
                now_locality=first.locality if first is not None else None,
                then=then.id if then is not None else None,
                then_locality=then.locality if then is not None else None,
                moved=first is not None and (then is None or then.id != first.id),
                requests=requests.get(route.name, 0),
            )
        )
    return Preview(
        vendor=vendor,
        title=title,
        roles=list(roles) or [role for role in Role if role in DEFAULT_ROLES],
        denied=denied,
        models=sorted(moves, key=lambda move: not move.moved),
        stranded=[move.model for move in moves if move.moved and move.then is None],
        recent=recent,
    )


def _acted(policy: Policy, target: Target, now: datetime) -> Verdict:
    return evaluate(policy, target.id, target.identity, NOBODY, now).acted


def _first(plan: Plan) -> Target | None:
    return plan.steps[0].target if plan.steps else None


def designation_states(
    policy: Policy, targets: Sequence[Target], now: datetime
) -> list[DesignationState]:
    """By id."""
    involved = [{party.vendor for party in target.identity.parties} for target in targets]
    return [
        _designation(fact, policy, sum(fact.vendor in vendors for vendors in involved), now)
        for fact in policy.designations
    ]


def _designation(
    fact: Designation, policy: Policy, targets: int, now: datetime
) -> DesignationState:
    return DesignationState(
        id=fact.id,
        vendor=fact.vendor,
        authority=fact.authority,
        scope=sorted(fact.scope),
        status=fact.status_at(now),
        history=[
            StatusChangeState(
                at=change.at,
                status=change.status,
                source_url=change.source_url,
                note=change.note,
            )
            for change in fact.history
        ],
        statute=fact.statute,
        source_url=fact.source_url,
        retrieved=fact.retrieved.isoformat(),
        note=fact.note,
        rules=[
            rule.id
            for rule in policy.rules
            if rule.match.designation is not None and rule.match.designation.fits(fact)
        ],
        targets=targets,
    )
