"""What became of one prompt at one target."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from gateway.engine.heard import Heard
from gateway.readiness.evaluation.cases import Case
from gateway.readiness.evaluation.checks import Judged


class Outcome(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    NOT_JUDGED = "not judged"
    """Nothing is against it, and a judge has not said that it passes. Counts as not passed."""
    ERROR = "error"
    """There is no answer."""


class Checked(msgspec.Struct, frozen=True):
    """One check of one answer. ``why`` is empty where it passed."""

    kind: str
    outcome: Outcome
    why: str = ""


class Asked(msgspec.Struct, frozen=True):
    """One question and what came of it; ``cost`` is in millionths of the currency, ``None`` where
    that is not known, and ``error`` in a word why there is no answer.
    """

    heard: Heard
    error: str | None = None
    cost: int | None = None


class Result(msgspec.Struct, frozen=True):
    """``repetition`` counts from 1."""

    case: Case
    target: str
    repetition: int
    asked: Asked
    checks: tuple[Checked, ...]

    @property
    def outcome(self) -> Outcome:
        if self.asked.error is not None:
            return Outcome.ERROR
        found = {check.outcome for check in self.checks}
        for outcome in (Outcome.FAILED, Outcome.NOT_JUDGED):
            if outcome in found:
                return outcome
        return Outcome.PASSED


def checked(case: Case, asked: Asked) -> tuple[Checked, ...]:
    """All checks of an answer, in their order; those of a judge are yet to be made."""
    if asked.error is not None:
        return tuple(Checked(check.kind, Outcome.ERROR, asked.error) for check in case.checks)
    found = []
    for check in case.checks:
        if isinstance(check, Judged):
            found.append(Checked(check.kind, Outcome.NOT_JUDGED, "no judge was asked"))
            continue
        why = check.fails(asked.heard)
        outcome = Outcome.PASSED if why is None else Outcome.FAILED
        found.append(Checked(check.kind, outcome, why or ""))
    return tuple(found)
