"""The real model, a started supervisor that all tests of this room share, and calls to make."""

from __future__ import annotations

import itertools
import os
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gateway.background import Background
from gateway.domain.call import Api, Call, Chat, Message, Sampling
from gateway.domain.local_model import LocalModel, Manifest, Pooling
from gateway.local.client import LocalBackend
from tests.local.gguf_files import real_model
from tests.local.running import SHA256, MakeCall, Running

# As workers have it, and before llama.cpp is loaded: threads that spin at barriers are slowed down
# a hundredfold by anybody else on the machine.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")


@pytest.fixture(scope="session")
def gguf() -> Path:
    return real_model()


@pytest.fixture(scope="session")
def model(gguf: Path) -> LocalModel:
    manifest = Manifest(
        id="smollm2-135m-instruct",
        path=gguf,
        sha256=SHA256,
        developer="huggingface",
        model="smollm2-135m-instruct",
        licence="Apache-2.0",
        context=8192,
        pooling=Pooling.MEAN,
    )
    return LocalModel("smollm2", manifest, context=512, slots=8, queue=16, gpu_layers=0, threads=2)


@pytest.fixture(scope="session")
def running(model: LocalModel) -> Iterator[Running]:
    patch = pytest.MonkeyPatch()
    patch.setenv("OPENAI_API_KEY", "sk-planted-openai")
    patch.setenv("LLAMA_API_KEY", "sk-planted-llama")
    with tempfile.TemporaryDirectory(prefix="gw-") as folder:
        running = Running(model, Path(folder))
        yield running
        running.close()
    patch.undo()


@pytest.fixture
async def backend(running: Running) -> AsyncIterator[LocalBackend]:
    running.wait_ready(30)
    backend = LocalBackend(running.supervisor.sockets(), Background())
    await backend.start()
    assert await backend.wait_ready("smollm2", 30)
    yield backend
    await backend.stop()


@pytest.fixture
def make_call() -> MakeCall:
    numbers = itertools.count()

    def make(
        text: str,
        *,
        max_tokens: int | None = 16,
        temperature: float = 0.0,
        seed: int | None = None,
        stop: tuple[str, ...] = (),
        system: str = "",
    ) -> Call:
        turns = (Message("system", system), Message("user", text))[0 if system else 1 :]
        chat = Chat(turns, Sampling(temperature=temperature, seed=seed), max_tokens, stop)
        now = time.monotonic()
        id = f"req-{next(numbers)}"
        return Call(id, Api.CHAT, "gpt-4o", True, b"", chat, now, now + 60)

    return make
