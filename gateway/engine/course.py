"""One request on its way over the targets of its plan."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from msgspec.structs import replace

from gateway.audit.record import Record
from gateway.domain.call import Call
from gateway.domain.decision import DENY, Decision
from gateway.domain.events import Failed, FailureKind
from gateway.domain.identity import Locality
from gateway.domain.plan import LeftOut, Omission, Plan, Step
from gateway.domain.target import Target
from gateway.engine.attempt import Attempt, Keeper, Told
from gateway.engine.sent import Sent
from gateway.errors import DeadlinePassed
from gateway.policy.compile import Policy
from gateway.policy.decided import decide
from gateway.routing.failover import TABLE, Move, Progress, Reaction
from gateway.routing.health import Health
from gateway.routing.outcome import after_failures, nothing_planned
from gateway.routing.retries import MOST_ATTEMPTS, MOST_ON_ONE, RetryBudget, pause

SLACK = 0.01
"""Seconds before a deadline with which nothing can be begun any more."""


class House(Keeper, Protocol):
    """What a request shares with all others."""

    running: set[Attempt]
    retries: RetryBudget

    @property
    def policy(self) -> Policy: ...
    def health(self, target: str) -> Health: ...
    def shortest_wait(self, plan: Plan) -> float | None: ...


class Course:
    """``sent`` is what the app has of the answer, which the attempts tell; ``reader`` the task that
    reads the events: whichever asks for the first, where it is not given.
    """

    def __init__(
        self,
        house: House,
        call: Call,
        plan: Plan,
        record: Record,
        sent: Sent,
        reader: asyncio.Task[Any] | None,
    ) -> None:
        self._house = house
        self._call = call
        self._plan = plan
        self._record = record
        self._sent = sent
        self._reader = reader
        self._omitted = list(plan.omitted)
        self._failures: list[tuple[Step, Failed]] = []
        self._made = 0
        self._tries: dict[str, int] = {}
        self._broke: Failed | None = None
        self._handed_back = False

    async def events(self) -> AsyncGenerator[Sequence[Told], None]:
        """The answer's events, as they come together. Raises ``GatewayError`` where none has begun;
        one that has, and that nobody goes on with, ends in the failure at which it broke off. They
        are read by one task.
        """
        task = self._reader or asyncio.current_task()
        for step, rest in self._steps():
            if rest:
                await asyncio.sleep(rest)
            attempt = self._begin(step)
            if attempt is None:
                continue
            early = True
            events = self._house.dispatch(step.target).attempt(step.target, attempt.asked())
            try:
                # One loop reads every answer: each layer more would cost as much as all it does.
                attempt.reading = task
                try:
                    async for batch in events:
                        if told := attempt.take(batch):
                            attempt.reading = None
                            yield told
                            attempt.reading = task
                        if attempt.lost():
                            break
                except asyncio.CancelledError:
                    # Policy's, or that of an app that went away, or both.
                    if not attempt.cancelled_by_policy():
                        raise
                finally:
                    attempt.reading = None
                    await events.aclose()
                early = False
            finally:
                self._house.running.discard(attempt)
                attempt.ended(early=early)
                self._record.sent_characters = self._sent.characters
            if attempt.failure is None:
                self._record.outcome = "served"
                return
            if self._ends(self._lost(attempt, attempt.failure, step), step):
                break
        yield (self._given_up(),)

    def _begin(self, step: Step) -> Attempt | None:
        """An attempt on the target of a step, or ``None`` where policy has come to deny it."""
        decision = self._decide(step.target)
        if decision.acted is DENY:
            self._omit(step.target, decision)
            return None
        why = self._why_not_first(step)
        chosen = step if decision is step.decision else Step(step.target, decision)
        attempt = Attempt(self._house, self._sent, chosen, self._record, why)
        self._made += 1
        self._tries[step.target.id] = self._tries.get(step.target.id, 0) + 1
        self._house.running.add(attempt)
        return attempt

    def _decide(self, target: Target) -> Decision:
        """Policy may have changed since the plan was made: it is asked where it counts."""
        decision = decide(
            self._house.policy, target.id, target.identity, self._call.labels, datetime.now(UTC)
        )
        self._record.policy = decision.revision
        return decision

    def _omit(self, target: Target, decision: Decision) -> None:
        self._record.policy = decision.revision
        self._omitted.append(Omission(target, decision, LeftOut.POLICY, decision.reason))

    def _lost(self, attempt: Attempt, failure: Failed, step: Step) -> Reaction:
        """An attempt has failed: what follows."""
        progress = self._sent.progress
        if progress is not Progress.NOTHING_SENT and self._broke is None:
            self._broke = failure
        denied = attempt.denied
        if failure.kind is FailureKind.EGRESS_REFUSED:
            # Where policy has changed between its two questions, that is the reason, as before it.
            now = self._decide(step.target)
            denied = now if now.acted is DENY else None
        if denied is not None:
            self._omit(step.target, denied)
        else:
            self._failures.append((step, failure))
        return TABLE[progress, failure.kind]

    def _ends(self, reaction: Reaction, step: Step) -> bool:
        """Whether that is all. What another target says of the request is not the word of the one
        that a drill took away, and that would have been asked.
        """
        if reaction.move is Move.HAND_BACK and self._plan.rescue and step not in self._plan.rescue:
            self._handed_back = True
            return False
        return reaction.move in (Move.END, Move.HAND_BACK)

    def _given_up(self) -> Failed:
        if self._broke is not None:
            self._record.outcome = "broken"
            return self._broke
        if self._overdue:
            raise DeadlinePassed(round(self._call.deadline - self._call.received, 3))
        wait = self._house.shortest_wait(self._plan)
        if not self._failures:
            left = replace(self._plan, steps=(), omitted=tuple(self._omitted))
            raise nothing_planned(left, wait)
        raise after_failures(self._failures, wait, self._omitted)

    def _steps(self) -> Iterator[tuple[Step, float]]:
        """Each target of the plan in turn; when all have failed, those again that may be, within
        the budget: each after so many seconds. Then those that a drill took away, as if nobody had
        been asked.
        """
        for number, step in enumerate(self._plan.steps):
            if not self._more():
                break
            if not self._kept_for_local(number):
                yield step, 0.0
        yield from self._again()
        for step in self._plan.rescue:
            if self._overdue:
                return
            yield step, 0.0

    def _again(self) -> Iterator[tuple[Step, float]]:
        again = 0
        for step in self._plan.steps:
            if not self._more():
                return
            if not self._once_more(step.target):
                continue
            seconds = pause(again, random.random())  # noqa: S311 - jitter, no secret
            if time.monotonic() + seconds >= self._call.deadline:
                return
            again += 1
            yield step, seconds

    def _more(self) -> bool:
        """Whether there is room for another attempt."""
        return self._made < MOST_ATTEMPTS and not self._overdue and not self._handed_back

    @property
    def _overdue(self) -> bool:
        """Whether the deadline has passed: what an attempt was cut off for as well, by a clock that
        need not agree with this one to the millisecond.
        """
        return time.monotonic() >= self._call.deadline - SLACK

    def _kept_for_local(self, number: int) -> bool:
        """Whether the last attempt is kept for a local target behind this one: however many others
        fail, what makes the chain sovereign is asked.
        """
        if self._made != MOST_ATTEMPTS - 1:
            return False
        here, *behind = self._plan.steps[number:]
        return here.target.locality is not Locality.LOCAL and any(
            step.target.locality is Locality.LOCAL for step in behind
        )

    def _once_more(self, target: Target) -> bool:
        kinds = [failed.kind for step, failed in self._failures if step.target.id == target.id]
        now = time.monotonic()
        return (
            0 < self._tries.get(target.id, 0) < MOST_ON_ONE
            and bool(kinds)
            and TABLE[self._sent.progress, kinds[-1]].again
            and self._house.health(target.id).obstacle(now) is None
            # The budget is for other people's servers: our own may lose many answers at once.
            and (target.locality is Locality.LOCAL or self._house.retries.take(now))
        )

    def _why_not_first(self, step: Step) -> str | None:
        """Why the first configured target does not serve; ``None`` where it does."""
        if step.target.id == self._plan.first:
            return None
        for omission in self._omitted:
            if omission.target.id == self._plan.first:
                return omission.why
        for tried, failed in self._failures:
            if tried.target.id == self._plan.first:
                return failed.kind
        return LeftOut.RISKY
