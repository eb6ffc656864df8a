"""What of a policy its own tests reach: a rule that no test reaches can be broken unnoticed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from gateway.policy.compile import Policy
from gateway.policy.embedded_tests import Tested


class Reach(StrEnum):
    """How far tests reach a rule or a waiver."""

    DECIDES = "decides"
    """A test's decision rests on it."""
    MATCHES = "matches"
    """It matches in a test, in shadow too, and something else decides."""
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Covered:
    """A rule or a waiver (``kind``), where it is written, and how far tests reach it."""

    kind: str
    id: str
    source: str
    reach: Reach


def coverage(policy: Policy, tested: Iterable[Tested]) -> tuple[Covered, ...]:
    """Every rule and then every waiver of a policy, each by id, with how far its tests reach it."""
    tested = tuple(tested)
    deciding = {one.decision.rule for one in tested}
    matching = {id for one in tested for id in (*one.decision.matched, *one.decision.shadowed)}
    lifting = {one.decision.waiver for one in tested}
    covering = {id for one in tested for id in _waivers(policy, one)}
    rules = (
        Covered("rule", rule.id, rule.source, _reach(rule.id, deciding, matching))
        for rule in policy.rules
    )
    waivers = (
        Covered("waiver", waiver.id, waiver.source, _reach(waiver.id, lifting, covering))
        for waiver in policy.waivers
    )
    return (*rules, *waivers)


def _reach(id: str, deciding: Iterable[str | None], matching: Iterable[str]) -> Reach:
    if id in deciding:
        return Reach.DECIDES
    return Reach.MATCHES if id in matching else Reach.NONE


def _waivers(policy: Policy, one: Tested) -> Iterator[str]:
    """Those that cover a test's request, whether or not something else denies it."""
    labels, at = one.test.labels, one.at
    for brief in policy.briefs(one.test.model, one.identity):
        for clause in (*brief.clauses, *brief.shadows):
            if clause.holds(labels, at):
                yield from (waiver.id for waiver in clause.waivers if waiver.covers(labels, at))
