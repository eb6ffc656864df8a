"""What of a policy can touch one target, sorted out once: a decision then looks at nothing else.

Theory of operation. Who is behind a target does not change from request to request; who asks, and
when, does. So all conditions on the target are settled when a policy meets it for the first time:
each of its parties gets the clauses that can fall on it, the worst verdict first, and what remains
of a clause are dates and labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from gateway.domain.decision import Labels, Mode, Verdict
from gateway.domain.identity import SELF, UNKNOWN, Identity, Party, Role
from gateway.policy.rules import Rule, Waiver
from gateway.vendors.designations import Designation, Span

SEVERITY = {Verdict.ALLOW: 0, Verdict.RISKY: 1, Verdict.DENY: 2}


@dataclass(frozen=True, slots=True)
class Clause:
    """A rule, as it falls on one party. ``spans`` is when a designation that the rule asks for is
    so (``None``: it asks for none); ``waivers`` are those for this party's vendor, by id.
    """

    rule: Rule
    spans: tuple[Span, ...] | None
    waivers: tuple[Waiver, ...]

    def holds(self, labels: Labels, now: datetime) -> bool:
        """Whether the rule matches this request at this instant."""
        rule = self.rule
        if not rule.in_force(now) or not rule.when.fits(labels):
            return False
        return self.spans is None or any(span.covers(now) for span in self.spans)

    def lifted_by(self, labels: Labels, now: datetime) -> Waiver | None:
        """The first waiver by id that lifts the rule for this request, if one does."""
        return next((waiver for waiver in self.waivers if waiver.covers(labels, now)), None)


@dataclass(frozen=True, slots=True)
class Brief:
    """All that can be said of one party: ``clauses`` with the worst verdict first, then by id;
    ``shadows`` those that are only counted; the default where no clause holds.
    """

    party: Party
    clauses: tuple[Clause, ...]
    shadows: tuple[Clause, ...]
    default: Verdict
    default_reason: str


class RuleIndex:
    """The rules of a policy by what they ask of a party, and its designations by vendor."""

    def __init__(
        self,
        rules: Iterable[Rule],
        waivers: Iterable[Waiver],
        designations: Iterable[Designation],
    ) -> None:
        self._facts: dict[str, list[Designation]] = {}
        for fact in designations:
            self._facts.setdefault(fact.vendor, []).append(fact)
        self._waivers: dict[tuple[str, str], list[Waiver]] = {}
        for waiver in waivers:
            self._waivers.setdefault((waiver.rule, waiver.vendor), []).append(waiver)
        self._of_vendor: dict[str, list[Rule]] = {}
        self._of_country: dict[str, list[Rule]] = {}
        self._of_any: list[Rule] = []
        for rule in rules:
            for rows in self._rows(rule):
                rows.append(rule)

    def briefs(self, target: str, identity: Identity, default: Verdict) -> tuple[Brief, ...]:
        """One brief for each party of a target."""
        covering: dict[str, bool] = {}

        def covers(rule: Rule) -> bool:
            known = covering.get(rule.id)
            if known is None:
                known = covering[rule.id] = rule.match.covers(target, identity)
            return known

        return tuple(
            self._brief(party, [r for r in self._candidates(party) if covers(r)], default)
            for party in identity.parties
        )

    def _rows(self, rule: Rule) -> Sequence[list[Rule]]:
        """Where a rule is looked for: by the narrowest thing that it asks of a party."""
        match = rule.match
        if match.vendor:
            return [self._of_vendor.setdefault(vendor, []) for vendor in match.vendor]
        if match.designation is not None:
            named = [
                vendor
                for vendor, facts in self._facts.items()
                if any(match.designation.fits(fact) for fact in facts)
            ]
            return [self._of_vendor.setdefault(vendor, []) for vendor in named]
        if match.jurisdiction:
            return [self._of_country.setdefault(code, []) for code in match.jurisdiction]
        return [self._of_any]

    def _candidates(self, party: Party) -> Iterable[Rule]:
        found = {rule.id: rule for rule in self._of_vendor.get(party.vendor, ())}
        for country in party.jurisdictions:
            found |= {rule.id: rule for rule in self._of_country.get(country, ())}
        found |= {rule.id: rule for rule in self._of_any}
        return (rule for rule in found.values() if _falls_on(rule, party))

    def _brief(self, party: Party, rules: Iterable[Rule], default: Verdict) -> Brief:
        clauses = [self._clause(rule, party) for rule in rules]
        clauses.sort(key=lambda clause: (-SEVERITY[clause.rule.verdict], clause.rule.id))
        return Brief(
            party,
            tuple(clause for clause in clauses if clause.rule.mode is Mode.ENFORCE),
            tuple(clause for clause in clauses if clause.rule.mode is Mode.SHADOW),
            *_default(default, party),
        )

    def _clause(self, rule: Rule, party: Party) -> Clause:
        asked = rule.match.designation
        spans = None
        if asked is not None:
            facts = (fact for fact in self._facts.get(party.vendor, ()) if asked.fits(fact))
            spans = tuple(span for fact in facts for span in fact.spans(asked.status))
        waivers = self._waivers.get((rule.id, party.vendor), ()) if rule.waivable else ()
        return Clause(rule, spans, tuple(sorted(waivers, key=lambda waiver: waiver.id)))


class Programs:
    """The briefs of the targets that a policy has met. What a vendor calls its models in its
    answers is met here too, so the memory has a bound.
    """

    MOST = 4096

    def __init__(self, index: RuleIndex, default: Verdict) -> None:
        self._index = index
        self._default = default
        self._met: dict[tuple[str, Identity], tuple[Brief, ...]] = {}

    def briefs(self, target: str, identity: Identity) -> tuple[Brief, ...]:
        key = (target, identity)
        found = self._met.get(key)
        if found is None:
            if len(self._met) >= self.MOST:
                self._met.clear()
            found = self._met[key] = self._index.briefs(target, identity, self._default)
        return found


def _falls_on(rule: Rule, party: Party) -> bool:
    """Whether a rule can fall on a party. One that does not name ``unknown`` never allows what
    nobody could name.
    """
    spared = (
        party.vendor == UNKNOWN
        and rule.verdict is not Verdict.DENY
        and UNKNOWN not in rule.match.vendor
    )
    return not spared and rule.match.fits(party)


def _default(default: Verdict, party: Party) -> tuple[Verdict, str]:
    if party.vendor == SELF:
        return Verdict.ALLOW, "our own"
    if party.vendor == UNKNOWN:
        return Verdict.DENY, f"the {party.role} is unknown"
    if party.role in (Role.LINEAGE, Role.WEIGHTS):
        return Verdict.ALLOW, f"no rule names {party.vendor} in the role {party.role}"
    return default, f"no rule names {party.vendor}"
