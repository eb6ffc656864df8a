"""Recorded decisions under another policy: who would be served by whom, and what lands on local.

Only policy is replaced. A target that had no key, a full queue or an open breaker then has it in
the replay too, and one whose attempt failed fails again.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from gateway.audit.record import JudgedTarget, Record
from gateway.domain.decision import Handling
from gateway.domain.identity import Locality
from gateway.domain.plan import LeftOut
from gateway.domain.target import Target
from gateway.policy.compile import Policy
from gateway.policy.evaluate import evaluate, share_sent
from gateway.readiness.work import Load, Sum
from gateway.routing.health import Health
from gateway.routing.plan import Candidate, make_plan

DENIED = "denied"
UNSERVED = "unserved"
_BY_POLICY = ("", LeftOut.POLICY, LeftOut.RISKY)
_FREE = (*_BY_POLICY, LeftOut.DRILL)
"""A target with one of these was kept by nothing else: in a replay there are no drills."""
_WELL = ("served", "cancelled", "policy_cut")


@dataclass(frozen=True, slots=True)
class Row:
    """Requests of one app for one model that went from one target to another. ``old`` and ``new``
    are target ids, ``denied``, or ``unserved`` where something else than policy was in the way.
    """

    app: str | None
    model: str
    old: str
    new: str


@dataclass(slots=True)
class Simulation:
    """``differing`` are targets of records that were decided under the same revision and come out
    otherwise now, which must not be; ``without_tokens`` records tell no tokens and count as none.
    """

    rows: defaultdict[Row, Sum] = field(default_factory=lambda: defaultdict(Sum))
    total: Sum = field(default_factory=Sum)
    local: defaultdict[str, Load] = field(default_factory=lambda: defaultdict(Load))
    differing: list[str] = field(default_factory=list)
    recomputed: int = 0
    without_tokens: int = 0
    first: datetime | None = None
    last: datetime | None = None

    @property
    def moved(self) -> Sum:
        """All that would be served by another target, or not at all."""
        return _sum(one for row, one in self.rows.items() if row.old != row.new)

    @property
    def denied(self) -> Sum:
        """All that was served and would be denied."""
        return _sum(one for row, one in self.rows.items() if row.new == DENIED != row.old)

    @property
    def apps(self) -> Counter[bool]:
        """How many apps have a request that moves (``True``), and how many have none."""
        moving = {row.app for row in self.rows if row.old != row.new}
        return Counter(app in moving for app in {row.app for row in self.rows})

    @property
    def minutes(self) -> int:
        """How many minutes the log covers, at least one."""
        if self.first is None or self.last is None:
            return 1
        return max(1, math.ceil((self.last - self.first).total_seconds() / 60))


def simulate(
    records: Iterable[Record],
    policy: Policy,
    *,
    last_resort: Callable[[str], bool],
    without_credentials: Collection[str] = (),
    at: datetime | None = None,
) -> Simulation:
    """Replay ``records`` under ``policy``, each at its own instant or all ``at`` one.
    ``last_resort`` says whether a model may be served by a risky target in the end;
    ``without_credentials`` are the channels that have no key now, or that nothing is sent to: of a
    target that policy left out a record does not tell whether anything else was in the way.
    """
    result = Simulation()
    for record in records:
        if not record.targets or record.origin is not None:
            continue
        candidates = _candidates(record, policy, at or record.at, without_credentials)
        new, locality = _server(candidates, last_resort(record.model))
        result.rows[Row(record.labels.app, record.model, _was(record), new)].add(record)
        result.total.add(record)
        result.without_tokens += record.prompt_tokens is None
        if locality is Locality.LOCAL:
            result.local[new].minutes[int(record.at.timestamp() // 60)].add(record)
        result.first = min(result.first or record.at, record.at)
        result.last = max(result.last or record.at, record.at)
        if all(one.revision == record.policy for one in record.attempts):
            _recompute(record, policy, result)
    return result


def _candidates(
    record: Record, policy: Policy, at: datetime, without_credentials: Collection[str]
) -> list[Candidate]:
    """The targets of a record under another policy, with all else as it was."""
    failed = {one.target for one in record.attempts if one.outcome not in _WELL}
    candidates = []
    for judged in record.targets:
        target = _target(judged)
        decision = evaluate(policy, target.id, target.identity, record.labels, at)
        drained = decision.handling is Handling.DRAIN and share_sent(decision, record.id, at)
        fit = judged.left_out in _FREE and target.id not in failed
        if judged.left_out in _BY_POLICY[1:]:
            fit = fit and target.channel not in without_credentials
        candidates.append(Candidate(target, decision, Health(), drained=drained, ready=fit))
    return candidates


def _server(candidates: list[Candidate], last_resort: bool) -> tuple[str, Locality | None]:
    """Who would serve a request, and where."""
    plan = make_plan(candidates, needs=frozenset(), risky_last_resort=last_resort, now=0.0)
    if plan.steps:
        first = plan.steps[0].target
        return first.id, first.locality
    denied = all(one.why in _BY_POLICY for one in plan.omitted)
    return (DENIED if denied else UNSERVED), None


def _target(judged: JudgedTarget) -> Target:
    channel, _, model = judged.target.partition("/")
    return Target(channel, model, judged.identity)


def _was(record: Record) -> str:
    if record.served_by is not None:
        return record.served_by
    by_policy = all(one.left_out in _BY_POLICY[1:] for one in record.targets)
    return DENIED if by_policy else UNSERVED


def _recompute(record: Record, policy: Policy, result: Simulation) -> None:
    """What was decided under this very revision must be decided again."""
    if record.policy != policy.revision:
        return
    result.recomputed += 1
    for judged in record.targets:
        again = evaluate(policy, judged.target, judged.identity, record.labels, record.at)
        if judged.differs(again):
            result.differing.append(f"request {record.id}, {judged.target}")


def _sum(sums: Iterable[Sum]) -> Sum:
    total = Sum()
    for one in sums:
        total.take(one)
    return total
