"""Asks each target each prompt, then the judge; keeps what there is by the time that it ends.

One target after the other: so a local model has its machine to itself, and no more than one has to
be in memory. The judge is asked in the end, for the same reason.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from msgspec.structs import replace

from gateway.domain.target import Target
from gateway.errors import StartupError
from gateway.readiness.evaluation.cases import Case
from gateway.readiness.evaluation.checks import Judged
from gateway.readiness.evaluation.judging import MOST_TOKENS, question, ruling
from gateway.readiness.evaluation.results import Asked, Checked, Outcome, Result, checked


class Asking(Protocol):
    """How targets are asked."""

    def refusal(self, target: Target) -> str | None:
        """Why nothing may be sent to a target, or can be, whatever is asked."""
        ...

    def there(self, target: Target) -> AbstractAsyncContextManager[None]:
        """While a target can be asked. Raises StartupError where it cannot be."""
        ...

    async def ask(self, target: Target, members: dict[str, Any], most: int) -> Asked:
        """One chat, by these members of its body, for an answer of at most ``most`` tokens."""
        ...


@dataclass(slots=True)
class Evaluation:
    """``at_once`` questions are under way at one time; ``most`` tokens has an answer of which the
    file does not say it. ``results`` and ``refused`` (why, by target) fill while it runs.
    """

    cases: Sequence[Case]
    targets: Sequence[Target]
    judge: Target | None
    repeat: int = 1
    at_once: int = 4
    most: int = 1024
    results: list[Result] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    unjudged: str | None = None
    """Why the judge could not be asked at all."""

    @property
    def questions(self) -> int:
        """How many there are, at most, with those to the judge."""
        judged = sum(isinstance(one, Judged) for case in self.cases for one in case.checks)
        each = len(self.cases) + (judged if self.judge is not None else 0)
        return each * self.repeat * len(self.targets)

    async def run(self, asking: Asking, told: Callable[[], object]) -> None:
        """``told`` hears of each question that is done with. Raises GatewayError where none may be
        asked any more.
        """
        if self.judge is not None and any(case.judged for case in self.cases):
            self.unjudged = asking.refusal(self.judge)
            if self.unjudged is not None:
                # Their answers would be paid for, and none of them could pass.
                return
        for target in self.targets:
            why = asking.refusal(target)
            if why is None:
                try:
                    async with asking.there(target):
                        await self._ask(asking, target, told)
                except StartupError as error:
                    why = error.message
            if why is not None:
                self.refused[target.id] = why
        if self.judge is not None:
            await self._judge(asking, self.judge, told)

    async def _ask(self, asking: Asking, target: Target, told: Callable[[], object]) -> None:
        async def one(repetition: int, case: Case) -> None:
            asked = await asking.ask(target, dict(case.asked), case.most or self.most)
            result = Result(case, target.id, repetition, asked, checked(case, asked))
            self.results.append(result)
            told()

        rounds = ((number, case) for number in range(1, self.repeat + 1) for case in self.cases)
        await _each(self.at_once, rounds, one)

    async def _judge(self, asking: Asking, judge: Target, told: Callable[[], object]) -> None:
        waiting = list(_unjudged(self.results))
        if not waiting:
            return

        async def one(index: int, place: int) -> None:
            made = await _ruled(asking, judge, self.results[index], place)
            # Read again: another of its checks may have been judged meanwhile.
            result = self.results[index]
            checks = (*result.checks[:place], made, *result.checks[place + 1 :])
            self.results[index] = replace(result, checks=checks)
            told()

        try:
            async with asking.there(judge):
                await _each(self.at_once, iter(waiting), one)
        except StartupError as error:
            self.unjudged = error.message


def _unjudged(results: Iterable[Result]) -> Iterator[tuple[int, int]]:
    """Which checks of which results a judge is to be asked about."""
    for index, result in enumerate(results):
        for place, one in enumerate(result.checks):
            if one.outcome is Outcome.NOT_JUDGED:
                yield index, place


async def _ruled(asking: Asking, judge: Target, result: Result, place: int) -> Checked:
    check = result.case.checks[place]
    if not isinstance(check, Judged):
        raise TypeError("only what is to be judged is put to a judge")
    members = question(check.criterion, result.case, result.asked.heard)
    asked = await asking.ask(judge, members, MOST_TOKENS)
    if asked.error is not None:
        return Checked(check.kind, Outcome.NOT_JUDGED, f"the judge did not answer: {asked.error}")
    said = ruling(asked.heard)
    if said is None:
        return Checked(check.kind, Outcome.NOT_JUDGED, "the judge did not answer as it was asked")
    outcome = Outcome.PASSED if said.passed else Outcome.FAILED
    return Checked(check.kind, outcome, "" if said.passed else said.why)


async def _each(
    at_once: int, items: Iterator[tuple[Any, Any]], do: Callable[[Any, Any], Awaitable[None]]
) -> None:
    """Do it with all, so many at one time. The first error ends the others."""

    async def worker() -> None:
        for item in items:
            await do(*item)

    workers = [asyncio.create_task(worker()) for _ in range(at_once)]
    try:
        await asyncio.gather(*workers)
    finally:
        for one in workers:
            one.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
