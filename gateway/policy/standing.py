"""How vendors stand: what a policy says of each, over all targets that involve it, for a request
that nothing is said of.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from gateway.domain.decision import Labels, Mode, Verdict
from gateway.domain.identity import SELF, Identity, Locality, Party, Role
from gateway.domain.target import Target
from gateway.policy.compile import Policy
from gateway.policy.evaluate import Judged, judge_parties
from gateway.policy.program import SEVERITY
from gateway.policy.rules import Rule

NOBODY = Labels()


@dataclass(frozen=True, slots=True)
class Standing:
    """The worst ``verdict`` on one vendor, by ``rule`` (``None``: the default). ``everywhere`` says
    that it is the same on all its ``targets``, in all its ``roles`` there. ``conditional`` are the
    ids of other rules that fall on it, for some requests or some targets.
    """

    vendor: str
    verdict: Verdict
    rule: Rule | None
    reason: str
    everywhere: bool
    roles: tuple[Role, ...]
    targets: tuple[str, ...]
    conditional: tuple[str, ...]


@dataclass(slots=True)
class _Found:
    """What is found of one vendor, target after target."""

    judged: list[Judged] = field(default_factory=list)
    targets: dict[str, None] = field(default_factory=dict)
    roles: set[Role] = field(default_factory=set)
    depending: set[str] = field(default_factory=set)


def standings(
    policy: Policy,
    targets: Iterable[Target],
    jurisdictions: Mapping[str, frozenset[str]],
    now: datetime,
) -> list[Standing]:
    """Of every vendor that a target involves, and of those that a rule denies by name, whose
    ``jurisdictions`` must be told. The operator itself is none. The worst first, then by name.
    """
    found: dict[str, _Found] = {}
    for target in targets:
        _look(policy, target.id, target.identity, found, now, involved=True)
    for vendor in denied_by_name(policy, now):
        if vendor not in found:
            identity = _by_itself(vendor, jurisdictions.get(vendor, frozenset()))
            _look(policy, f"{vendor}/", identity, found, now, involved=False)
    found.pop(SELF, None)
    told = [_standing(vendor, one) for vendor, one in found.items()]
    return sorted(told, key=lambda one: (-SEVERITY[one.verdict], one.rule is None, one.vendor))


def denied_by_name(policy: Policy, now: datetime) -> Iterator[str]:
    """The vendors that a rule in force names to deny."""
    for rule in policy.rules:
        if rule.verdict is Verdict.DENY and rule.mode is Mode.ENFORCE and rule.in_force(now):
            yield from sorted(rule.match.vendor)


def _look(
    policy: Policy,
    target: str,
    identity: Identity,
    found: dict[str, _Found],
    now: datetime,
    *,
    involved: bool,
) -> None:
    judged = judge_parties(policy, target, identity, NOBODY, now)
    for brief, one in zip(policy.briefs(target, identity), judged, strict=True):
        vendor = found.setdefault(one.party.vendor, _Found())
        vendor.judged.append(one)
        vendor.depending |= {c.rule.id for c in brief.clauses if c.when is not None}
        if involved:
            vendor.targets[target] = None
            vendor.roles.add(one.party.role)


def _standing(vendor: str, found: _Found) -> Standing:
    # What a rule says goes before what the default says: it has a reason.
    worst = min(found.judged, key=lambda one: (-SEVERITY[one.verdict], one.rule is None))
    rule = worst.rule
    others = {one.rule.id for one in found.judged if one.rule is not None} | found.depending
    return Standing(
        vendor=vendor,
        verdict=worst.verdict,
        rule=rule,
        reason=worst.reason,
        everywhere=all(one.verdict is worst.verdict for one in found.judged),
        roles=tuple(role for role in Role if role in found.roles),
        targets=tuple(found.targets),
        conditional=tuple(sorted(others - ({rule.id} if rule is not None else set()))),
    )


def _by_itself(vendor: str, jurisdictions: frozenset[str]) -> Identity:
    """A vendor of which no target is configured, in both roles of a cloud target."""
    return Identity(
        channel=vendor,
        developer=vendor,
        model="",
        lineage=(),
        locality=Locality.CLOUD,
        parties=tuple(
            Party(role, vendor, jurisdictions) for role in (Role.CHANNEL, Role.DEVELOPER)
        ),
    )
