"""Vectors over real sockets from real workers: one that chats as well, and one that does not."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing

import numpy as np
import pytest

from gateway.background import Background
from gateway.domain.call import Chat, Completion, Embedding, Message, Sampling
from gateway.domain.events import (
    Delta,
    Embedded,
    Event,
    Failed,
    FailureKind,
    Finished,
    Started,
    Usage,
)
from gateway.domain.local_model import LocalModel, Manifest
from gateway.domain.target import Capability
from gateway.errors import CapabilityMissing, InvalidRequest, Unavailable
from gateway.local.abilities import CAPABILITIES
from gateway.local.client import LocalBackend
from gateway.local.protocol import Hello, reply_decoder
from tests.local import tiny_bert
from tests.local.running import TARGET, Running, asking, collect

pytestmark = pytest.mark.alone

TEXTS = ("A cat sat on the mat.", "A kitten lies on the rug.", "The tax law was changed.")
STORY = Chat((Message("user", "Tell me a long story."),), Sampling(temperature=0.0), 40)


def vectors_of(events: list[Event]) -> list[np.ndarray[tuple[int], np.dtype[np.float32]]]:
    return [np.frombuffer(v, "<f4") for e in events if isinstance(e, Embedded) for v in e.vectors]


async def hello_of(running: Running) -> Hello:
    """What the worker says first on a connection."""
    reader, writer = await asyncio.open_unix_connection(running.supervisor.socket_path("smollm2"))
    decoder = reply_decoder()
    while not (replies := list(decoder.feed(await reader.read(1 << 16)))):
        pass
    writer.close()
    assert isinstance(replies[0], Hello)
    return replies[0]


async def test_vectors_of_several_texts(backend: LocalBackend) -> None:
    """In the order of the texts and at length 1; the tokens of all are counted."""
    task = Embedding(TEXTS)
    events = await collect(backend, asking(task))
    assert events[0] == Started("smollm2")
    vectors = vectors_of(events)
    assert [vector.shape for vector in vectors] == [(576,)] * 3
    assert all(abs(float(np.linalg.norm(vector)) - 1) < 1e-5 for vector in vectors)
    assert float(vectors[0] @ vectors[1]) > float(vectors[0] @ vectors[2])
    assert events[-2] == Usage(await backend.count("smollm2", task), 0)
    assert isinstance(events[-1], Finished)


async def test_fewer_dimensions(backend: LocalBackend) -> None:
    """The first ones, at length 1 again."""
    (whole,) = vectors_of(await collect(backend, asking(Embedding(TEXTS[:1]))))
    (part,) = vectors_of(await collect(backend, asking(Embedding(TEXTS[:1], 64))))
    assert np.abs(part - whole[:64] / np.linalg.norm(whole[:64])).max() < 1e-6


async def test_more_texts_than_a_batch_while_another_generates(backend: LocalBackend) -> None:
    """The answer goes on between the batches: it is at its end before the last vector is there."""
    ended: list[str] = []

    async def run(name: str, task: Chat | Embedding) -> list[Event]:
        # Where the machine is busy this much is expected to take more than a minute, and declined.
        events = await collect(backend, asking(task, app=name, within=1000))
        ended.append(name)
        return events

    texts = tuple(f"{TEXTS[n % 3]} {n} " * 12 for n in range(60))
    story, found = await asyncio.gather(run("story", STORY), run("found", Embedding(texts)))
    assert len([event for event in story if isinstance(event, Delta)]) > 1
    assert isinstance(story[-1], Finished)
    assert len(vectors_of(found)) == 60
    assert ended == ["story", "found"]


async def test_leaving_ends_the_work(backend: LocalBackend) -> None:
    """Whoever comes after one who left does not wait for his texts."""
    texts = tuple(f"{TEXTS[n % 3]} {n} " * 40 for n in range(400))
    async with aclosing(backend.attempt(TARGET, asking(Embedding(texts)))) as events:
        async for batch in events:
            if any(isinstance(event, Embedded) for event in batch):
                break
    async with asyncio.timeout(15):
        events_after = await collect(backend, asking(Embedding(TEXTS[:1])))
    assert isinstance(events_after[-1], Finished)


async def test_a_text_that_is_too_long_is_not_cut(backend: LocalBackend) -> None:
    """The whole request fails, with both numbers."""
    (failed,) = await collect(backend, asking(Embedding(("a", "one two three four " * 150))))
    assert isinstance(failed, Failed)
    assert failed.kind is FailureKind.CONTEXT_OVERFLOW
    assert failed.message == "input 1 has 601 tokens, but this model takes 512 at most"


async def test_what_is_counted_is_what_is_used(backend: LocalBackend) -> None:
    """A chat's template included, and a completion's prompts each once; nothing is generated."""
    for task in (STORY, Completion(("One two", "three"), max_tokens=1, choices=2)):
        events = await collect(backend, asking(task))
        (usage,) = [event for event in events if isinstance(event, Usage)]
        assert await backend.count("smollm2", task) == usage.prompt
    huge = Chat((Message("user", "x" * 5_000_000),))
    assert await backend.count("smollm2", huge) > 512


async def test_what_cannot_be_counted_says_why(backend: LocalBackend) -> None:
    """The request's fault, what the model cannot, and a model that is not there."""
    with pytest.raises(InvalidRequest, match="no token of this model"):
        await backend.count("smollm2", Completion(((50_000,),)))
    with pytest.raises(CapabilityMissing, match="suffix"):
        await backend.count("smollm2", Completion(("a",), suffix="b"))
    with pytest.raises(Unavailable):
        await backend.count("nothing", STORY)


async def test_a_worker_says_what_its_model_can(running: Running) -> None:
    """The manifest gives it a pooling; its vocabulary has no marks to fill in by."""
    running.wait_ready(30)
    able = (await hello_of(running)).abilities.capabilities
    assert set(able) == CAPABILITIES | {Capability.EMBEDDINGS}


@pytest.fixture(scope="module")
def running_encoder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("e")
    path = folder / "tiny.gguf"
    path.write_bytes(tiny_bert.tiny_bert())
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    manifest = Manifest("tiny", path, sha256, "google", "tiny", "Apache-2.0", tiny_bert.CONTEXT)
    running = Running(
        LocalModel("smollm2", manifest, context=tiny_bert.CONTEXT, slots=2, queue=4, threads=1),
        folder,
    )
    yield running
    running.close()


@pytest.fixture
async def encoder(running_encoder: Running) -> AsyncIterator[LocalBackend]:
    backend = LocalBackend(running_encoder.supervisor.sockets(), Background())
    await backend.start()
    assert await backend.wait_ready("smollm2", 30)
    yield backend
    await backend.stop()


async def test_an_encoder_serves_vectors_and_nothing_else(
    running_encoder: Running, encoder: LocalBackend
) -> None:
    """By the pooling that its file names. A chat is refused as what this model cannot do, so that
    another is asked.
    """
    abilities = (await hello_of(running_encoder)).abilities
    assert (abilities.capabilities, abilities.chat) == ((Capability.EMBEDDINGS,), None)
    events = await collect(encoder, asking(Embedding(("cat sat", "dog", "cat sat"))))
    first, other, again = vectors_of(events)
    assert np.abs(first - again).max() < 1e-5
    assert float(first @ other) < 0.99
    assert events[-2] == Usage(4 + 3 + 4, 0)
    (failed,) = await collect(encoder, asking(STORY))
    assert isinstance(failed, Failed)
    assert failed.kind is FailureKind.INCAPABLE
    assert "generates no text" in failed.message
