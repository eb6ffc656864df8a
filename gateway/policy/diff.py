"""What changes between two policies: for every target, every class of requests, no sample."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from gateway.domain.decision import Decision
from gateway.domain.target import Target
from gateway.policy.compile import Policy
from gateway.policy.evaluate import evaluate
from gateway.policy.request_classes import LABELS, Classes, RequestClass, classes_of

OTHER = "any other"
"""Stands for every value of a label that no rule mentions, and for none."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a policy says. ``acted`` is the verdict that is acted on, ``drain`` its span as text."""

    verdict: str
    acted: str
    rule: str
    handling: str | None
    waiver: str | None
    drain: str | None

    @classmethod
    def of(cls, decision: Decision) -> Outcome:
        drain = decision.drain
        return cls(
            str(decision.verdict),
            str(decision.acted),
            decision.rule,
            str(decision.handling) if decision.handling is not None else None,
            decision.waiver,
            f"{drain.start.isoformat()} to {drain.end.isoformat()}" if drain else None,
        )

    def differs_in_verdict(self, other: Outcome) -> bool:
        return (self.verdict, self.acted) != (other.verdict, other.acted)


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests that change in the same way. For each label the values that are meant, ``any other``
    among them; an empty list stands for every value. ``tags`` are the sets that are meant, of the
    tags that are mentioned at all (``mentioned``). ``spans`` are (from, until), the end ``None``
    where there is none.
    """

    team: tuple[str, ...]
    app: tuple[str, ...]
    environment: tuple[str, ...]
    data_class: tuple[str, ...]
    tags: tuple[tuple[str, ...], ...]
    mentioned: tuple[str, ...]
    spans: tuple[tuple[datetime, datetime | None], ...]


@dataclass(frozen=True, slots=True)
class Change:
    """``verdict`` says whether the verdict changes, or only rule, handling, waiver or drain."""

    target: str
    old: Outcome
    new: Outcome
    verdict: bool
    requests: Requests


_Box: TypeAlias = tuple[frozenset[object], ...]
"""For each label, for the tags and for time: the cases that are meant."""


def diff(old: Policy, new: Policy, targets: Iterable[Target], start: datetime) -> Iterator[Change]:
    """Every change from ``start`` on, by target, those of the verdict first. Raises StartupError
    where a target has too many classes of requests to look at all.
    """
    for target in targets:
        briefs = [
            *old.briefs(target.id, target.identity),
            *new.briefs(target.id, target.identity),
        ]
        classes = classes_of(briefs, start)
        found: dict[tuple[Outcome, Outcome], list[_Box]] = {}
        for one in classes:
            before, after = (_outcome(policy, target, one) for policy in (old, new))
            if before != after:
                found.setdefault((before, after), []).append(_box(one))
        changes = [
            Change(
                target.id,
                before,
                after,
                before.differs_in_verdict(after),
                _requests(box, classes),
            )
            for (before, after), boxes in found.items()
            for box in _merged(boxes)
        ]
        yield from sorted(changes, key=lambda change: not change.verdict)


def _outcome(policy: Policy, target: Target, one: RequestClass) -> Outcome:
    return Outcome.of(evaluate(policy, target.id, target.identity, one.labels, one.at))


def _box(one: RequestClass) -> _Box:
    labels = [frozenset({getattr(one.labels, label)}) for label in LABELS]
    return (*labels, frozenset({one.labels.tags}), frozenset({one.span}))


def _merged(boxes: list[_Box]) -> list[_Box]:
    """Fewer boxes that hold the same classes: those that differ in one thing become one, thing
    after thing, until nothing more can be joined.
    """
    before = len(boxes) + 1
    while len(boxes) < before:
        before = len(boxes)
        for axis in range(len(boxes[0])):
            joined: dict[_Box, frozenset[object]] = {}
            for box in boxes:
                rest = (*box[:axis], *box[axis + 1 :])
                joined[rest] = joined.get(rest, frozenset()) | box[axis]
            boxes = [(*rest[:axis], cases, *rest[axis:]) for rest, cases in joined.items()]
    return boxes


def _requests(box: _Box, classes: Classes) -> Requests:
    *labels, tags, spans = box
    team, app, environment, data_class = (
        _words(cases, classes.values[label]) for label, cases in zip(LABELS, labels, strict=True)
    )
    sets = sorted(tuple(sorted(some)) for some in tags if isinstance(some, frozenset))
    every = len(sets) == 2 ** len(classes.tags)
    numbers = sorted(span for span in spans if isinstance(span, int))
    return Requests(
        team,
        app,
        environment,
        data_class,
        tags=() if every else tuple(sets),
        mentioned=classes.tags,
        spans=tuple(_joined(numbers, classes.spans)),
    )


def _words(cases: frozenset[object], values: tuple[str, ...]) -> tuple[str, ...]:
    """Empty for every case."""
    if len(cases) == len(values) + 1:
        return ()
    named = sorted(word for word in cases if isinstance(word, str))
    return (*named, OTHER) if None in cases else tuple(named)


def _joined(
    numbers: list[int], starts: tuple[datetime, ...]
) -> Iterator[tuple[datetime, datetime | None]]:
    """Spans that follow each other, as one."""
    ends = (*starts[1:], None)
    at = 0
    while at < len(numbers):
        last = at
        while last + 1 < len(numbers) and numbers[last + 1] == numbers[last] + 1:
            last += 1
        yield starts[numbers[at]], ends[numbers[last]]
        at = last + 1
