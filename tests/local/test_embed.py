"""The queue of texts whose vectors are wanted, without a model: whose turn it is, in what parts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from gateway.domain.local_model import Pooling
from gateway.errors import ModelFileError
from gateway.local.batch import PREFILL_SHARE, Chunk
from gateway.local.embed import Embedder
from gateway.local.jobs import Admitted, Declined, EmbedJob, Ended, Event, Found
from gateway.local.protocol import Reason, RefusalKind


class FakeEncoder:
    """Each token has the vector (1, token); checks that sequences are fed without gaps."""

    def __init__(
        self, pooling: Pooling = Pooling.MEAN, *, whole: bool = False, batch: int = 100
    ) -> None:
        self.pooling, self.whole, self.batch, self.sequences = pooling, whole, batch, 4
        self.batches: list[list[Chunk]] = []
        self._fed: dict[int, int] = {}

    def vectors(self, chunks: Sequence[Chunk]) -> list[NDArray[np.float32]]:
        assert 0 < sum(len(chunk.tokens) for chunk in chunks) <= self.batch
        assert len({chunk.slot for chunk in chunks}) == len(chunks) <= self.sequences
        self.batches.append(list(chunks))
        for chunk in chunks:
            assert chunk.tokens
            assert chunk.start == self._fed.get(chunk.slot, 0)
            self._fed[chunk.slot] = chunk.start + len(chunk.tokens)
        return [self._pooled(chunk.tokens) for chunk in chunks]

    def _pooled(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        value = {
            Pooling.MEAN: sum(tokens) / len(tokens),
            Pooling.CLS: tokens[0],
            Pooling.LAST: tokens[-1],
        }[self.pooling]
        return np.array((1.0, value), np.float32)

    def drop(self, slot: int) -> None:
        assert self._fed.pop(slot)


class Bench:
    """An embedder with a clock that stands still unless it is put on."""

    def __init__(self, encoder: FakeEncoder, queue: int = 3) -> None:
        self.encoder = encoder
        self.now = 0.0
        self.embedder = Embedder(lambda: encoder, queue, lambda: self.now)

    def submit(self, key: str, *texts: Sequence[int], app: str = "a", **fields: float) -> None:
        assert self.embedder.submit(EmbedJob(key, texts, app=app, **fields)) == []  # type: ignore[arg-type]

    def run(self, *, generating: bool = False) -> list[Event]:
        events: list[Event] = []
        while not self.embedder.idle:
            events += self.embedder.step(generating=generating)
        return events


def values(events: list[Event], key: str) -> list[float]:
    """What a request has got: the second number of each vector beside a first of 1."""
    data = [vector for e in events if isinstance(e, Found) and e.key == key for vector in e.vectors]
    read = [np.frombuffer(vector, "<f4") for vector in data]
    assert all(abs(float(np.linalg.norm(vector)) - 1) < 1e-6 for vector in read)
    return [round(float(vector[1] / vector[0]), 3) for vector in read]


def test_several_texts_go_through_in_one_batch_and_come_back_in_order() -> None:
    """As many as a batch takes; a request is told once that it is at work, and that it is done."""
    bench = Bench(FakeEncoder())
    bench.submit("k", (1, 2), (5,), (7, 7))
    events = bench.run()
    assert len(bench.encoder.batches) == 1
    assert [type(event) for event in events] == [Admitted, Found, Ended]
    assert values(events, "k") == [1.5, 5.0, 7.0]
    assert events[-1] == Ended("k", Reason.STOP, 5, 0)


def test_no_more_texts_than_sequences_are_in_a_batch() -> None:
    """Nine short ones need three batches of four sequences."""
    bench = Bench(FakeEncoder())
    bench.submit("k", *[(n,) for n in range(1, 10)])
    assert values(bench.run(), "k") == [float(n) for n in range(1, 10)]
    assert [len(batch) for batch in bench.encoder.batches] == [4, 4, 1]


@pytest.mark.parametrize(
    ("pooling", "value"), [(Pooling.MEAN, 125.5), (Pooling.CLS, 1.0), (Pooling.LAST, 250.0)]
)
def test_a_long_text_in_parts_is_what_it_is_as_a_whole(pooling: Pooling, value: float) -> None:
    """A text that fills two batches and a half, and the next ones fill up the rest."""
    bench = Bench(FakeEncoder(pooling))
    bench.submit("k", tuple(range(1, 251)), (3,), (4,))
    assert values(bench.run(), "k") == [value, 3.0, 4.0]
    assert [[len(c.tokens) for c in b] for b in bench.encoder.batches] == [[100], [100], [50, 1, 1]]


def test_a_model_that_sees_all_of_a_text_gets_all_of_it() -> None:
    """What does not fit any more waits for the next batch, and comes first there."""
    bench = Bench(FakeEncoder(whole=True))
    bench.submit("k", (1,) * 60, (2,) * 60, (3,) * 40)
    assert values(bench.run(), "k") == [1.0, 2.0, 3.0]
    assert [[len(c.tokens) for c in b] for b in bench.encoder.batches] == [[60], [60, 40]]


def test_those_who_generate_are_held_up_for_no_longer_than_by_a_prompt() -> None:
    """While answers are generated, a batch has the size that prompts get of a step."""
    bench = Bench(FakeEncoder())
    bench.submit("k", *[(n,) * 30 for n in range(1, 6)])
    assert values(bench.run(generating=True), "k") == [1.0, 2.0, 3.0, 4.0, 5.0]
    sizes = [sum(len(chunk.tokens) for chunk in batch) for batch in bench.encoder.batches]
    assert sizes == [PREFILL_SHARE, PREFILL_SHARE, 150 - 2 * PREFILL_SHARE]


def test_one_text_alone_may_be_longer_where_it_cannot_be_parted() -> None:
    """Otherwise it would never be computed."""
    bench = Bench(FakeEncoder(whole=True))
    bench.submit("k", (1,) * 90, (2,))
    assert values(bench.run(generating=True), "k") == [1.0, 2.0]
    assert [len(batch) for batch in bench.encoder.batches] == [1, 1]


def test_an_app_with_many_texts_does_not_keep_another_waiting() -> None:
    """Apps take turns batch by batch."""
    bench = Bench(FakeEncoder())
    bench.submit("many", *[(1,) * 50] * 20, app="a")
    bench.submit("more", *[(1,) * 50] * 20, app="a")
    bench.embedder.step(generating=False)
    bench.submit("few", (2,), app="b")
    events = bench.embedder.step(generating=False) + bench.embedder.step(generating=False)
    assert values(events, "few") == [2.0]
    assert len(values(bench.run(), "many")) in range(10, 20)


@pytest.mark.parametrize("whole", [False, True])
def test_a_request_that_is_cancelled_leaves_nothing(whole: bool) -> None:
    """Neither its texts that wait nor the one of which a part is computed."""
    bench = Bench(FakeEncoder(whole=whole))
    bench.submit("gone", (1,) * 80, (2,) * 80, (3,))
    bench.submit("stays", (4,))
    bench.embedder.step(generating=False)
    bench.embedder.cancel("gone")
    events = bench.run()
    assert values(events, "gone") == []
    assert values(events, "stays") == [4.0]
    assert bench.encoder._fed == {}


def test_a_full_queue_is_refused() -> None:
    """One at work and three that wait: the fifth is told when to come again."""
    bench = Bench(FakeEncoder())
    for key in "abcd":
        bench.submit(key, (1,))
    (declined,) = bench.embedder.submit(EmbedJob("e", ((1,),)))
    assert isinstance(declined, Declined)
    assert declined.kind is RefusalKind.BUSY
    assert declined.retry_after is not None


def test_what_cannot_be_done_in_time_is_refused_at_once() -> None:
    """By the rate that was measured; before anything was, everybody is let in."""
    bench = Bench(FakeEncoder())
    bench.submit("first", *[(1,) * 100] * 10, until=0.5)
    while not bench.embedder.idle:
        bench.now += 1.0
        bench.embedder.step(generating=False)
    (declined,) = bench.embedder.submit(EmbedJob("k", ((1,) * 100,) * 30, until=bench.now + 10))
    assert isinstance(declined, Declined)
    assert declined.kind is RefusalKind.BUSY
    assert "these embeddings would take about" in declined.message
    bench.submit("short", (1,), until=bench.now + 10)


def test_numbers_that_are_not_wanted_are_left_out_and_the_rest_is_of_length_one() -> None:
    """Fewer dimensions are the first ones."""
    bench = Bench(FakeEncoder())
    job = EmbedJob("k", ((3, 3),), dimensions=1)
    assert bench.embedder.submit(job) == []
    (found,) = [event for event in bench.run() if isinstance(event, Found)]
    assert np.frombuffer(found.vectors[0], "<f4").tolist() == [1.0]


def test_without_memory_for_it_requests_are_refused_and_the_worker_lives() -> None:
    """Whoever generates is not to lose his answer."""

    def fails() -> FakeEncoder:
        raise ModelFileError("there may be too little memory")

    embedder = Embedder(fails, 3, lambda: 0.0)
    embedder.submit(EmbedJob("k", ((1,),)))
    (declined,) = embedder.step(generating=False)
    assert declined == Declined("k", RefusalKind.FAULT, "there may be too little memory")
    assert embedder.idle
