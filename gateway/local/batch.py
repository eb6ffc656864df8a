"""Continuous batching: many answers at once on one model.

Theory of operation. A request waits until one of the model's slots is free, then holds it until its
answer ends. Each step is one ``decode`` of one batch: one token of every answer that is being
generated, and pieces of the prompts that are not computed yet. While anybody generates, prompts get
only ``PREFILL_SHARE`` tokens of a step between them, equally, so that a long prompt stalls neither
those who generate nor those with a short prompt; and no more than the model computes in ``STEP``
seconds (or so many tokens) where nobody does. Requests join and leave between steps. What of a
prompt a slot still holds is not computed again (``gateway.local.slots``), and where many prompts
with one beginning arrive together, the others wait until the first has computed it. An image in a
prompt is computed as a whole, by itself, one in each step. A request that is ``spare`` has a slot
only while nobody else wants it: it gives way before the next step.

Rounding depends on what else is in a batch, and an answer's words on rounding. So an answer that is
to be repeatable (it has a seed) is computed alone: in a batch of its own, sharing nothing with
others, and its prompt is cut at the same places each time.

The batcher belongs to one thread and does no I/O: what it has to say is handed back by ``step`` and
``submit`` as events. The model is reached by the protocol below, and by nothing else.
"""

from __future__ import annotations

import itertools
import secrets
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gateway.domain.call import Sampling
from gateway.domain.events import Scored
from gateway.local.guide import Guide
from gateway.local.jobs import Admitted, Declined, Ended, Event, Job, Said, overflow
from gateway.local.pace import Pace
from gateway.local.pictures import Picture
from gateway.local.protocol import Reason, RefusalKind, Tokens
from gateway.local.reader import Piece, PieceKind
from gateway.local.slots import Memory, Slots, common
from gateway.local.text import TextStream
from gateway.local.waiting import Waiting

PREFILL_SHARE = 64
"""Tokens of prompts in a step in which others generate."""
STEP = 0.5
"""Seconds that a step of prompts alone is to take: for so long nobody can join, nor be let go. In
smaller pieces they are computed more slowly (in 64 tokens instead of 512, by 6 %).
"""
ALONE = 2
"""Answers that are computed alone at one time: each step of theirs holds up all others."""
ALONE_PIECE = 64
"""Tokens of a prompt in each step of theirs: always the same, or the answers would differ."""
WORTH_WAITING = 64
"""Tokens of a beginning that another is computing, for which a prompt waits."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive tokens of the sequence in ``slot``, the first at position ``start``; ``output``:
    whether the last one's successor is wanted. With ``picture`` the tokens are its marks, and it is
    computed instead; such a chunk is the only one of its batch.
    """

    slot: int
    start: int
    tokens: Sequence[int]
    output: bool
    picture: Picture | None = None


class NoRoom(Exception):
    """The model's memory has no room for the batch; nothing was computed."""


class NotSeen(Exception):
    """The image of a chunk cannot be computed; nothing was."""


class SamplerLike(Protocol):
    """``complete`` says that nothing may come behind the last sample, ``scored`` is its score."""

    complete: bool
    scored: Scored | None

    def sample(self, row: int) -> int: ...
    def close(self) -> None: ...


class ModelLike(Memory, Protocol):
    """What the batcher needs of a model. ``context`` is in tokens for each slot, ``batch`` tokens
    of one decode. Chunks of one decode stand in the order of their slots.
    """

    context: int
    slots: int
    batch: int

    def piece(self, token: int) -> bytes: ...
    def is_end(self, token: int) -> bool: ...
    def sampler(
        self,
        sampling: Sampling,
        seed: int,
        guide: Guide | None,
        likely: int | None,
    ) -> SamplerLike: ...
    def decode(self, chunks: Sequence[Chunk]) -> list[int]: ...


