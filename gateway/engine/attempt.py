"""One attempt on one target: its events, let through as soon as they may be, and its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Protocol, TypeAlias

import msgspec

from gateway.audit.journal import microseconds
from gateway.audit.record import AttemptRecord, Record
from gateway.domain.call import Backend
from gateway.domain.decision import Decision, Handling, Labels, Verdict
from gateway.domain.events import (
    Called,
    Continued,
    Delta,
    Embedded,
    Event,
    Failed,
    FailureKind,
    Finished,
    Reasoned,
    Relayed,
    Started,
    Usage,
)
from gateway.domain.plan import Step
from gateway.domain.target import Target
from gateway.engine.sent import Sent, whole_usage
from gateway.routing.failover import Progress


class Serving(msgspec.Struct, frozen=True):
    """Which target answers, and why not the first: ``failover`` is ``None`` where it does."""

    target: Target
    failover: str | None
    revision: str
    warning: str | None = None


Told: TypeAlias = Serving | Continued | Event
"""What the engine tells of an answer."""


class Keeper(Protocol):
    """Who has the backends, and remembers how attempts ended."""

    def dispatch(self, target: Target) -> Backend: ...
    def feed_back(self, target: Target, failure: Failed | None, progress: Progress) -> None: ...
    def release(self, target: Target) -> None: ...


class Attempt:
    """One attempt on one target, and what became of it. ``sent`` is what the app has of the answer,
    attempts before this one included. ``denied`` is the decision by which policy ended it, if it
    did; one that is ``outdated`` says nothing of its target any more, which is another by now.
    """

    def __init__(self, keeper: Keeper, sent: Sent, step: Step, record: Record) -> None:
        self._keeper = keeper
        self._call = sent.rest()
        self._sent = sent
        self._step = step
        self._record = record
        self._began = time.monotonic()
        self._first_content_us: int | None = None
        self._usage: Usage | None = None
        self._seen = 0
        self._started = Started()
        self._waiting: asyncio.Task[object] | None = None
        self._passing = False
        self._flaw: Failed | None = None
        self.outdated = False
        self.denied: Decision | None = None
        self.failure: Failed | None = None

    @property
    def target(self) -> Target:
        return self._step.target

    @property
    def labels(self) -> Labels:
        return self._call.labels

    def cut(self, decision: Decision) -> None:
        """Policy denies the target now: stop reading at once, as if the vendor had failed."""
        self.denied = decision
        if self._waiting is not None:
            self._waiting.cancel()

    async def events(self, why: str | None) -> AsyncGenerator[Told, None]:
        """The answer's events behind one ``Serving``, or behind ``Continued`` where the app has the
        beginning already. A failure ends the iteration silently and stands in ``failure``.
        """
        target = self._step.target
        backend = self._keeper.dispatch(target)
        held: list[Event] = []
        outcome = "cancelled"
        try:
            async with aclosing(backend.attempt(target, self._call)) as events:
                while (event := await self._next(events)) is not None:
                    if isinstance(event, Failed):
                        self.failure = event
                        break
                    event = self._observe(event)
                    held.append(event)
                    if self._may_pass(event):
                        if not self._passing:
                            self._passing = True
                            yield self._opening(why)
                        for passed in held:
                            self._sent.note(passed)
                            yield passed
                        held.clear()
            outcome = self._concluded()
        finally:
            if outcome == "cancelled":
                self._keeper.release(target)
            self._write_down(outcome)

    async def _next(self, events: AsyncGenerator[Event, None]) -> Event | None:
        """The next event, ``None`` at their end."""
        if self.denied is None:
            waiting = self._waiting = asyncio.current_task()
            try:
                return await anext(events, None)
            except asyncio.CancelledError:
                # Ours, or that of an app that went away, or both.
                if self.denied is None or waiting is None or waiting.uncancel() > 0:
                    raise
            finally:
                self._waiting = None
        return Failed(FailureKind.POLICY_CUT, "policy has come to deny the target")

    def _may_pass(self, event: Event) -> bool:
        if self._passing or isinstance(event, Finished):
            return True
        return self._call.stream and isinstance(event, Delta | Reasoned | Called | Relayed)

    def _opening(self, why: str | None) -> Serving | Continued:
        target, decision = self._step.target, self._step.decision
        self._record.served_by = target.id
        self._record.locality = target.locality
        self._record.failover = why
        if self._call.begun is not None:
            return self._sent.goes_on()
        self._sent.began(self._started)
        warning = None
        if decision.acted is Verdict.RISKY and decision.handling is Handling.WARN:
            warning = f"{decision.vendor} is marked risky by rule {decision.rule}"
        return Serving(target, why, decision.revision, warning)

    def _observe(self, event: Event) -> Event:
        """Note what is to be known of an event; the event as the app is told it."""
        match event:
            case Delta() | Reasoned() | Called() | Relayed():
                if self._first_content_us is None:
                    self._first_content_us = microseconds(time.monotonic() - self._began)
                self._seen += event.pieces if isinstance(event, Relayed) else 1
            case Usage():
                self._usage = event.bounded()
                event = whole_usage(self._usage, self._call.begun)
                self._record.prompt_tokens = event.prompt
                self._record.completion_tokens = event.completion
                self._record.cached_tokens = event.cached
                self._record.reasoning_tokens = event.reasoning
            case Started():
                self._started = event
            case Finished(flaw=flaw):
                self._flaw = flaw
            case Embedded() | Failed():
                pass
        return event

    def _concluded(self) -> str:
        if self.failure is None and not self._passing:
            self.failure = Failed(FailureKind.TRUNCATED, "the attempt ended without an answer")
        target, failed = self._step.target, self.failure or self._flaw
        if self.outdated:
            self._keeper.release(target)
        else:
            self._keeper.feed_back(target, failed, self._sent.progress)
        return "served" if self.failure is None else self.failure.kind

    def _write_down(self, outcome: str) -> None:
        broken = self._passing and outcome != "served"
        usage = self._usage
        self._record.attempts.append(
            AttemptRecord(
                target=self._step.target.id,
                outcome=outcome,
                duration_us=microseconds(time.monotonic() - self._began),
                revision=self._step.decision.revision,
                first_content_us=self._first_content_us,
                status=self.failure.status if self.failure else None,
                model=self._started.model,
                provider=self._started.provider,
                seam=self._sent.seam() if broken else None,
                prompt_tokens=None if usage is None else usage.prompt,
                completion_tokens=None if usage is None else usage.completion,
                cached_tokens=None if usage is None else usage.cached,
                stored_tokens=None if usage is None else usage.stored,
                seen_tokens=self._seen if usage is None else 0,
            )
        )
