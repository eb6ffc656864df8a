"""Embeddings: the queue of texts whose vectors are wanted, and the batches that they make.

Theory of operation. Each step is one batch: as many texts of a request as it takes, in their order,
then those of others; the request of the app that was served longest ago comes first. A model whose
tokens see only what stands before them takes a long text in parts, one such text at a time, and the
parts' vectors are put together here; any other takes it whole. While answers are generated a batch
is no larger than what prompts get of a step then, unless one text alone is.

The embedder belongs to the batcher's thread, and does no I/O either.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gateway.domain.local_model import Pooling
from gateway.errors import ModelFileError
from gateway.local.batch import PREFILL_SHARE, Chunk
from gateway.local.jobs import Admitted, Declined, EmbedJob, Ended, Event, Found
from gateway.local.pace import Pace
from gateway.local.protocol import Reason, RefusalKind, Tokens
from gateway.local.waiting import Waiting


class EncoderLike(Protocol):
    """What the embedder needs of a model. ``batch`` tokens of at most ``sequences`` texts are
    computed at once; with ``whole`` all of a text must be in one batch.
    """

    pooling: Pooling
    whole: bool
    batch: int
    sequences: int

    def vectors(self, chunks: Sequence[Chunk]) -> list[NDArray[np.float32]]: ...
    def drop(self, slot: int) -> None: ...


@dataclass(slots=True)
class _Request:
    """``taken`` of its texts are on their way or done, ``found`` done; ``left`` tokens are still to
    be computed.
    """

    job: EmbedJob
    left: int
    taken: int = 0
    found: int = 0
    accepted: bool = False

    @property
    def key(self) -> Hashable:
        return self.job.key

    @property
    def app(self) -> str:
        return self.job.app

    @property
    def more(self) -> bool:
        return self.taken < len(self.job.inputs)


@dataclass(slots=True)
class _Text:
    """One input on its way. ``vector`` is that of its first ``done`` tokens."""

    request: _Request
    tokens: Sequence[int]
    slot: int = -1
    done: int = 0
    vector: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))

    @property
    def remaining(self) -> int:
        return len(self.tokens) - self.done

    def add(self, vector: NDArray[np.float32], count: int, pooling: Pooling) -> None:
        """The next ``count`` tokens have this vector."""
        if self.done == 0 or pooling is Pooling.LAST:
            self.vector = vector
        elif pooling is Pooling.MEAN:
            together = self.done + count
            self.vector = (self.vector * self.done + vector * count) / np.float32(together)
        self.done += count


class Embedder:
    """``encoder`` makes what computes, or gives it once more; ``queue`` requests may wait;
    ``clock`` gives seconds, monotonic.
    """

    def __init__(
        self, encoder: Callable[[], EncoderLike], queue: int, clock: Callable[[], float]
    ) -> None:
        self._encoder = encoder
        self._queue = queue
        self._clock = clock
        self._pace = Pace()
        self._waiting: Waiting[_Request] = Waiting()
        self._open: _Text | None = None
        self._since: float | None = None
        self._tokens = 0

    @property
    def idle(self) -> bool:
        return self.waiting == 0

    @property
    def waiting(self) -> int:
        """Requests that are not at their end."""
        # Of a request whose last text is on its way, that text is all that is left here.
        apart = self._open is not None and not self._open.request.more
        return len(self._waiting) + apart

    @property
    def tokens(self) -> Tokens:
        """Of all texts so far."""
        return Tokens(prompt=self._tokens)

    def submit(self, job: EmbedJob) -> list[Event]:
        """Take a request into the queue, or decline it at once."""
        ahead = sum(request.left for request in self._waiting)
        wait = self._pace.seconds(ahead, ())
        if self.waiting > self._queue:
            message = f"the local queue is full: {self.waiting} requests for embeddings wait"
            return [Declined(job.key, RefusalKind.BUSY, message, wait)]
        tokens = sum(map(len, job.inputs))
        if self._pace.prefill_rate:
            # Before anything was measured there is nothing to refuse anybody by.
            needed = self._pace.seconds(ahead + tokens, ())
            if self._clock() + needed > job.until:
                message = (
                    f"these embeddings would take about {needed:.0f} s, longer than this request "
                    "may take"
                )
                return [Declined(job.key, RefusalKind.BUSY, message, wait)]
        self._waiting.push(_Request(job, tokens))
        return []

    def cancel(self, key: Hashable) -> None:
        """Forget a request, if it is here."""
        self._waiting.remove(key)
        if self._open is not None and self._open.request.key == key:
            if self._open.done:
                self._encoder().drop(self._open.slot)
            self._open = None

    def step(self, *, generating: bool) -> list[Event]:
        """Compute one batch, and say what came of it."""
        if self.idle:
            return []
        try:
            encoder = self._encoder()
        except ModelFileError as error:
            return [Declined(key, RefusalKind.FAULT, str(error)) for key in self._give_up()]
        # What else is computed between two steps counts: it is felt while busy.
        started = self._clock() if self._since is None else self._since
        budget = min(PREFILL_SHARE, encoder.batch) if generating else encoder.batch
        parts = self._plan(encoder, budget)
        chunks = [
            Chunk(text.slot, text.done, text.tokens[text.done : text.done + count], output=True)
            for text, count in parts
        ]
        vectors = encoder.vectors(chunks)
        self._since = None if self.idle else self._clock()
        computed = sum(count for _, count in parts)
        self._tokens += computed
        self._pace.step(self._clock() - started, computed, 0)
        return list(self._told(encoder, parts, vectors))

    def _plan(self, encoder: EncoderLike, budget: int) -> list[tuple[_Text, int]]:
        """Texts, and how many tokens of each. The one that is not computed to its end stays open:
        it comes first the next time.
        """
        parts: list[tuple[_Text, int]] = []
        taken = self._open.slot if self._open is not None else -1
        slots = iter([slot for slot in range(encoder.sequences) if slot != taken])
        texts = self._texts()
        while budget > 0 and len(parts) < encoder.sequences and (text := next(texts, None)):
            if encoder.whole and text.remaining > budget and parts:
                self._open = text
                break
            count = text.remaining if encoder.whole else min(text.remaining, budget)
            if text.slot < 0:
                text.slot = next(slots)
            parts.append((text, count))
            budget -= count
            text.request.left -= count
            self._open = text if count < text.remaining else None
        texts.close()
        return parts

    def _texts(self) -> Generator[_Text, None, None]:
        """The next ones, for as long as they are asked for."""
        if self._open is not None:
            yield self._open
        while (request := self._waiting.next(Counter(), lambda _: True)) is not None:
            try:
                while request.more:
                    tokens = request.job.inputs[request.taken]
                    request.taken += 1
                    yield _Text(request, tokens)
            finally:
                if request.more:
                    self._waiting.push(request)

    def _told(
        self,
        encoder: EncoderLike,
        parts: Sequence[tuple[_Text, int]],
        vectors: Sequence[NDArray[np.float32]],
    ) -> Iterator[Event]:
        """What a batch has come to, each request's vectors together."""
        found: dict[Hashable, tuple[_Request, list[bytes]]] = {}
        for (text, count), vector in zip(parts, vectors, strict=True):
            request = text.request
            text.add(vector, count, encoder.pooling)
            _, done = found.setdefault(request.key, (request, []))
            if text.remaining == 0:
                encoder.drop(text.slot)
                done.append(unit(text.vector, request.job.dimensions))
        for request, done in found.values():
            size = sum(map(len, request.job.inputs))
            if not request.accepted:
                request.accepted = True
                yield Admitted(request.key, size)
            if done:
                request.found += len(done)
                yield Found(request.key, tuple(done))
            if request.found == len(request.job.inputs):
                yield Ended(request.key, Reason.STOP, size, 0)

    def _give_up(self) -> list[Hashable]:
        """Forget all requests."""
        keys = [request.key for request in self._waiting]
        for key in keys:
            self._waiting.remove(key)
        return keys


def unit(vector: NDArray[np.float32], dimensions: int | None) -> bytes:
    """The first so many numbers at length 1, as 32-bit floats, little endian. A vector of nothing
    but zeros stays what it is.
    """
    kept = vector[:dimensions]
    length = np.linalg.norm(kept)
    return (kept / length if length else kept).astype("<f4").tobytes()
