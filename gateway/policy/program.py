"""What of a policy can touch one target, sorted out once: a decision then looks at nothing else.

Theory of operation. Who is behind a target does not change from request to request; who asks, and
when, does. So all conditions on the target are settled when a policy meets it for the first time:
each of its parties gets the clauses that can fall on it, the worst verdict first, and what remains
of a clause are dates and labels.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from gateway.domain.decision import Labels, Mode, Verdict
from gateway.domain.identity import SELF, UNKNOWN, Identity, Party, Role
from gateway.policy.rules import Match, Rule, Waiver, When
from gateway.vendors.designations import Designation, Span

_ANY = ("any", "")
_ANYBODY = When()
_LABELS = ("team", "app", "environment", "data_class")
SEVERITY = {Verdict.ALLOW: 0, Verdict.RISKY: 1, Verdict.DENY: 2}


class Clause(msgspec.Struct, frozen=True):
    """A rule, as it falls on one party. ``when`` and ``dated`` are what it leaves open (``None``
    and false: nothing); ``spans`` is when a designation that it asks for is so (``None``: it asks
    for none); ``waivers`` are those for this party's vendor, by id.
    """

    rule: Rule
    when: When | None
    dated: bool
    spans: tuple[Span, ...] | None
    waivers: tuple[Waiver, ...]

    def holds(self, labels: Labels, now: datetime) -> bool:
        """Whether the rule matches this request at this instant."""
        if self.when is not None and not self.when.fits(labels):
            return False
        if self.dated and not self.rule.in_force(now):
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
    _clauses: _ByLabel = field(init=False, repr=False, compare=False)
    _shadows: _ByLabel = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_clauses", _ByLabel(self.clauses))
        object.__setattr__(self, "_shadows", _ByLabel(self.shadows))

    def holding(self, labels: Labels, now: datetime) -> list[Clause]:
        """The clauses that hold for a request at an instant, worst first."""
        return self._clauses.holding(labels, now)

    def shadowing(self, labels: Labels, now: datetime) -> list[Clause]:
        """Those that would hold, and are only counted."""
        return self._shadows.holding(labels, now)


class _ByLabel:
    """Clauses in their order, by one label that each asks for: of thousands of rules for a team
    each, only those of the team that asks are looked at.
    """

    def __init__(self, clauses: tuple[Clause, ...]) -> None:
        self._all = clauses
        self._always: list[int] = []
        self._asking: dict[tuple[str, str], list[int]] = {}
        for number, clause in enumerate(clauses):
            label, values = _asked(clause.when)
            for value in values:
                self._asking.setdefault((label, value), []).append(number)
            if not values:
                self._always.append(number)

    def holding(self, labels: Labels, now: datetime) -> list[Clause]:
        """Those that hold for this request at this instant."""
        clauses = self._all
        if self._asking:
            numbers = [*self._always]
            for label in _LABELS:
                numbers += self._asking.get((label, getattr(labels, label)), ())
            clauses = tuple(clauses[number] for number in sorted(numbers))
        return [clause for clause in clauses if clause.holds(labels, now)]


def _asked(when: When | None) -> tuple[str, frozenset[str]]:
    """A label that a condition asks for, with the values that will do; none where it asks only for
    tags, or for nothing.
    """
    for label in _LABELS if when is not None else ():
        values: frozenset[str] = getattr(when, label)
        if values:
            return label, values
    return "", frozenset()


class _Scope:
    """What a rule asks of a target as such, whoever its parties are."""

    def __init__(self, match: Match) -> None:
        self._locality = match.locality
        self._region = frozenset(word.lower() for word in match.region)
        self._channel = match.channel
        patterns = "|".join(fnmatch.translate(pattern.lower()) for pattern in match.model)
        self._model = re.compile(patterns) if patterns else None

    def covers(self, target: str, identity: Identity) -> bool:
        if self._locality and identity.locality not in self._locality:
            return False
        if self._region and (identity.region or "").lower() not in self._region:
            return False
        if self._channel and self._channel.isdisjoint(_channels(target, identity)):
            return False
        if self._model is None:
            return True
        match = self._model.match
        return match(identity.model.lower()) is not None or match(target.lower()) is not None


class RuleIndex:
    """The rules of a policy by what they ask of a target, and its designations by vendor."""

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
        self._scopes: dict[str, _Scope] = {}
        self._rows: dict[tuple[str, str], list[Rule]] = {}
        for rule in rules:
            self._scopes[rule.id] = _Scope(rule.match)
            for key in self._keys(rule.match):
                self._rows.setdefault(key, []).append(rule)

    def briefs(self, target: str, identity: Identity, default: Verdict) -> tuple[Brief, ...]:
        """One brief for each party of a target."""
        of_target = self._found(
            _ANY,
            ("locality", identity.locality),
            *(("channel", word) for word in _channels(target, identity)),
        )
        of_parties = [
            self._found(
                ("vendor", party.vendor),
                *(("country", country) for country in party.jurisdictions),
            )
            for party in identity.parties
        ]
        covering = {
            rule.id
            for rules in (of_target, *of_parties)
            for rule in rules
            if self._scopes[rule.id].covers(target, identity)
        }
        return tuple(
            self._brief(party, [r for r in (*of_target, *own) if r.id in covering], default)
            for party, own in zip(identity.parties, of_parties, strict=True)
        )

    def _keys(self, match: Match) -> Iterable[tuple[str, str]]:
        """Under what a rule is looked for: the narrowest thing that it asks."""
        if match.vendor:
            return [("vendor", vendor) for vendor in match.vendor]
        asked = match.designation
        if asked is not None:
            return [
                ("vendor", vendor)
                for vendor, facts in self._facts.items()
                if any(asked.fits(fact) for fact in facts)
            ]
        if match.jurisdiction:
            return [("country", code) for code in match.jurisdiction]
        if match.channel:
            return [("channel", word) for word in match.channel]
        if match.locality:
            return [("locality", locality) for locality in match.locality]
        return [_ANY]

    def _found(self, *keys: tuple[str, str]) -> list[Rule]:
        """The rules under these keys, each once."""
        return list({rule.id: rule for key in keys for rule in self._rows.get(key, ())}.values())

    def _brief(self, party: Party, rules: Iterable[Rule], default: Verdict) -> Brief:
        clauses = [self._clause(rule, party) for rule in rules if _falls_on(rule, party)]
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
        return Clause(
            rule,
            when=None if rule.when == _ANYBODY else rule.when,
            dated=rule.start is not None or rule.end is not None,
            spans=spans,
            waivers=tuple(sorted(waivers, key=lambda waiver: waiver.id)),
        )


class Programs:
    """The briefs of the targets that a policy has met. What a vendor calls its models in its
    answers is met here too, so the memory has a bound.
    """

    MOST = 4096

    def __init__(self, index: RuleIndex, default: Verdict) -> None:
        self._index = index
        self._default = default
        self._met: dict[tuple[str, str, str, str], tuple[Identity, tuple[Brief, ...]]] = {}

    def briefs(self, target: str, identity: Identity) -> tuple[Brief, ...]:
        key = (target, identity.developer, identity.model, identity.source)
        known = self._met.get(key)
        # Mostly the very same object: comparing all that is in it costs more than the lookup.
        if known is not None and (known[0] is identity or known[0] == identity):
            return known[1]
        if len(self._met) >= self.MOST:
            self._met.clear()
        found = self._index.briefs(target, identity, self._default)
        self._met[key] = (identity, found)
        return found


def _channels(target: str, identity: Identity) -> tuple[str, str]:
    """What a rule may call a target's channel: the operator's name for it, and its vendor."""
    return target.partition("/")[0], identity.channel


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
