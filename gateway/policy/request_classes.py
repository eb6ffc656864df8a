"""The requests that policies can tell apart, for one target: none is left out, none is sampled.

Theory of operation. What a policy can say of a target hangs on labels and the instant, and on these
only as far as the clauses that can touch the target mention them. So the values of a label that
stand in the same conditions are one case, and whatever stands in none is one more; of tags it
matters which of the mentioned sets they meet; and time falls into the spans between the instants at
which something begins or ends to hold. All requests of one class are decided alike.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from gateway.domain.decision import Labels
from gateway.errors import StartupError
from gateway.policy.program import Brief, Clause
from gateway.policy.rules import When

LABELS = ("team", "app", "environment", "data_class")
MOST = 100_000
"""Classes of one target at most."""
EVER = datetime.min.replace(tzinfo=UTC)
"""Before every date that a policy can name."""


@dataclass(frozen=True, slots=True)
class RequestClass:
    """``cases`` numbers its case for each label, for tags and for time, as ``Classes`` has them;
    ``labels`` and ``at`` are those of one request of the class.
    """

    cases: tuple[int, ...]
    labels: Labels
    at: datetime


@dataclass(frozen=True, slots=True)
class Classes:
    """``values`` are the cases of each label of ``LABELS``: values that are never told apart, the
    last case being empty for any other and for none. ``sets`` are the sets of tags that conditions
    name; ``tags`` the cases of tags, each by the numbers of the sets that it meets, with the fewest
    tags that do so. ``spans`` are the beginnings of the spans of time, ascending: each lasts until
    the next begins.
    """

    values: tuple[tuple[tuple[str, ...], ...], ...]
    sets: tuple[frozenset[str], ...]
    tags: tuple[tuple[frozenset[int], frozenset[str]], ...]
    spans: tuple[datetime, ...]

    def __iter__(self) -> Iterator[RequestClass]:
        counts = [len(cases) for cases in (*self.values, self.tags)]
        for who in itertools.product(*(range(count) for count in counts)):
            *numbers, tag = who
            team, app, environment, data_class = (
                next(iter(cases[number]), None)
                for cases, number in zip(self.values, numbers, strict=True)
            )
            labels = Labels(team, app, environment, data_class, self.tags[tag][1])
            for span, at in enumerate(self.spans):
                yield RequestClass((*who, span), labels, at)


def classes_of(briefs: Iterable[Brief], start: datetime) -> Classes:
    """The classes that these briefs (of one target, by all policies that are compared) can tell
    apart from ``start`` on. Raises StartupError where there are more than ``MOST``.
    """
    # What stands in shadow decides nothing.
    clauses = [clause for brief in briefs for clause in brief.clauses]
    changes = {at for clause in clauses for at in _instants(clause) if at > start}
    return _told_apart(clauses, (start, *sorted(changes)))


def classes_at(briefs: Iterable[Brief], now: datetime) -> Classes:
    """The classes of requests that are made at ``now``. Raises as ``classes_of`` does."""
    return _told_apart([clause for brief in briefs for clause in brief.clauses], (now,))


def _told_apart(clauses: Sequence[Clause], spans: tuple[datetime, ...]) -> Classes:
    whens = {when for clause in clauses for when in _whens(clause)}
    values = tuple(_values({getattr(when, label) for when in whens}) for label in LABELS)
    sets = sorted({when.tags for when in whens if when.tags}, key=sorted)
    tags = _tags(sets)
    count = math.prod(len(cases) for cases in values) * len(tags) * len(spans)
    if count > MOST:
        raise StartupError(
            f"the rules tell {count} or more classes of requests apart for one target, and no more "
            f"than {MOST} can be compared: name fewer tags or labels in conditions, or compare "
            "from a later instant",
            code="too_many_classes",
        )
    return Classes(values, tuple(sets), tags, spans)


def _values(named: Iterable[frozenset[str]]) -> tuple[tuple[str, ...], ...]:
    """The cases of a label, by the sets of values that conditions name."""
    found: dict[tuple[bool, ...], list[str]] = {}
    sets = list(named)
    for word in sorted(frozenset().union(*sets)):
        found.setdefault(tuple(word in some for some in sets), []).append(word)
    return (*map(tuple, found.values()), ())


def _tags(sets: Sequence[frozenset[str]]) -> tuple[tuple[frozenset[int], frozenset[str]], ...]:
    """Every choice of sets that tags can meet: no tag meets none, and any two choices together are
    one. Stops beyond ``MOST``.
    """
    found: dict[frozenset[int], frozenset[str]] = {frozenset(): frozenset()}
    for tag in sorted(frozenset().union(*sets)):
        meets = frozenset(number for number, some in enumerate(sets) if tag in some)
        for met, tags in list(found.items()):
            found.setdefault(met | meets, tags | {tag})
        if len(found) > MOST:
            break
    return tuple(found.items())


def _whens(clause: Clause) -> Iterator[When]:
    yield clause.rule.when
    yield from (waiver.when for waiver in clause.waivers)


def _instants(clause: Clause) -> Iterator[datetime]:
    rule = clause.rule
    dates = [rule.start, rule.end]
    if rule.drain is not None:
        dates += [rule.drain.start, rule.drain.end]
    for waiver in clause.waivers:
        dates += [waiver.granted, waiver.expires]
    for span in clause.spans or ():
        dates += [span.start, span.end]
    return (at for at in dates if at is not None)
