"""The answers of all targets, counted and compared."""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from gateway.readiness.evaluation.checks import KINDS
from gateway.readiness.evaluation.results import Outcome, Result


class Count(msgspec.Struct, frozen=True):
    """How many of how many passed; ``not_judged`` of the others only wait for a judge."""

    passed: int
    of: int
    not_judged: int = 0


class Times(msgspec.Struct, frozen=True):
    """Seconds."""

    p50: float
    p95: float


class Spread(msgspec.Struct, frozen=True):
    """The least and the most that one repetition came to, and the standard deviation of all."""

    least: float
    most: float
    deviation: float


class Row(msgspec.Struct, frozen=True):
    """One target. ``share`` is of the weights, from 0 to 1; ``missed`` the ids of prompts that it
    did not always pass, with the kinds of check or the error; ``refused`` why it was not asked.
    ``first`` are the times to the first token, ``whole`` to the end. ``cost`` is in millionths of
    the currency, as far as it is known: of ``unpriced`` answers it is not.
    """

    target: str
    answers: int
    passed: int
    share: float
    by_check: dict[str, Count]
    by_tag: dict[str, Count]
    errors: dict[str, int]
    missed: dict[str, tuple[str, ...]]
    prompt_tokens: int
    completion_tokens: int
    cost: int
    unpriced: int
    not_judged: int = 0
    spread: Spread | None = None
    first: Times | None = None
    whole: Times | None = None
    refused: str | None = None


class Comparison(msgspec.Struct, frozen=True):
    """A target beside the baseline, over the prompts that both were asked. ``lost`` are the ids of
    prompts that only the baseline passes, ``gained`` of those that only the target does.
    """

    target: str
    baseline: str
    prompts: int
    both: int
    lost: tuple[str, ...]
    gained: tuple[str, ...]

    @property
    def verdict(self) -> str:
        """In one line."""
        of = self.both + len(self.lost)
        words = f"{self.target} passes {self.both} of {of} that {self.baseline} passes"
        if self.gained:
            words += f", and {len(self.gained)} that it does not"
        return words


class Table(msgspec.Struct, frozen=True):
    """``prompts`` are those of the file, ``repeat`` how often each was to be asked."""

    prompts: int
    repeat: int
    currency: str
    rows: tuple[Row, ...]
    comparisons: tuple[Comparison, ...] = ()
    judge: str | None = None
    judge_failed: str | None = None
    interrupted: bool = False


def row(target: str, results: Sequence[Result], refused: str | None = None) -> Row:
    """Of the results of one target."""
    heard = [result.asked.heard for result in results if result.asked.error is None]
    usages = [result.asked.heard.usage for result in results]
    passed = [result for result in results if result.outcome is Outcome.PASSED]
    costs = [result.asked.cost for result in results]
    return Row(
        target=target,
        answers=len(results),
        passed=len(passed),
        share=_share(results),
        by_check=_by_check(results),
        by_tag=_by_tag(results),
        errors=dict(sorted(Counter(r.asked.error for r in results if r.asked.error).items())),
        missed=_missed(results),
        prompt_tokens=sum(usage.prompt for usage in usages if usage is not None),
        completion_tokens=sum(usage.completion for usage in usages if usage is not None),
        cost=sum(cost for cost in costs if cost is not None),
        unpriced=sum(cost is None for cost in costs),
        not_judged=sum(result.outcome is Outcome.NOT_JUDGED for result in results),
        spread=_spread(results),
        first=_times(one.first for one in heard if one.first is not None),
        whole=_times(one.seconds for one in heard),
        refused=refused,
    )


def compare(target: str, baseline: str, results: Iterable[Result]) -> Comparison:
    """Both by the prompts that each of them passes more often than not."""
    asked: defaultdict[str, dict[str, list[bool]]] = defaultdict(dict)
    for result in results:
        of = asked[result.case.id].setdefault(result.target, [])
        of.append(result.outcome is Outcome.PASSED)
    both = {id: of for id, of in asked.items() if target in of and baseline in of}
    passes, passed = (
        {id for id, of in both.items() if 2 * sum(of[who]) > len(of[who])}
        for who in (target, baseline)
    )
    return Comparison(
        target=target,
        baseline=baseline,
        prompts=len(both),
        both=len(passes & passed),
        lost=tuple(sorted(passed - passes)),
        gained=tuple(sorted(passes - passed)),
    )


def _share(results: Iterable[Result]) -> float:
    whole = passed = 0.0
    for result in results:
        whole += result.case.weight
        passed += result.case.weight * (result.outcome is Outcome.PASSED)
    return passed / whole if whole else 0.0


def _spread(results: Sequence[Result]) -> Spread | None:
    rounds: defaultdict[int, list[Result]] = defaultdict(list)
    for result in results:
        rounds[result.repetition].append(result)
    if len(rounds) < 2:
        return None
    shares = [_share(each) for each in rounds.values()]
    return Spread(min(shares), max(shares), statistics.pstdev(shares))


def _by_check(results: Iterable[Result]) -> dict[str, Count]:
    found: defaultdict[str, Counter[Outcome]] = defaultdict(Counter)
    for result in results:
        for one in result.checks:
            found[one.kind][one.outcome] += 1
    return {kind: _count(found[kind]) for kind in KINDS if kind in found}


def _by_tag(results: Iterable[Result]) -> dict[str, Count]:
    found: defaultdict[str, Counter[Outcome]] = defaultdict(Counter)
    for result in results:
        for tag in result.case.tags:
            found[tag][result.outcome] += 1
    return {tag: _count(found[tag]) for tag in sorted(found)}


def _missed(results: Iterable[Result]) -> dict[str, tuple[str, ...]]:
    found: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for result in sorted(results, key=lambda one: one.case.line):
        if result.outcome is Outcome.ERROR:
            found[result.case.id][result.asked.error or ""] = None
        elif result.outcome is not Outcome.PASSED:
            kinds = (one.kind for one in result.checks if one.outcome is not Outcome.PASSED)
            found[result.case.id] |= dict.fromkeys(kinds)
    return {id: tuple(why) for id, why in found.items()}


def _count(outcomes: Mapping[Outcome, int]) -> Count:
    of = sum(outcomes.values())
    return Count(outcomes.get(Outcome.PASSED, 0), of, outcomes.get(Outcome.NOT_JUDGED, 0))


def _times(seconds: Iterable[float]) -> Times | None:
    ordered = sorted(seconds)
    if not ordered:
        return None

    def rank(share: float) -> float:
        return round(ordered[max(0, math.ceil(share * len(ordered)) - 1)], 4)

    return Times(rank(0.5), rank(0.95))
