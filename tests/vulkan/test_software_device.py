"""GPU code for real, on Mesa's software Vulkan device: `make test-vulkan`, which builds for it.

Not a part of `make test`: the build takes minutes, and the device computes a token in a second.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import structlog
from msgspec import structs

from gateway.background import Background
from gateway.domain.events import Delta, Event, Finished, Usage
from gateway.domain.local_model import LocalModel
from gateway.local.client import LocalBackend
from gateway.local.fit import needs
from gateway.local.gguf import read_header
from gateway.local.keeper import ModelState, ModelStatus
from gateway.local.place import place
from gateway.local.probing import Device, Kind, probe, usable
from gateway.local.supervisor import Supervisor
from tests.local.running import TARGET, MakeCall

MB = 1 << 20
READY_WITHIN = 300
"""Seconds: its shaders are compiled when the model is warmed."""


@pytest.fixture(autouse=True)
def visible(monkeypatch: pytest.MonkeyPatch) -> None:
    """llama.cpp takes a software device only where it is named."""
    monkeypatch.setenv("GGML_VK_VISIBLE_DEVICES", "0")


@pytest.fixture
def small(model: LocalModel) -> LocalModel:
    return replace(model, context=256, slots=2, gpu_layers=None)


@asynccontextmanager
async def serving(
    model: LocalModel, folder: Path, **fields: int
) -> AsyncIterator[tuple[ModelStatus, LocalBackend]]:
    """The model, loaded and ready, and what asks it."""
    supervisor = Supervisor([model], folder / "r", folder / "s", Background(), **fields)  # type: ignore[arg-type]
    await supervisor.start()
    backend = LocalBackend(supervisor.sockets(), Background())
    await backend.start()
    try:
        status = await supervisor.wait_ready(model.name, READY_WITHIN)
        assert status.state is ModelState.READY, status
        assert await backend.wait_ready(model.name, READY_WITHIN)
        yield status, backend
    finally:
        await backend.stop()
        await supervisor.stop()


async def answer(backend: LocalBackend, make_call: MakeCall) -> tuple[str, list[Event]]:
    call = structs.replace(
        make_call("What is the capital of France?", max_tokens=6),
        deadline=make_call("").deadline + 600,
    )
    async with aclosing(backend.attempt(TARGET, call)) as batches:
        events = [event async for batch in batches for event in batch]
    return "".join(event.text for event in events if isinstance(event, Delta)), events


async def test_the_device_is_listed() -> None:
    """As a GPU of 2,048 MiB, by the library that workers load."""
    found = await probe(sys.executable)
    assert found.gpu_support
    (device,) = usable(found.devices)
    assert device == Device("Vulkan0", device.description, Kind.GPU, 2048 * MB, 2048 * MB)
    assert "llvmpipe" in device.description


async def test_all_layers_are_offloaded_and_it_answers(
    small: LocalModel, tmp_path: Path, make_call: MakeCall
) -> None:
    """Where the device has room for all of them; a few tokens are computed there."""
    async with serving(small, tmp_path) as (status, backend):
        text, events = await answer(backend, make_call)
        hello = backend.loaded("smollm2")
    assert status.layout is not None
    assert (status.layout.gpu_layers, status.layout.layers, status.layout.note) == (31, 31, "")
    assert hello is not None
    assert hello.layout == status.layout
    assert [share.device for share in hello.layout.devices] == ["Vulkan0"]
    assert text.startswith("The capital of France is Paris"[: len(text)])
    assert isinstance(events[-1], Finished)
    assert any(isinstance(event, Usage) and event.completion == 6 for event in events)


async def test_a_device_that_is_too_small_gets_fewer_layers(
    small: LocalModel, tmp_path: Path, make_call: MakeCall
) -> None:
    """As many as fit into what is allowed; the others are computed in main memory."""
    allowed = 160 * MB
    expected = place(needs(read_header(small.manifest.path), 256, 2), [allowed])
    async with serving(small, tmp_path, gpu_budget=allowed) as (status, backend):
        text, _ = await answer(backend, make_call)
    assert status.layout is not None
    assert status.layout.gpu_layers == expected.gpu_layers
    assert 0 < expected.gpu_layers < 31
    assert text


@pytest.mark.parametrize("named", ["", "7", None])
async def test_without_the_device_it_answers_from_main_memory(
    small: LocalModel,
    tmp_path: Path,
    make_call: MakeCall,
    monkeypatch: pytest.MonkeyPatch,
    named: str | None,
) -> None:
    """None is named, or one that is not there: it says so, in the log and in the status."""
    if named is None:
        monkeypatch.delenv("GGML_VK_VISIBLE_DEVICES")
    else:
        monkeypatch.setenv("GGML_VK_VISIBLE_DEVICES", named)
    with structlog.testing.capture_logs() as logs:
        async with serving(small, tmp_path) as (status, backend):
            _, events = await answer(backend, make_call)
    assert isinstance(events[-1], Finished)
    assert status.layout is not None
    assert status.layout.gpu_layers == 0
    (none,) = [line for line in logs if line["event"] == "local_gpu_none"]
    if named == "7":
        # A name that it does not know leaves the back end out altogether.
        assert none["reason"] == "this build of llama.cpp has no GPU support"
    else:
        assert none["reason"] == "Vulkan finds no device"
        assert status.layout.note == "there is no device"
