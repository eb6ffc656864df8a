"""One target, one request, one instant: the verdict of the worst party, and why.

Source: the specification's section "Verdict". For each party, over all rules that match:
deny > waiver > risky > allow > the default. The target gets the worst verdict of its parties.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from gateway.domain.decision import Decision, Drain, Handling, Labels, Verdict
from gateway.domain.identity import Identity, Party
from gateway.policy.compile import Policy
from gateway.policy.program import SEVERITY, Brief, Clause
from gateway.policy.rules import Rule, Waiver

DEFAULT = "default"
_HANDLINGS = (Handling.WARN, Handling.DRAIN, Handling.AVOID)
"""Milder ones first."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One party's verdict; ``rule`` is ``None`` where the default decided."""

    party: Party
    verdict: Verdict
    rule: Rule | None
    reason: str
    waiver: str | None = None

    @property
    def order(self) -> tuple[int, str]:
        """Worst first, then by the id of the rule."""
        return -SEVERITY[self.verdict], self.rule.id if self.rule else DEFAULT


def evaluate(
    policy: Policy, target: str, identity: Identity, labels: Labels, now: datetime
) -> Decision:
    """Decide about ``target``, which resolves to ``identity``. ``now`` must have a zone. Of what
    the labels are and what they claim to be, the stricter decision.
    """
    decision = _evaluate(policy, target, identity, labels, now)
    if labels.claimed is None:
        return decision
    claimed = _evaluate(policy, target, identity, labels.claimed, now)
    return max(decision, claimed, key=lambda one: _strictness(one, now))


def _strictness(decision: Decision, now: datetime) -> tuple[int, int, float]:
    handling, drain = decision.handling, decision.drain
    return (
        SEVERITY[decision.verdict],
        0 if handling is None else _HANDLINGS.index(handling),
        0.0 if drain is None else -share_left(drain, now),
    )


def _evaluate(
    policy: Policy, target: str, identity: Identity, labels: Labels, now: datetime
) -> Decision:
    matched: set[str] = set()
    shadowed: set[str] = set()
    judged = []
    for brief in policy.briefs(target, identity):
        holding = brief.holding(labels, now)
        matched.update(clause.rule.id for clause in holding)
        shadowed.update(clause.rule.id for clause in brief.shadowing(labels, now))
        judged.append(_judge(brief, holding, labels, now))
    judged.sort(key=lambda one: one.order)
    worst = judged[0]
    rule = worst.rule
    risky = worst.verdict is Verdict.RISKY
    return Decision(
        target=target,
        verdict=worst.verdict,
        rule=rule.id if rule else DEFAULT,
        reason=worst.reason if rule else _and_also(judged),
        vendor=worst.party.vendor,
        role=worst.party.role,
        revision=policy.revision,
        mode=policy.mode,
        handling=(rule.handling if rule else Handling.AVOID) if risky else None,
        drain=rule.drain if rule and risky else None,
        reference=rule.reference if rule else None,
        waiver=worst.waiver or _waived(judged),
        matched=tuple(sorted(matched)),
        shadowed=tuple(sorted(shadowed)),
    )


def judge_parties(
    policy: Policy, target: str, identity: Identity, labels: Labels, now: datetime
) -> tuple[Judged, ...]:
    """The verdict on each party of a target by itself, in their order; what the labels claim to be
    is not looked at.
    """
    return tuple(
        _judge(brief, brief.holding(labels, now), labels, now)
        for brief in policy.briefs(target, identity)
    )


def share_left(drain: Drain, now: datetime) -> float:
    """What share of requests a drain still sends: 1 until its start, 0 from its end, linear
    between.
    """
    return min(1.0, max(0.0, (drain.end - now) / (drain.end - drain.start)))


def share_sent(decision: Decision, request_id: str, now: datetime) -> bool:
    """Whether a request falls into the share that a drain still sends. The same request is always
    decided the same.
    """
    if decision.drain is None:
        return False
    digest = hashlib.sha256(request_id.encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64 < share_left(decision.drain, now)


def _judge(brief: Brief, holding: Sequence[Clause], labels: Labels, now: datetime) -> Judged:
    """The verdict on one party, over the clauses that hold, worst first."""
    lifted: tuple[Rule, Waiver] | None = None
    worst = Verdict.DENY
    for clause in holding:
        rule = clause.rule
        if lifted is not None and rule.verdict is not worst:
            # A waiver is above whatever is milder than what it lifts.
            break
        if rule.verdict is Verdict.ALLOW:
            return Judged(brief.party, Verdict.ALLOW, rule, rule.reason)
        waiver = clause.lifted_by(labels, now)
        if waiver is None:
            return Judged(brief.party, rule.verdict, rule, rule.reason)
        worst = rule.verdict
        lifted = lifted or (rule, waiver)
    if lifted is not None:
        rule, waiver = lifted
        return Judged(brief.party, Verdict.ALLOW, rule, f"waiver {waiver.id}", waiver.id)
    return Judged(brief.party, brief.default, None, brief.default_reason)


def _and_also(judged: Sequence[Judged]) -> str:
    """The default's reason, with the rules that say the same of other parties: a ban must not be
    hidden behind a channel that nobody allowed.
    """
    worst, *others = judged
    reasons = [worst.reason]
    for other in others:
        if other.verdict is worst.verdict is Verdict.DENY and other.rule is not None:
            also = f"{other.party.vendor} is denied by rule {other.rule.id}"
            reasons.append(f"{also} ({other.rule.reason})" if other.rule.reason else also)
    return "; ".join(reasons)


def _waived(judged: Iterable[Judged]) -> str | None:
    """The waiver that a target needed, on whichever party: one that is denied got none."""
    waivers = []
    for one in judged:
        if one.verdict is Verdict.DENY:
            return None
        if one.waiver is not None:
            waivers.append(one.waiver)
    return waivers[0] if waivers else None
