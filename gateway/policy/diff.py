"""What changes between two policies: for every target, every class of requests, no sample."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from gateway.domain.decision import Decision, Drain
from gateway.domain.target import Target
from gateway.policy.compile import Policy
from gateway.policy.evaluate import evaluate
from gateway.policy.program import Brief
from gateway.policy.request_classes import EVER, Classes, classes_of


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a policy says. ``acted`` is the verdict that is acted on; ``drain`` what a drain still
    sends: ``all``, ``none``, or between which instants it falls.
    """

    verdict: str
    acted: str
    rule: str
    handling: str | None
    waiver: str | None
    drain: str | None

    @classmethod
    def of(cls, decision: Decision, at: datetime) -> Outcome:
        return cls(
            str(decision.verdict),
            str(decision.acted),
            decision.rule,
            str(decision.handling) if decision.handling is not None else None,
            decision.waiver,
            _drained(decision.drain, at) if decision.drain is not None else None,
        )

    def differs_in_verdict(self, other: Outcome) -> bool:
        return (self.verdict, self.acted) != (other.verdict, other.acted)


@dataclass(frozen=True, slots=True)
class Values:
    """Of a label: one of ``any_of``, or anything but ``none_of`` (no label at all, too). Both are
    empty where the label does not matter.
    """

    any_of: tuple[str, ...] = ()
    none_of: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Tags:
    """At least one tag of each set of ``any_of``, and no tag of ``none_of``."""

    any_of: tuple[tuple[str, ...], ...] = ()
    none_of: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests that change in the same way. ``tags`` are alternatives, none where tags do not
    matter; ``spans`` are (from, until): ``None`` is the beginning and the end of time.
    """

    team: Values
    app: Values
    environment: Values
    data_class: Values
    tags: tuple[Tags, ...]
    spans: tuple[tuple[datetime | None, datetime | None], ...]


@dataclass(frozen=True, slots=True)
class Change:
    """``verdict`` says whether the verdict changes, or only rule, handling, waiver or drain."""

    targets: tuple[str, ...]
    old: Outcome
    new: Outcome
    verdict: bool
    requests: Requests


_Found: TypeAlias = tuple[Outcome, Outcome, Requests]
_Box: TypeAlias = tuple[frozenset[int], ...]
"""The cases that are meant, by number: for each label, for the tags and for time."""


def diff(old: Policy, new: Policy, targets: Iterable[Target], start: datetime) -> list[Change]:
    """Every change from ``start`` on (``EVER``: the past as well), those of the verdict first,
    targets that change in the same way together. Raises StartupError where a target has too many
    classes of requests to look at all.
    """
    known: dict[tuple[tuple[Brief, ...], tuple[Brief, ...]], list[_Found]] = {}
    concerned: dict[_Found, list[str]] = {}
    for target in targets:
        key = (
            old.briefs(target.id, target.identity),
            new.briefs(target.id, target.identity),
        )
        # Of two targets of which nothing else can be said, nothing else changes.
        if key not in known:
            known[key] = list(_found(old, new, target, classes_of((*key[0], *key[1]), start)))
        for found in known[key]:
            concerned.setdefault(found, []).append(target.id)
    changes = [
        Change(tuple(ids), before, after, before.differs_in_verdict(after), requests)
        for (before, after, requests), ids in concerned.items()
    ]
    return sorted(changes, key=lambda change: not change.verdict)


def _found(old: Policy, new: Policy, target: Target, classes: Classes) -> Iterator[_Found]:
    boxes: dict[tuple[Outcome, Outcome], list[_Box]] = {}
    for one in classes:
        before, after = (
            Outcome.of(evaluate(policy, target.id, target.identity, one.labels, one.at), one.at)
            for policy in (old, new)
        )
        if before != after:
            box = tuple(frozenset({case}) for case in one.cases)
            boxes.setdefault((before, after), []).append(box)
    for (before, after), alike in boxes.items():
        for box in _merged(alike):
            yield before, after, _requests(box, classes)


def _merged(boxes: list[_Box]) -> list[_Box]:
    """Fewer boxes that hold the same classes. What is joined first decides how many are left, so
    each axis gets to be the first once.
    """
    axes = range(len(boxes[0]))
    tries = [_joined(boxes, (*axes[first:], *axes[:first])) for first in axes]
    return min(tries, key=len)


def _joined(boxes: list[_Box], axes: Sequence[int]) -> list[_Box]:
    """Boxes that differ in one thing become one, thing after thing, until none do."""
    before = len(boxes) + 1
    while len(boxes) < before:
        before = len(boxes)
        for axis in axes:
            joined: dict[_Box, frozenset[int]] = {}
            for box in boxes:
                rest = (*box[:axis], *box[axis + 1 :])
                joined[rest] = joined.get(rest, frozenset()) | box[axis]
            boxes = [(*rest[:axis], cases, *rest[axis:]) for rest, cases in joined.items()]
    return boxes


def _requests(box: _Box, classes: Classes) -> Requests:
    *labels, tags, spans = box
    team, app, environment, data_class = (
        _values(cases, classes.values[number]) for number, cases in enumerate(labels)
    )
    return Requests(
        team,
        app,
        environment,
        data_class,
        tags=tuple(_alternatives(tags, classes)),
        spans=tuple(_together(spans, classes.spans)),
    )


def _values(meant: frozenset[int], cases: Sequence[tuple[str, ...]]) -> Values:
    other = len(cases) - 1
    if other in meant:
        left = (word for n, words in enumerate(cases) if n not in meant for word in words)
        return Values(none_of=tuple(sorted(left)))
    return Values(any_of=tuple(sorted(word for number in meant for word in cases[number])))


def _alternatives(meant: frozenset[int], classes: Classes) -> Iterator[Tags]:
    """Few conditions on tags that hold for the cases that are meant and for no other: each begins
    as all that is known of one case, and drops whatever does not keep another case out.
    """
    if len(meant) == len(classes.tags):
        return
    others = [met for n, (met, _) in enumerate(classes.tags) if n not in meant]
    left = {classes.tags[number][0] for number in meant}
    everything = frozenset(range(len(classes.sets)))
    for number in sorted(meant):
        met = classes.tags[number][0]
        if met not in left:
            continue
        hit, missed = set(met), set(everything - met)
        for literals in (missed, hit):
            for literal in sorted(literals):
                literals.remove(literal)
                if any(_fits(other, hit, missed) for other in others):
                    literals.add(literal)
        left = {case for case in left if not _fits(case, hit, missed)}
        none = frozenset().union(*(classes.sets[n] for n in missed))
        some = sorted(tuple(sorted(classes.sets[n] - none)) for n in hit)
        yield Tags(tuple(some), tuple(sorted(none)))


def _fits(met: frozenset[int], hit: set[int], missed: set[int]) -> bool:
    return hit <= met and missed.isdisjoint(met)


def _together(
    meant: frozenset[int], starts: Sequence[datetime]
) -> Iterator[tuple[datetime | None, datetime | None]]:
    """Spans that follow each other, as one."""
    ends = (*starts[1:], None)
    first: int | None = None
    for number in range(len(starts)):
        if number not in meant:
            continue
        first = number if first is None else first
        if number + 1 not in meant:
            yield None if starts[first] == EVER else starts[first], ends[number]
            first = None


def _drained(drain: Drain, at: datetime) -> str:
    if at < drain.start:
        return "all"
    if at >= drain.end:
        return "none"
    return f"{drain.start.isoformat()}/{drain.end.isoformat()}"
