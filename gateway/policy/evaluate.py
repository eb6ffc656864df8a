"""One target, one request, one instant: the verdict of the worst party, and why.

Source: the specification's section "Verdict". For each party, over all rules that match:
deny > waiver > risky > allow > the default. The target gets the worst verdict of its parties.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from gateway.domain.decision import Decision, Handling, Labels, Mode, Verdict
from gateway.domain.identity import SELF, UNKNOWN, Identity, Party, Role
from gateway.policy.compile import Policy
from gateway.policy.rules import Rule, Waiver

DEFAULT = "default"
_SEVERITY = {Verdict.ALLOW: 0, Verdict.RISKY: 1, Verdict.DENY: 2}


@dataclass(frozen=True, slots=True)
class _Judged:
    """One party's verdict; ``rule`` is ``None`` where the default decided."""

    party: Party
    verdict: Verdict
    rule: Rule | None
    reason: str
    waiver: str | None = None

    @property
    def order(self) -> tuple[int, str]:
        """Worst first, then by the id of the rule."""
        return -_SEVERITY[self.verdict], self.rule.id if self.rule else DEFAULT


def evaluate(
    policy: Policy, target: str, identity: Identity, labels: Labels, now: datetime
) -> Decision:
    """Decide about ``target``, which resolves to ``identity``. ``now`` must have a zone."""
    asked = [
        rule
        for rule in policy.about({party.vendor for party in identity.parties})
        if rule.in_force(now) and rule.when.fits(labels) and rule.match.covers(target, identity)
    ]
    enforced = [rule for rule in asked if rule.mode is Mode.ENFORCE]
    judged = sorted(
        (_judge(policy, enforced, party, labels, now) for party in identity.parties),
        key=lambda one: one.order,
    )
    worst = judged[0]
    rule = worst.rule
    risky = worst.verdict is Verdict.RISKY
    return Decision(
        target=target,
        verdict=worst.verdict,
        rule=rule.id if rule else DEFAULT,
        reason=worst.reason,
        vendor=worst.party.vendor,
        role=worst.party.role,
        revision=policy.revision,
        mode=policy.mode,
        handling=(rule.handling if rule else Handling.AVOID) if risky else None,
        drain=rule.drain if rule and risky else None,
        reference=rule.reference if rule else None,
        waiver=worst.waiver or _waived(judged),
        matched=tuple(_ids(enforced, identity.parties)),
        shadowed=tuple(_ids((r for r in asked if r.mode is Mode.SHADOW), identity.parties)),
    )


def share_sent(decision: Decision, request_id: str, now: datetime) -> bool:
    """Whether a request falls into the share that a drain still sends: 1 at its start, 0 at its
    end, linear between. The same request is always decided the same.
    """
    drain = decision.drain
    if drain is None:
        return False
    share = (drain.end - now) / (drain.end - drain.start)
    digest = hashlib.sha256(request_id.encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64 < share


def _waived(judged: Sequence[_Judged]) -> str | None:
    """The waiver that a target needed, on whichever party: one that is denied got none."""
    if judged[0].verdict is Verdict.DENY:
        return None
    return next((one.waiver for one in judged if one.waiver is not None), None)


def _judge(
    policy: Policy, rules: Iterable[Rule], party: Party, labels: Labels, now: datetime
) -> _Judged:
    fitting = [rule for rule in rules if rule.match.fits(party) and not _spared(rule, party)]
    lifted: list[tuple[Rule, Waiver]] = []
    for verdict in (Verdict.DENY, Verdict.RISKY):
        for rule in (rule for rule in fitting if rule.verdict is verdict):
            waivers = policy.waivers_of(rule.id)
            waiver = next((w for w in waivers if w.lifts(rule, party, labels, now)), None)
            if waiver is None:
                return _Judged(party, verdict, rule, rule.reason)
            lifted.append((rule, waiver))
        if lifted:
            # A waiver is above risky: what it lifts is allowed.
            rule, waiver = lifted[0]
            return _Judged(party, Verdict.ALLOW, rule, f"waiver {waiver.id}", waiver.id)
    for rule in fitting:
        if rule.verdict is Verdict.ALLOW:
            return _Judged(party, Verdict.ALLOW, rule, rule.reason)
    verdict, reason = _default(policy, party)
    return _Judged(party, verdict, None, reason)


def _spared(rule: Rule, party: Party) -> bool:
    """A rule that does not name ``unknown`` never allows what nobody could name."""
    return (
        party.vendor == UNKNOWN
        and rule.verdict is not Verdict.DENY
        and UNKNOWN not in rule.match.vendor
    )


def _default(policy: Policy, party: Party) -> tuple[Verdict, str]:
    if party.vendor == SELF:
        return Verdict.ALLOW, "our own"
    if party.vendor == UNKNOWN:
        return Verdict.DENY, f"the {party.role} is unknown"
    if party.role in (Role.LINEAGE, Role.WEIGHTS):
        return Verdict.ALLOW, f"no rule names {party.vendor} in the role {party.role}"
    return policy.default, f"no rule names {party.vendor}"


def _ids(rules: Iterable[Rule], parties: Iterable[Party]) -> Iterator[str]:
    parties = tuple(parties)
    return (rule.id for rule in rules if any(rule.match.fits(party) for party in parties))
