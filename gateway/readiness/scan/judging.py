"""What a policy says of findings, and what a ban on one vendor would reach.

A vendor that nobody could name is denied by the gateway, because it is asked for one request; a
finding is not a request, so here it is ``undetermined``: told, and never cleared.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from gateway.domain.decision import Verdict
from gateway.domain.identity import SELF, UNKNOWN
from gateway.policy.compile import Policy
from gateway.policy.evaluate import judge_parties
from gateway.policy.program import SEVERITY as VERDICTS
from gateway.policy.standing import NOBODY
from gateway.readiness.scan.finding import Finding, Ruling, Said

BAN = "ban"
"""The rule of a ban that is only asked about."""


def by_policy(findings: Iterable[Finding], policy: Policy, now: datetime) -> list[Finding]:
    """Each finding with what the policy says of it, for a request that nothing is said of."""
    return [
        one if one.ruling else replace(one, ruling=_ruling(one, policy, now)) for one in findings
    ]


def _ruling(finding: Finding, policy: Policy, now: datetime) -> Ruling:
    identity = finding.identity
    target = f"{identity.channel}/{identity.model}"
    judged = judge_parties(policy, target, identity, NOBODY, now)
    # Nobody named is denied by no rule: only a rule that speaks of all targets falls on it.
    told = [one for one in judged if one.party.vendor != UNKNOWN or one.rule is not None]
    worst = min(told, key=lambda one: one.order, default=None)
    if worst is not None and worst.verdict is Verdict.DENY:
        return Ruling(Said.DENY, _id(worst.rule), f"{worst.party.vendor}: {worst.reason}")
    if len(told) < len(judged):
        return Ruling(Said.UNDETERMINED, "", finding.undetermined)
    assert worst is not None  # noqa: S101 - a target has parties
    said = Said.RISKY if VERDICTS[worst.verdict] else Said.ALLOW
    return Ruling(said, _id(worst.rule), worst.reason)


def _id(rule: object) -> str:
    return getattr(rule, "id", "default")


def reached(findings: Iterable[Finding], vendor: str, *, ban: bool) -> list[Finding]:
    """What a ban on a vendor reaches, and what it may reach: a channel behind which it may stand.
    With ``ban`` each has the ruling that such a ban would be.
    """
    found = []
    for one in findings:
        sure = vendor in one.vendors
        if not sure and not _may_be(one, vendor):
            continue
        if ban and one.ruling is None:
            said = Said.DENY if sure else Said.UNDETERMINED
            why = f"{vendor} is banned" if sure else one.undetermined
            one = replace(one, ruling=Ruling(said, BAN if sure else "", why))
        found.append(one)
    return found


def _may_be(finding: Finding, vendor: str) -> bool:
    identity = finding.identity
    if vendor == SELF:
        return False
    return UNKNOWN in (identity.channel, identity.developer)