@dataclass(slots=True)
class _Sequence:
    """A request in a slot. ``done`` tokens of its prompt are computed, ``cached`` of them by
    somebody before it.
    """

    job: Job
    slot: int
    sampler: SamplerLike
    text: TextStream
    limit: int
    cached: int
    done: int
    completion: int = 0
    reasoning: int = 0
    next: int | None = None
    scores: list[Scored] = field(default_factory=list)

    @property
    def remaining(self) -> int:
        return len(self.job.prompt) - self.done

    @property
    def looks(self) -> bool:
        """Whether an image is what comes next."""
        return self.next is None and self.job.piece(self.done, 1)[1] is not None

    def chunk(self, most: int) -> Chunk:
        """What is computed next: the token that was said last, or of the prompt an image or
        ``most`` tokens at most.
        """
        if self.next is not None:
            at = len(self.job.prompt) + self.completion - 1
            return Chunk(self.slot, at, (self.next,), True)
        tokens, picture = self.job.piece(self.done, most)
        return Chunk(self.slot, self.done, tokens, len(tokens) == self.remaining, picture)


@dataclass(slots=True)
class _Plan:
    chunks: list[Chunk] = field(default_factory=list)
    who: list[_Sequence] = field(default_factory=list)
    prefilled: int = 0


class Batcher:
    """``queue`` requests may wait beyond those in slots; ``clock`` gives seconds, monotonic."""

    def __init__(self, model: ModelLike, queue: int, clock: Callable[[], float]) -> None:
        self._model = model
        self._queue = queue
        self._clock = clock
        self._pace = Pace()
        self._waiting: Waiting[Job] = Waiting()
        self._active: dict[Hashable, _Sequence] = {}
        self._slots = Slots(model, model.slots)
        self._prompt = self._cached = self._completion = 0

    @property
    def idle(self) -> bool:
        return not self._waiting and not self._active

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def active(self) -> int:
        return len(self._active)

    @property
    def tokens(self) -> Tokens:
        """Of all requests so far."""
        return Tokens(self._prompt, self._cached, self._completion)

    @property
    def tokens_per_second(self) -> float:
        """Of all answers together, smoothed over the last steps; 0 before the first."""
        return self._pace.decode_rate

    def submit(self, job: Job) -> list[Event]:
        """Take a request into the queue, or decline it at once."""
        size = len(job.prompt)
        if size >= self._model.context:
            return [overflow(job.key, str(size), self._model.context)]
        if job.max_tokens == 0:
            said = [Said(job.key, Piece(PieceKind.CONTENT, job.echo))] if job.echo else []
            return [Admitted(job.key, size), *said, Ended(job.key, Reason.LENGTH, size, 0)]
        # Those that give way stand in nobody's way.
        spare = self._spare
        free = self._slots.free + len(spare)
        if job.spare and len(self._waiting) >= self._slots.free:
            message = "the local model has no slot to spare"
            return [Declined(job.key, RefusalKind.BUSY, message, self._wait())]
        taken = len(self._waiting) + len(self._active) - len(spare)
        # A request with more answers than there are places would never have one otherwise.
        if not job.follows and taken >= self._model.slots + self._queue:
            # Places are not a matter of who is here but of the work that stands before a newcomer.
            message = (
                f"the local queue is full: {len(self._active)} answers are being generated, "
                f"{len(self._waiting)} requests wait"
            )
            return [Declined(job.key, RefusalKind.BUSY, message, self._wait())]
        if len(self._waiting) >= free:
            wait = self._wait()
            if self._clock() + wait > job.until:
                message = (
                    f"the local model is busy for about {wait:.0f} s, longer than this request "
                    "may take"
                )
                return [Declined(job.key, RefusalKind.BUSY, message, wait)]
        self._waiting.push(job)
        return []

    def cancel(self, key: Hashable) -> None:
        """Forget a request, wherever it is; its slot is free at once."""
        sequence = self._active.get(key)
        if sequence is not None:
            self._release(sequence)
        else:
            self._waiting.remove(key)

    def step(self) -> list[Event]:
        """``admit`` and ``compute``."""
        return [*self.admit(), *self.compute()]

    def compute(self) -> list[Event]:
        """Compute one batch, and one of each answer and image that is computed alone; say what came
        of it.
        """
        events: list[Event] = []
        started = self._clock()
        self._gather()
        plans = [self._plan(), *self._plan_alone()]
        generated = sum(self._batch(plan, events) for plan in plans if plan.chunks)
        prefilled = sum(plan.prefilled for plan in plans)
        if generated or prefilled:
            self._pace.step(self._clock() - started, prefilled, generated)
        return events

    def _batch(self, plan: _Plan, events: list[Event]) -> int:
        """One batch; how many tokens of answers came of it."""
        try:
            rows = self._model.decode(plan.chunks)
        except NoRoom:
            events.append(self._evict(plan.who))
            return 0
        except NotSeen:
            (sequence,) = plan.who
            self._release(sequence)
            message = "the local model cannot look at an image of this request"
            events.append(Declined(sequence.job.key, RefusalKind.FAULT, message))
            return 0
        generated = 0
        for sequence, chunk, row in zip(plan.who, plan.chunks, rows, strict=True):
            if not sequence.job.repeatable:
                self._slots.extend(chunk.slot, chunk.tokens)
            if sequence.next is None:
                sequence.done += len(chunk.tokens)
            if row >= 0:
                generated += 1
                events.extend(self._advance(sequence, sequence.sampler.sample(row)))
        return generated

    def admit(self) -> list[Event]:
        """Give free slots to those who wait, and say to whom."""
        events: list[Event] = []
        if not self._waiting:
            return events
        events += self._made_room()
        at_work = Counter(sequence.job.app for sequence in self._active.values())
        while job := self._waiting.next(at_work, self._may_begin):
            at_work[job.app] += 1
            size = len(job.prompt)
            room = self._model.context - size
            limit = room if job.max_tokens is None else min(job.max_tokens, room)
            seed = job.sampling.seed
            sampler = self._model.sampler(
                job.sampling,
                secrets.randbits(32) if seed is None else seed,
                job.guide,
                job.likely,
            )
            if job.repeatable:
                slot, cached = self._slots.take_alone(), 0
            else:
                slot, cached = self._slots.take(job.prompt, job.known)
            text = TextStream(job.stop, job.reader)
            self._active[job.key] = _Sequence(
                job, slot, sampler, text, max(limit, 1), cached, done=cached
            )
            self._prompt += size
            self._cached += cached
            events.append(Admitted(job.key, size, cached))
            if job.echo:
                events.append(Said(job.key, Piece(PieceKind.CONTENT, job.echo)))
        return events

    def _made_room(self) -> list[Event]:
        """Those that only have what is to spare give way to those who would wait for a slot, the
        newest first; they do not wait themselves.
        """
        spare = [job for job in self._waiting if job.spare]
        wanted = len(self._waiting) - len(spare)
        gone = spare if wanted >= self._slots.free else []
        for job in gone:
            self._waiting.remove(job.key)
        for sequence in self._spare[::-1][: max(wanted - self._slots.free, 0)]:
            self._release(sequence)
            gone.append(sequence.job)
        message = "the local model has no slot to spare any more"
        return [Declined(job.key, RefusalKind.BUSY, message, self._wait()) for job in gone]

    @property
    def _spare(self) -> list[_Sequence]:
        """Those at work that give way, in the order in which they began."""
        return [sequence for sequence in self._active.values() if sequence.job.spare]

    def _may_begin(self, job: Job) -> bool:
        """Not without a place, nor while another computes a long beginning of the same prompt."""
        if not self._slots.free or (job.suspect and self._tries_suspect()):
            return False
        if job.repeatable:
            return sum(s.job.repeatable for s in self._active.values()) < ALONE
        return not any(
            sequence.done < (shared := common(sequence.job.prompt, job.prompt))
            and shared - sequence.cached >= WORTH_WAITING
            for sequence in self._active.values()
            if sequence.next is None and not (sequence.job.repeatable or sequence.job.spare)
        )

    def _tries_suspect(self) -> bool:
        """Whether one is at work of which it is not known yet that it ends no worker."""
        return any(s.job.suspect and s.next is None for s in self._active.values())

    def _gather(self) -> None:
        """Those that are computed together are to be neighbours."""
        moved = self._slots.gather()
        for sequence in self._active.values():
            if moved is not None and sequence.slot == moved[0]:
                sequence.slot = moved[1]

    def _plan(self) -> _Plan:
        shared = [s for s in self._active.values() if not s.job.repeatable and not s.looks]
        counts = {s.slot: 1 for s in shared if s.next is not None}
        room = self._model.batch - len(counts)
        budget = min(PREFILL_SHARE if counts else self._bearable(), room)
        # The least that is left comes first, so what it does not use of its share is not lost.
        prompts = sorted((s for s in shared if s.next is None), key=lambda s: s.remaining)
        for index, sequence in enumerate(prompts):
            share = max(budget // (len(prompts) - index), 1)
            tokens, _ = sequence.job.piece(sequence.done, min(share, budget))
            counts[sequence.slot] = len(tokens)
            budget -= len(tokens)
        return _planned((s for s in shared if counts[s.slot]), counts)

    def _bearable(self) -> int:
        """Tokens of prompts that a step may have in which nobody generates."""
        rate = self._pace.prefill_rate
        return max(PREFILL_SHARE, int(rate * STEP)) if rate else self._model.batch

    def _plan_alone(self) -> list[_Plan]:
        """A batch for each: what is in it depends on its own answer and nothing else. And one for
        an image of all others: of who was there first.
        """
        alone = [sequence for sequence in self._active.values() if sequence.job.repeatable]
        looking = (s for s in self._active.values() if s.looks and not s.job.repeatable)
        alone += itertools.islice(looking, 1)
        return [_planned([sequence], {sequence.slot: ALONE_PIECE}) for sequence in alone]

    def _advance(self, sequence: _Sequence, token: int) -> list[Event]:
        """One more token of an answer."""
        if self._model.is_end(token):
            return self._end(sequence, Reason.STOP)
        sequence.completion += 1
        self._completion += 1
        sequence.next = token
        if sequence.sampler.scored is not None:
            sequence.scores.append(sequence.sampler.scored)
        events = _said(sequence, sequence.text.feed(self._model.piece(token)))
        sequence.reasoning += sequence.text.thinks
        if sequence.text.stopped or sequence.sampler.complete:
            return events + self._end(sequence, Reason.STOP)
        if sequence.completion >= sequence.limit:
            return events + self._end(sequence, Reason.LENGTH)
        return events

    def _end(self, sequence: _Sequence, reason: Reason) -> list[Event]:
        key = sequence.job.key
        events = _said(sequence, sequence.text.finish())
        if reason is Reason.STOP and sequence.text.called:
            reason = Reason.TOOL_CALLS
        self._release(sequence)
        self._pace.answered(sequence.completion)
        ended = Ended(
            key=key,
            reason=reason,
            prompt_tokens=len(sequence.job.prompt),
            completion_tokens=sequence.completion,
            cached=sequence.cached,
            stop=sequence.text.stopped,
            reasoning=sequence.reasoning,
        )
        return [*events, ended]

    def _evict(self, who: Sequence[_Sequence]) -> Event:
        """The newest gives way, so that the others can go on; one that gives way anyhow, first."""
        there = [one for one in self._active.values() if one in who]
        sequence = ([one for one in there if one.job.spare] or there)[-1]
        self._release(sequence)
        message = "the local model's memory has no room left"
        return Declined(sequence.job.key, RefusalKind.BUSY, message, self._wait())

    def _release(self, sequence: _Sequence) -> None:
        del self._active[sequence.job.key]
        sequence.sampler.close()
        self._slots.give_back(sequence.slot)

    def _wait(self) -> float:
        """Seconds until all that is here now will have been answered, as far as is known."""
        prompt = sum(s.remaining for s in self._active.values() if s.next is None)
        prompt += sum(len(job.prompt) for job in self._waiting)
        answers = [(s.limit, s.completion) for s in self._active.values()]
        answers += [(job.max_tokens or self._model.context, 0) for job in self._waiting]
        return self._pace.seconds(prompt, answers)


def _planned(sequences: Iterable[_Sequence], counts: Mapping[int, int]) -> _Plan:
    """The next of each: the token that it has said last, or so many of its prompt, or an image."""
    plan = _Plan()
    for sequence in sorted(sequences, key=lambda sequence: sequence.slot):
        chunk = sequence.chunk(counts[sequence.slot])
        if sequence.next is None:
            plan.prefilled += len(chunk.tokens)
        plan.chunks.append(chunk)
        plan.who.append(sequence)
    return plan


def _said(sequence: _Sequence, pieces: Sequence[Piece]) -> list[Event]:
    """The pieces as events; the scores of their tokens go with the first."""
    events: list[Event] = []
    for piece in pieces:
        events.append(Said(sequence.job.key, piece, tuple(sequence.scores)))
        sequence.scores.clear()
    return events
