"""What operators write, typed: rules, waivers, tests and the documents they stand in."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from gateway.domain.decision import Drain, Handling, Labels, Mode, Verdict
from gateway.domain.identity import Locality, Party, Role
from gateway.vendors.designations import Designation, Status

DEFAULT_ROLES = frozenset({Role.CHANNEL, Role.DEVELOPER})
DEFAULT_MAX_WAIVER_DAYS = 180


class InFlight(StrEnum):
    """What becomes of a streaming answer when its target is denied meanwhile."""

    FINISH = "finish"
    CUT = "cut"


@dataclass(frozen=True, slots=True)
class DesignationMatch:
    """Which published facts: any-of within a field, all-of over the fields. An empty ``status``
    stands for ``in_force`` only: what was merely announced or is suspended must be named.
    """

    id: frozenset[str] = frozenset()
    authority: frozenset[str] = frozenset()
    scope: frozenset[str] = frozenset()
    status: frozenset[Status] = frozenset({Status.IN_FORCE})

    def fits(self, fact: Designation) -> bool:
        """Whether a designation is meant, whatever its status is at the moment."""
        return (
            (not self.id or fact.id in self.id)
            and (not self.authority or fact.authority in self.authority)
            and (not self.scope or bool(self.scope & fact.scope))
        )


@dataclass(frozen=True, slots=True)
class Match:
    """Which targets, and which of their parties. Lists are any-of, fields are all-of, an empty
    field stands for everything. ``model`` holds patterns over the canonical name or the full id,
    whatever their case; ``channel`` vendor ids or the operator's names of channels.
    """

    vendor: frozenset[str] = frozenset()
    roles: frozenset[Role] = DEFAULT_ROLES
    jurisdiction: frozenset[str] = frozenset()
    locality: frozenset[Locality] = frozenset()
    region: frozenset[str] = frozenset()
    channel: frozenset[str] = frozenset()
    model: tuple[str, ...] = ()
    designation: DesignationMatch | None = None

    def __post_init__(self) -> None:
        fields = (
            self.vendor,
            self.jurisdiction,
            self.locality,
            self.region,
            self.channel,
            self.model,
        )
        if not any(fields) and self.designation is None:
            raise ValueError("an empty match: name a vendor, jurisdiction, locality or the like")
        if not self.roles:
            raise ValueError("a match needs at least one role")

    @property
    def whole_target(self) -> bool:
        """A match without vendor, jurisdiction and designation judges the target, not one party."""
        return not self.vendor and not self.jurisdiction and self.designation is None

    def fits(self, party: Party) -> bool:
        """Whether one party is meant, as far as it does not hang on a designation."""
        if self.whole_target:
            return True
        if party.role not in self.roles:
            return False
        if self.vendor and party.vendor not in self.vendor:
            return False
        return not self.jurisdiction or bool(self.jurisdiction & party.jurisdictions)


@dataclass(frozen=True, slots=True)
class When:
    """Which requests: any-of within a field, all-of over the fields."""

    team: frozenset[str] = frozenset()
    app: frozenset[str] = frozenset()
    environment: frozenset[str] = frozenset()
    data_class: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()

    def fits(self, labels: Labels) -> bool:
        return (
            (not self.team or labels.team in self.team)
            and (not self.app or labels.app in self.app)
            and (not self.environment or labels.environment in self.environment)
            and (not self.data_class or labels.data_class in self.data_class)
            and (not self.tags or bool(self.tags & labels.tags))
        )


@dataclass(frozen=True, slots=True)
class Rule:
    """One decision of the operator. ``start`` is inclusive, ``end`` exclusive; ``source`` is where
    it is written and decides nothing.
    """

    id: str
    match: Match
    verdict: Verdict
    when: When = When()
    reason: str = ""
    authority: str | None = None
    reference: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    waivable: bool = False
    handling: Handling = Handling.AVOID
    drain: Drain | None = None
    mode: Mode = Mode.ENFORCE
    source: str = ""

    def __post_init__(self) -> None:
        if not self.id:
            raise ValueError("a rule needs an id")
        if (self.handling is Handling.DRAIN) != (self.drain is not None):
            raise ValueError("handling: drain and drain: {from, until} belong together")
        _check_span(self.start, self.end, "'until' must be after 'from'")
        if self.drain is not None:
            _check_span(self.drain.start, self.drain.end, "a drain's 'until' must be after 'from'")

    def in_force(self, now: datetime) -> bool:
        return _within(self.start, self.end, now)


@dataclass(frozen=True, slots=True)
class Waiver:
    """Lifts one rule for one vendor and the requests it names, until it expires."""

    id: str
    rule: str
    vendor: str
    owner: str
    approver: str
    reason: str
    granted: datetime
    expires: datetime
    when: When = When()
    source: str = ""

    def __post_init__(self) -> None:
        if not self.id:
            raise ValueError("a waiver needs an id")
        _check_span(self.granted, self.expires, "'expires' must be after 'granted'")

    def covers(self, labels: Labels, now: datetime) -> bool:
        """Whether it holds for this request at this instant."""
        return _within(self.granted, self.expires, now) and self.when.fits(labels)


@dataclass(frozen=True, slots=True)
class PolicyTest:
    """What a policy says of itself, run at every load; ``at`` of ``None`` is that instant."""

    name: str
    model: str
    verdict: Verdict
    rule: str | None = None
    labels: Labels = field(default_factory=Labels)
    at: datetime | None = None

    def __post_init__(self) -> None:
        if not self.name or not self.model:
            raise ValueError("a test needs a name and a model")
        _check_span(self.at, None, "")


@dataclass(frozen=True, slots=True)
class PolicyDocument:
    """One file of the policy folder."""

    source: str
    rules: tuple[Rule, ...] = ()
    waivers: tuple[Waiver, ...] = ()
    tests: tuple[PolicyTest, ...] = ()
    mode: Mode | None = None
    default: Verdict | None = None
    max_waiver_days: int | None = None
    in_flight: InFlight | None = None

    def __post_init__(self) -> None:
        if self.max_waiver_days is not None and self.max_waiver_days < 1:
            raise ValueError("max_waiver_days must be at least 1")


def vendor_rule(vendor: str, verdict: Verdict, source: str) -> Rule:
    """A line of ``vendors:``, as the rule that it is shorthand for."""
    return Rule(id=vendor, match=Match(vendor=frozenset({vendor})), verdict=verdict, source=source)


def _within(start: datetime | None, end: datetime | None, now: datetime) -> bool:
    return (start is None or start <= now) and (end is None or now < end)


def _check_span(start: datetime | None, end: datetime | None, message: str) -> None:
    if any(at is not None and at.tzinfo is None for at in (start, end)):
        raise ValueError("a date needs a zone")
    if start is not None and end is not None and start >= end:
        raise ValueError(message)
