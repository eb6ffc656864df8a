"""Documents to one policy: checked as a whole, in one canonical order, with its revision."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from gateway.domain.decision import Mode, Verdict
from gateway.policy.rules import (
    DEFAULT_MAX_WAIVER_DAYS,
    InFlight,
    PolicyDocument,
    PolicyTest,
    Rule,
    Waiver,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Conflict:
    """Something that no document says alone. ``source`` is where the second of two stands."""

    source: str
    message: str


class PolicyConflict(ValueError):
    """Documents that contradict each other, with all contradictions."""

    def __init__(self, conflicts: Sequence[Conflict]) -> None:
        super().__init__("; ".join(f"{c.source}: {c.message}" for c in conflicts))
        self.conflicts = tuple(conflicts)


@dataclass(frozen=True, slots=True)
class _Index:
    """Rules by the vendors that they name, waivers by the rule, so that a decision does not look
    at the bans of everybody else.
    """

    unnamed: tuple[Rule, ...]
    by_vendor: Mapping[str, tuple[Rule, ...]]
    by_rule: Mapping[str, tuple[Waiver, ...]]

    @classmethod
    def of(cls, rules: Iterable[Rule], waivers: Iterable[Waiver]) -> _Index:
        by_vendor: dict[str, list[Rule]] = {}
        by_rule: dict[str, list[Waiver]] = {}
        unnamed = []
        for rule in rules:
            if not rule.match.vendor:
                unnamed.append(rule)
            for vendor in rule.match.vendor:
                by_vendor.setdefault(vendor, []).append(rule)
        for waiver in waivers:
            by_rule.setdefault(waiver.rule, []).append(waiver)
        return cls(
            tuple(unnamed),
            {vendor: tuple(found) for vendor, found in by_vendor.items()},
            {rule: tuple(found) for rule, found in by_rule.items()},
        )


@dataclass(frozen=True, slots=True)
class Policy:
    """All documents taken together. ``revision`` is the sha256 (hex) of the canonical form."""

    revision: str
    mode: Mode
    default: Verdict
    rules: tuple[Rule, ...]
    waivers: tuple[Waiver, ...]
    tests: tuple[PolicyTest, ...]
    in_flight: InFlight = InFlight.FINISH
    _index: _Index = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_index", _Index.of(self.rules, self.waivers))

    def about(self, vendors: Collection[str]) -> tuple[Rule, ...]:
        """The rules that can fall on these vendors, by id: those that name one of them, and those
        that name none at all.
        """
        found = list(self._index.unnamed)
        named = {rule.id: rule for v in vendors for rule in self._index.by_vendor.get(v, ())}
        found += named.values()
        return tuple(sorted(found, key=lambda rule: rule.id))

    def waivers_of(self, rule: str) -> tuple[Waiver, ...]:
        """The waivers that name this rule, by id."""
        return self._index.by_rule.get(rule, ())


def compile_policy(documents: Sequence[PolicyDocument]) -> Policy:
    """Take documents together; their order never matters. Raises ``PolicyConflict``."""
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
    }
    text = json.dumps(canonical, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    revision = hashlib.sha256(text.encode()).hexdigest()
    return Policy(revision, mode, default, rules, waivers, tests, in_flight)


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
    by_id = {rule.id: rule for rule in rules}
    for waiver in waivers:
        rule = by_id.get(waiver.rule)
        if rule is None:
            yield Conflict(
                waiver.source, f"waiver {waiver.id!r} names no known rule: {waiver.rule!r}"
            )
        elif not rule.waivable:
            yield Conflict(waiver.source, f"waiver {waiver.id!r}: rule {rule.id!r} is not waivable")
        if waiver.expires - waiver.granted > timedelta(days=longest):
            yield Conflict(waiver.source, f"waiver {waiver.id!r} is longer than {longest} days")


def _plain(value: Any) -> Any:
    """The canonical JSON of whatever decides; ``source`` does not."""
    if is_dataclass(value):
        named = ((f.name, getattr(value, f.name)) for f in fields(value))
        return {name: _plain(inner) for name, inner in named if name != "source"}
    if isinstance(value, frozenset):
        return sorted(str(inner) for inner in value)
    if isinstance(value, tuple):
        return sorted(str(inner) for inner in value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return value
