"""The requests that policies can tell apart, for one target: none is left out, none is sampled.

Theory of operation. What a policy can say of a target hangs on labels and the instant, and on these
only as far as the clauses that can touch the target mention them. So every label has as many cases
as values are mentioned, and one more for any other; the tags that are mentioned are each there or
not; and time falls into the spans between the instants at which a clause begins or ends to hold.
All requests of one class are decided alike.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from gateway.domain.decision import Labels
from gateway.errors import StartupError
from gateway.policy.program import Brief, Clause
from gateway.policy.rules import When

LABELS = ("team", "app", "environment", "data_class")
MOST = 200_000
"""Classes of one target at most."""


@dataclass(frozen=True, slots=True)
class RequestClass:
    """``labels`` and ``at`` are those of one request of the class; ``team`` and the like are
    ``None`` for any value that is not mentioned. ``span`` counts the spans of ``Classes.spans``.
    """

    labels: Labels
    span: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Classes:
    """``values`` are the mentioned values of each label, sorted; ``tags`` the mentioned tags;
    ``spans`` the beginnings of the spans of time, ascending: each lasts until the next begins.
    """

    values: dict[str, tuple[str, ...]]
    tags: tuple[str, ...]
    spans: tuple[datetime, ...]

    def __iter__(self) -> Iterator[RequestClass]:
        cases = [(*self.values[label], None) for label in LABELS]
        tags = [
            frozenset(some)
            for size in range(len(self.tags) + 1)
            for some in itertools.combinations(self.tags, size)
        ]
        for team, app, environment, data_class in itertools.product(*cases):
            for some in tags:
                labels = Labels(team, app, environment, data_class, some)
                for span, at in enumerate(self.spans):
                    yield RequestClass(labels, span, at)


def classes_of(briefs: Iterable[Brief], start: datetime) -> Classes:
    """The classes that these briefs (of one target, by all policies that are compared) can tell
    apart from ``start`` on. Raises StartupError where there are more than ``MOST``.
    """
    clauses = [clause for brief in briefs for clause in (*brief.clauses, *brief.shadows)]
    whens = [when for clause in clauses for when in _whens(clause)]
    values = {
        label: tuple(sorted({word for when in whens for word in getattr(when, label)}))
        for label in LABELS
    }
    tags = tuple(sorted({tag for when in whens for tag in when.tags}))
    changes = {at for clause in clauses for at in _instants(clause) if at > start}
    spans = (start, *sorted(changes))
    count = math.prod(len(words) + 1 for words in values.values()) * 2 ** len(tags) * len(spans)
    if count > MOST:
        raise StartupError(
            f"the rules tell {count} classes of requests apart for one target, more than {MOST}: "
            "compare policies with fewer tags or values of labels, or from a later instant",
            code="too_many_classes",
        )
    return Classes(values, tags, spans)


def _whens(clause: Clause) -> Sequence[When]:
    return (clause.rule.when, *(waiver.when for waiver in clause.waivers))


def _instants(clause: Clause) -> Iterator[datetime]:
    rule = clause.rule
    dates = [rule.start, rule.end]
    for waiver in clause.waivers:
        dates += [waiver.granted, waiver.expires]
    for span in clause.spans or ():
        dates += [span.start, span.end]
    return (at for at in dates if at is not None)
