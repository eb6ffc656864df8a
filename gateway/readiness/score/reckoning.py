"""The score: of a day's requests that hung on a vendor, those that local could take and would have
had the time for. Pure.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from gateway.domain.decision import Verdict
from gateway.domain.identity import SELF, Locality
from gateway.domain.target import Target
from gateway.engine.routes import Routes
from gateway.policy.compile import Policy
from gateway.policy.decided import decide
from gateway.policy.rules import DEFAULT_ROLES
from gateway.policy.standing import NOBODY
from gateway.readiness.capacity import Capacity
from gateway.readiness.score.agreement import Pair
from gateway.readiness.score.day import Day, Kind, anybody
from gateway.readiness.score.landing import Ground, Landing, Why
from gateway.readiness.score.report import ALL, Minute, Missing, Readiness, Report, Shares
from gateway.readiness.work import Sum

MOST_MISSING = 50
"""Rows of what is missing that are told of a vendor."""
_SECONDS = 60.0


@dataclass(slots=True)
class _Found:
    """What is found of one vendor. Of the requests that local is ``able`` to take there was time
    for those that it ``did`` and for ``parts`` of the others; ``split`` tells of these how many of
    each kind, whoever asked, land on which local target.
    """

    gone: Callable[[Target], bool]
    landings: dict[Kind, tuple[Landing, Kind]] = field(default_factory=dict)
    total: Sum = field(default_factory=Sum)
    able: Counter[str] = field(default_factory=Counter)
    split: defaultdict[Kind, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    asked: Counter[Kind] = field(default_factory=Counter)
    did: int = 0
    parts: list[float] = field(default_factory=list)
    crowded: int = 0
    worst: Minute | None = None
    unmeasured: set[str] = field(default_factory=set)
    missing: defaultdict[tuple[str | None, str, Why, str], Sum] = field(
        default_factory=lambda: defaultdict(Sum)
    )

    @property
    def held(self) -> float:
        """Summed up so that it is the same in whatever order the parts were found."""
        able = self.able[Locality.LOCAL]
        return min(able, self.did + math.fsum(self.parts)) if self.crowded else able

    def take(self, kind: Kind, work: Sum, ground: Ground) -> None:
        """Requests that hung on this vendor."""
        known = self.landings.get(kind)
        if known is None:
            known = self.landings[kind] = ground.land(kind, self.gone), anybody(kind)
        landing, whoever = known
        self.total.take(work)
        for place in landing.places:
            self.able[place] += work.requests
        if landing.places:
            self.able["any"] += work.requests
        if landing.why is not None:
            key = (kind.labels.app, kind.model, landing.why, landing.detail)
            self.missing[key].take(work)
        if kind.local is None:
            self.asked[whoever] += work.requests
            if landing.local is not None:
                self.split[whoever][landing.local] += work.requests
        elif landing.local is not None:
            # Local did it at the time, and that is counted as done.
            self.did += work.requests


def reckon(
    day: Day,
    routes: Routes,
    policy: Policy,
    capacity: Mapping[str, Capacity],
    *,
    now: datetime,
    since: datetime,
    breathe: Callable[[], None] = lambda: None,
) -> Report:
    """The score of each vendor that stands behind a configured target. ``capacity`` is what was
    measured of local models, by their names; ``breathe`` is called now and then.
    """
    targets = {target.id: target for route in routes.all() for target in route.targets}
    vendors = _vendors(targets.values())
    ground = Ground(routes, policy, now)
    found = {vendor: _Found(_involves(vendor)) for vendor in sorted(vendors)}
    found[ALL] = _Found(lambda target: target.locality is Locality.CLOUD)
    requests = 0
    for cells in day.hours.values():
        for kind, work in cells.items():
            requests += work.requests
            for one in _hung_on(kind, found):
                one.take(kind, work, ground)
            breathe()
    for minute, cells in sorted(day.minutes.items()):
        _minute(minute, cells, found, capacity)
        breathe()
    told = {
        vendor: _told(vendor, one, vendors.get(vendor, targets.values()), policy, now)
        for vendor, one in found.items()
    }
    everything = told.pop(ALL)
    return Report(
        at=now,
        since=since,
        policy=policy.revision,
        requests=requests,
        detail=day.detail,
        vendors=tuple(sorted(told.values(), key=lambda one: (-one.requests, one.vendor))),
        all=everything,
        canaries=tuple(day.canaries.told(_asked(routes))),
    )


def _asked(routes: Routes) -> set[Pair]:
    """Who may be asked canaries: targets for a model, and each for what is asked of our own."""
    return {
        (name, target.id)
        for route in routes.all()
        for target in route.targets
        for name in (route.name, None)
    }


def _vendors(targets: Iterable[Target]) -> dict[str, list[Target]]:
    """Those whose ban takes targets away, with these."""
    found: dict[str, list[Target]] = {}
    for target in targets:
        for party in target.identity.parties:
            if party.role in DEFAULT_ROLES and party.vendor != SELF:
                theirs = found.setdefault(party.vendor, [])
                if target not in theirs:
                    theirs.append(target)
    return found


def _involves(vendor: str) -> Callable[[Target], bool]:
    return lambda target: any(
        party.vendor == vendor and party.role in DEFAULT_ROLES for party in target.identity.parties
    )


def _hung_on(kind: Kind, found: Mapping[str, _Found]) -> list[_Found]:
    names = (*kind.vendors, ALL) if kind.cloud else kind.vendors
    return [found[name] for name in names if name in found]


@dataclass(slots=True)
class _Extra:
    """What would come to a local target in a minute beside what it did: for how many seconds each
    kind keeps it busy, and how many requests that are.
    """

    seconds: list[float] = field(default_factory=list)
    requests: list[float] = field(default_factory=list)


def _minute(
    minute: int,
    cells: Mapping[Kind, Sum],
    found: Mapping[str, _Found],
    capacity: Mapping[str, Capacity],
) -> None:
    """What the local models had the time for in one minute, of what would have come to them."""
    done: defaultdict[str, Sum] = defaultdict(Sum)
    for kind, work in cells.items():
        if kind.local is not None:
            done[kind.local].take(work)
    for one in found.values():
        extras: defaultdict[str, _Extra] = defaultdict(_Extra)
        for kind, work in cells.items():
            for target, requests in one.split[kind].items() if kind in one.split else ():
                measured = capacity.get(target.partition("/")[2])
                if measured is None:
                    one.unmeasured.add(target)
                    continue
                share = requests / one.asked[kind]
                extras[target].seconds.append(measured.seconds(work) * share)
                extras[target].requests.append(work.requests * share)
        full = False
        for target, extra in sorted(extras.items()):
            before = capacity[target.partition("/")[2]].seconds(done[target])
            added, requests_ = math.fsum(extra.seconds), math.fsum(extra.requests)
            busy = (before + added) / _SECONDS
            if one.worst is None or busy > one.worst.busy:
                one.worst = Minute(datetime.fromtimestamp(minute * 60, UTC), target, busy)
            # What takes no time finds it: requests that were cancelled before they had tokens.
            crowds = busy > 1 and added > 0
            left = max(0.0, (_SECONDS - before) / added) if crowds else 1.0
            one.parts.append(left * requests_)
            full = full or crowds
        one.crowded += full


def _told(
    vendor: str, one: _Found, targets: Iterable[Target], policy: Policy, now: datetime
) -> Readiness:
    total, able = one.total.requests, one.able[Locality.LOCAL]
    known = total > 0 and not one.unmeasured
    rows = sorted(one.missing.items(), key=lambda row: (-row[1].requests, _key(row[0])))
    theirs = [target for target in targets if one.gone(target)]
    return Readiness(
        vendor=vendor,
        denied=bool(theirs) and all(_denied(target, policy, now) for target in theirs),
        targets=tuple(target.id for target in theirs),
        requests=total,
        tokens=one.total.tokens,
        capability=_shares(one.able, total) if total else None,
        capacity=_share(one.held, able) if known and able else None,
        score=_share(one.held, total) if known else None,
        crowded=one.crowded,
        worst=one.worst,
        unmeasured=tuple(sorted(one.unmeasured)),
        missing=tuple(
            Missing(app, model, why, detail, work.requests, work.tokens)
            for (app, model, why, detail), work in rows[:MOST_MISSING]
        ),
        more=max(0, len(rows) - MOST_MISSING),
    )


def _key(row: tuple[str | None, str, Why, str]) -> tuple[str, ...]:
    return row[0] or "", *row[1:]


def _denied(target: Target, policy: Policy, now: datetime) -> bool:
    decision = decide(policy, target.id, target.identity, NOBODY, now)
    return decision.acted is Verdict.DENY


def _shares(able: Counter[str], total: int) -> Shares:
    return Shares(
        local=_share(able[Locality.LOCAL], total),
        sovereign=_share(able[Locality.SOVEREIGN], total),
        cloud=_share(able[Locality.CLOUD], total),
        any=_share(able["any"], total),
    )


def _share(part: float, whole: int) -> float:
    """To four places, and never rounded up: 1 is all."""
    return math.floor(part * 10_000 / whole) / 10_000
