"""Documents to one policy: checked as a whole, in one canonical order, with its revision."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar

from gateway.domain.decision import Mode, Verdict
from gateway.domain.identity import Identity
from gateway.policy.periods import Period, Periods
from gateway.policy.program import Brief, Programs, RuleIndex
from gateway.policy.rules import (
    DEFAULT_MAX_WAIVER_DAYS,
    InFlight,
    PolicyDocument,
    PolicyTest,
    Rule,
    Waiver,
)
from gateway.vendors.designations import Designation

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Conflict:
    """Something that no document says alone. ``source`` is where the second of two stands. Of a
    waiver there are its ``id``, the ``key`` that is wrong, and the words that would have been
    ``known``.
    """

    source: str
    message: str
    id: str = ""
    key: str = ""
    known: tuple[str, ...] = ()


class PolicyConflict(ValueError):
    """Documents that contradict each other, with all contradictions."""

    def __init__(self, conflicts: Sequence[Conflict]) -> None:
        super().__init__("; ".join(f"{c.source}: {c.message}" for c in conflicts))
        self.conflicts = tuple(conflicts)


@dataclass(frozen=True, slots=True)
class Policy:
    """All documents taken together, and the facts that they refer to.

    ``canonical`` is everything that decides, as UTF-8 JSON in one order: what is signed, and what
    ``revision`` is the sha256 (hex) of. Rules, waivers and designations are sorted by id.
    """

    canonical: bytes = field(repr=False)
    mode: Mode
    default: Verdict
    rules: tuple[Rule, ...]
    waivers: tuple[Waiver, ...]
    tests: tuple[PolicyTest, ...]
    designations: tuple[Designation, ...] = ()
    in_flight: InFlight = InFlight.FINISH
    revision: str = field(init=False)
    _programs: Programs = field(init=False, repr=False, compare=False)
    _periods: Periods = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "revision", hashlib.sha256(self.canonical).hexdigest())
        index = RuleIndex(self.rules, self.waivers, self.designations)
        object.__setattr__(self, "_programs", Programs(index, self.default))
        object.__setattr__(self, "_periods", Periods(self._moments()))

    def briefs(self, target: str, identity: Identity) -> tuple[Brief, ...]:
        """What can be said of each party of a target, whoever asks and whenever."""
        return self._programs.briefs(target, identity)

    def next_change(self, now: datetime) -> datetime | None:
        """The first instant after ``now`` at which a verdict can change by itself: a rule or a
        waiver begins or ends, or the status of a designation changes.
        """
        return self._periods.next_change(now)

    def period(self, now: datetime) -> Period:
        """The span of time around ``now`` in which no verdict changes by itself."""
        return self._periods.of(now)

    def _moments(self) -> Iterator[datetime]:
        for rule in self.rules:
            yield from (at for at in (rule.start, rule.end) if at is not None)
        for waiver in self.waivers:
            yield from (waiver.granted, waiver.expires)
        for fact in self.designations:
            yield from (change.at for change in fact.history)


def compile_policy(
    documents: Sequence[PolicyDocument], designations: Iterable[Designation] = ()
) -> Policy:
    """Take documents together; their order never matters. Raises ``PolicyConflict``."""
    facts = tuple(sorted(designations, key=lambda fact: fact.id))
    conflicts: list[Conflict] = []
    rules = tuple(sorted((r for d in documents for r in d.rules), key=lambda r: r.id))
    waivers = tuple(sorted((w for d in documents for w in d.waivers), key=lambda w: w.id))
    tests = tuple(sorted((t for d in documents for t in d.tests), key=lambda t: t.name))
    mode = _agreed(documents, "mode", lambda d: d.mode, conflicts) or Mode.ENFORCE
    default = _agreed(documents, "default", lambda d: d.default, conflicts) or Verdict.DENY
    longest = _agreed(documents, "max_waiver_days", lambda d: d.max_waiver_days, conflicts)
    in_flight = _agreed(documents, "in_flight", lambda d: d.in_flight, conflicts) or InFlight.FINISH
    conflicts += _doubles("rule", ((r.id, r.source) for r in rules))
    conflicts += _doubles("waiver", ((w.id, w.source) for w in waivers))
    conflicts += _bad_waivers(waivers, rules, longest or DEFAULT_MAX_WAIVER_DAYS)
    if conflicts:
        raise PolicyConflict(conflicts)
    canonical = {
        "version": 1,
        "mode": mode,
        "default": default,
        "in_flight": in_flight,
        "rules": [_plain(rule) for rule in rules],
        "waivers": [_plain(waiver) for waiver in waivers],
        "designations": [_plain(fact) for fact in facts],
    }
    text = json.dumps(canonical, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return Policy(text.encode(), mode, default, rules, waivers, tests, facts, in_flight)


def _agreed(
    documents: Iterable[PolicyDocument],
    name: str,
    get: Callable[[PolicyDocument], T | None],
    conflicts: list[Conflict],
) -> T | None:
    """What the documents that speak of it agree on."""
    agreed: T | None = None
    for document in sorted(documents, key=lambda d: d.source):
        value = get(document)
        if value is None:
            continue
        if agreed is not None and value != agreed:
            conflicts.append(Conflict(document.source, f"{name} is {agreed} in another file"))
        agreed = agreed if agreed is not None else value
    return agreed


def _doubles(what: str, ids: Iterable[tuple[str, str]]) -> Iterator[Conflict]:
    seen: dict[str, str] = {}
    for id_, source in ids:
        if id_ in seen:
            yield Conflict(source, f"two {what}s have the id {id_!r}, the other is {seen[id_]}")
        seen[id_] = source


def _bad_waivers(
    waivers: Iterable[Waiver], rules: Iterable[Rule], longest: int
) -> Iterator[Conflict]:
    """Waivers that are too long, or of a rule that is not there or may not be waived."""
    by_id = {rule.id: rule for rule in rules}
    for waiver in waivers:
        rule = by_id.get(waiver.rule)
        if rule is None:
            message = f"there is no rule {waiver.rule!r}"
            yield Conflict(waiver.source, message, waiver.id, "rule", tuple(by_id))
        elif not rule.waivable:
            message = f"the rule {waiver.rule!r} does not say waivable: true"
            yield Conflict(waiver.source, message, waiver.id, "rule")
        if waiver.expires - waiver.granted > timedelta(days=longest):
            message = f"a waiver lasts at most {longest} days from 'granted' (max_waiver_days)"
            yield Conflict(waiver.source, message, waiver.id, "expires")


def _plain(value: Any) -> Any:
    """The canonical JSON of whatever decides; ``source`` does not."""
    if is_dataclass(value):
        named = ((f.name, getattr(value, f.name)) for f in fields(value))
        return {name: _plain(inner) for name, inner in named if name != "source"}
    if isinstance(value, frozenset):
        return sorted(str(inner) for inner in value)
    if isinstance(value, tuple):
        plain = [_plain(inner) for inner in value]
        # Patterns are a set in all but type; the steps of a history stand in order already.
        return sorted(plain) if all(isinstance(inner, str) for inner in plain) else plain
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return value.isoformat() if isinstance(value, date) else value
