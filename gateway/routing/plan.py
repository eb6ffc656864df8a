"""Decisions to a plan: which targets are tried, in what order, and why the others are not."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import msgspec

from gateway.domain.decision import Decision, Handling, Verdict
from gateway.domain.drill import Drill
from gateway.domain.plan import LeftOut, Omission, Plan, Step
from gateway.domain.target import Capability, Target
from gateway.routing.health import Health


class Candidate(msgspec.Struct, frozen=True):
    """A configured target with all that the plan depends on.

    ``drained`` says that this request falls into the share that a drain still sends there;
    ``drill`` is the one that takes it away, where one does;
    ``offline`` says that it is out of reach because the gateway is offline;
    ``credentials`` that the channel has its key; ``ready`` that the backend can take it; ``listed``
    that its server has the model, as far as it tells; ``told`` is what it says itself that it can
    do, where it says anything; ``one_space`` that its vectors are of the first choice's space, or
    that none are asked for.
    """

    target: Target
    decision: Decision
    health: Health
    drained: bool = False
    offline: bool = False
    credentials: bool = True
    ready: bool = True
    listed: bool = True
    told: Collection[Capability] | None = None
    one_space: bool = True
    drill: Drill | None = None


def make_plan(
    candidates: Iterable[Candidate],
    *,
    needs: frozenset[Capability],
    risky_last_resort: bool,
    now: float,
    chats: bool = False,
) -> Plan:
    """The plan for one request. ``now`` is the monotonic time that ``Health`` is kept in; ``chats``
    says that it is for a chat, as whatever API.
    """
    ordered: list[Step] = []
    last: list[Step] = []
    omitted: list[Omission] = []
    rescue: list[Step] = []
    configured: list[str] = []
    for candidate in candidates:
        configured.append(candidate.target.id)
        step = Step(candidate.target, candidate.decision)
        avoided = _avoided(candidate)
        obstacle = _obstacle(candidate, needs, now, chats=chats)
        if obstacle is None and avoided and not risky_last_resort:
            obstacle = (LeftOut.RISKY, candidate.decision.reason)
        drill = candidate.drill
        if obstacle is None and drill is not None:
            # Last of all: it is left out for a drill only where it would have been asked.
            obstacle = (LeftOut.DRILL, _practised(drill))
            if drill.rescues:
                rescue.append(step)
        if obstacle is not None:
            omitted.append(Omission(candidate.target, candidate.decision, *obstacle))
        elif avoided:
            last.append(step)
        else:
            ordered.append(step)
    if not configured:
        raise ValueError("a plan needs at least one candidate")
    return Plan(tuple(configured), (*ordered, *last), tuple(omitted), tuple(rescue))


def _avoided(candidate: Candidate) -> bool:
    decision = candidate.decision
    if decision.acted is not Verdict.RISKY:
        return False
    if decision.handling is Handling.WARN:
        return False
    return not (decision.handling is Handling.DRAIN and candidate.drained)


def _practised(drill: Drill) -> str:
    return (
        f"drill {drill.id} practises a ban of {drill.vendor} until "
        f"{drill.until.isoformat(timespec='seconds')}; gateway drill stop ends it"
    )


def _obstacle(
    candidate: Candidate, needs: frozenset[Capability], now: float, *, chats: bool
) -> tuple[LeftOut, str] | None:
    if candidate.decision.acted is Verdict.DENY:
        return LeftOut.POLICY, candidate.decision.reason
    if candidate.offline:
        return LeftOut.OFFLINE, "offline: true leaves out what is neither local nor sovereign"
    if not candidate.credentials:
        return LeftOut.NO_CREDENTIALS, f"channel {candidate.target.channel} has no key"
    if not candidate.one_space:
        return LeftOut.OTHER_VECTORS, "its vectors are not declared equivalent to the first one's"
    lacking = candidate.target.lacks(needs)
    if candidate.told is not None:
        wanted = needs | {Capability.CHAT} if chats else needs
        lacking |= wanted.difference(candidate.told)
    if lacking:
        return LeftOut.CAPABILITY, ", ".join(sorted(lacking))
    obstacle = candidate.health.obstacle(now)
    if obstacle is not None:
        return obstacle, ""
    if not candidate.ready:
        return LeftOut.NOT_READY, ""
    if not candidate.listed:
        return LeftOut.NOT_LISTED, f"its server does not list {candidate.target.model}"
    return None
