"""One attempt on one target: its events, let through as soon as they may be, and its end. It reads
nothing itself: whoever reads it hands over what has come.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Protocol, TypeAlias

import msgspec
from msgspec.structs import replace

from gateway.audit.record import AttemptRecord, Record
from gateway.domain.call import Backend, Call
from gateway.domain.decision import Decision, Handling, Labels, Verdict
from gateway.domain.events import (
    Called,
    Continued,
    Delta,
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


_UNTOLD = Started()
_WARN = Handling.WARN
_CONTENT = frozenset({Relayed, Delta, Reasoned, Called})

Told: TypeAlias = Serving | Continued | Event
"""What the engine tells of an answer."""


class Keeper(Protocol):
    """Who has the backends, and remembers how attempts ended."""

    def dispatch(self, target: Target) -> Backend: ...
    def feed_back(self, target: Target, failure: Failed | None, progress: Progress) -> None: ...
    def release(self, target: Target) -> None: ...


class Attempt:
    """One attempt on one target, and what became of it. ``sent`` is what the app has of the answer,
    attempts before this one included; ``why`` says why the first choice does not serve. ``reading``
    is the task that waits for the backend, while it does. ``denied`` is the decision by which
    policy ended it, if it did; one that is ``outdated`` says nothing of its target any more, which
    is another by now.
    """

    __slots__ = (
        *("_began", "_finished", "_first_content_us", "_flaw", "_held", "_keeper", "_passing"),
        *("_record", "_seen", "_sent", "_started", "_step", "_usage", "_why", "call", "denied"),
        *("failure", "outdated", "reading"),
    )

    def __init__(
        self, keeper: Keeper, sent: Sent, step: Step, record: Record, why: str | None
    ) -> None:
        self.call = sent.rest()
        self.reading: asyncio.Task[object] | None = None
        self.outdated = False
        self.denied: Decision | None = None
        self.failure: Failed | None = None
        self._keeper = keeper
        self._sent = sent
        self._step = step
        self._record = record
        self._why = why
        self._began = time.monotonic_ns()
        self._first_content_us: int | None = None
        self._usage: Usage | None = None
        self._seen = 0
        self._started = _UNTOLD
        self._held: list[Event] = []
        self._passing = False
        self._flaw: Failed | None = None
        self._finished = False

    @property
    def target(self) -> Target:
        return self._step.target

    @property
    def labels(self) -> Labels:
        return self.call.labels

    def asked(self) -> Call:
        """The call as its backend gets it: what it has go onward comes by here."""
        call = self.call
        return call if call.onward is None else replace(call, onward=self.onward)

    def cut(self, decision: Decision) -> None:
        """Policy denies the target now: stop reading at once, as if the vendor had failed."""
        self.denied = decision
        if self.reading is not None:
            self.reading.cancel()

    def cancelled_by_policy(self) -> bool:
        """Whether the cancellation of the task that was reading is taken back, being ours alone."""
        if self.denied is None or self.reading is None or self.reading.uncancel() > 0:
            return False
        self.lost()
        return True

    def lost(self) -> bool:
        """Whether it has failed, or policy ends it here: what is complete is not cut any more."""
        if self.denied is not None and not self._finished and self.failure is None:
            self.failure = Failed(FailureKind.POLICY_CUT, "policy has come to deny the target")
        return self.failure is not None

    def take(self, batch: Sequence[Event]) -> Sequence[Told]:
        """What the app is told, now that these events have come: nothing before content may go out,
        then all behind one ``Serving``, or behind ``Continued`` where the app has the beginning
        already. A failure is not told, and stands in ``failure``.
        """
        # Frames are saved here and in ``Sent``: each chunk of each stream goes through them.
        held, passes = self._held, self._passing
        for event in batch:
            kind = type(event)
            if kind in _CONTENT:
                if self._first_content_us is None:
                    self._first_content_us = self._lasted_us()
                self._seen += event.pieces if type(event) is Relayed else 1
                passes = passes or self.call.stream
            elif type(event) is Usage:
                held.append(self._counted(event))
                continue
            elif type(event) is Started:
                self._started = event
            elif type(event) is Finished:
                self._flaw = event.flaw
                self._finished = passes = True
            elif type(event) is Failed:
                self.failure = event
                break
            held.append(event)
        if not passes:
            return []
        self._held = []
        if self._passing:
            self._sent.note(held)
            return held
        self._passing = True
        opening = self._opening()
        self._sent.note(held)
        return [opening, *held]

    def onward(self, event: Relayed) -> bool:
        """More of a stream that flows, on its short way to the app: whether that took it. What is
        not taken is still to be handed over.
        """
        onward = self.call.onward
        if onward is None or not self._passing or not onward(event):
            return False
        self._seen += event.pieces
        self._sent.relayed(event)
        return True

    def ended(self, *, early: bool) -> None:
        """Remember how it went, and write it down. One that ends ``early`` does so because the app
        has gone, or the gateway stops.
        """
        if early:
            outcome = "cancelled"
            self._keeper.release(self._step.target)
        else:
            outcome = self._concluded()
        self._write_down(outcome)

    def _lasted_us(self) -> int:
        return (time.monotonic_ns() - self._began) // 1000

    def _opening(self) -> Serving | Continued:
        target, decision = self._step.target, self._step.decision
        self._record.served_by = target.id
        self._record.locality = target.locality
        self._record.failover = self._why
        if self.call.begun is not None:
            return self._sent.goes_on()
        self._sent.began(self._started)
        warning = None
        if decision.handling is _WARN and decision.acted is Verdict.RISKY:
            warning = f"{decision.vendor} is marked risky by rule {decision.rule}"
        return Serving(target, self._why, decision.revision, warning)

    def _counted(self, told: Usage) -> Usage:
        """Note a usage; what the app is told of it."""
        self._usage = told.bounded()
        usage = whole_usage(self._usage, self.call.begun)
        self._record.prompt_tokens = usage.prompt
        self._record.completion_tokens = usage.completion
        self._record.cached_tokens = usage.cached
        self._record.reasoning_tokens = usage.reasoning
        return usage

    def _concluded(self) -> str:
        if self.failure is None and not self._passing:
            self.failure = Failed(FailureKind.TRUNCATED, "the attempt ended without an answer")
        target, failed = self._step.target, self.failure or self._flaw
        if self.outdated or self.call.spare:
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
                duration_us=self._lasted_us(),
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
