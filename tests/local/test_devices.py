"""Devices: listed by a process, chosen as llama.cpp does, and what is done where they are lost."""

from __future__ import annotations

import json
import os
import signal
import stat
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import structlog

from gateway.background import Background
from gateway.domain.events import Finished
from gateway.domain.local_model import LocalModel
from gateway.errors import ModelFileError
from gateway.local.client import LocalBackend
from gateway.local.fit import needs
from gateway.local.gguf import read_header
from gateway.local.keeper import ModelState, ModelStatus
from gateway.local.place import place
from gateway.local.probing import Device, Found, Kind, ProbeFailed, probe, usable
from gateway.local.supervisor import Supervisor
from tests.local.running import MakeCall, collect, until

GB = 1 << 30
GPU = {"name": "G0", "description": "a card", "kind": "gpu", "free": GB, "total": 2 * GB}
HOST = {"name": "CPU", "description": "", "kind": "cpu", "free": 8 * GB, "total": 8 * GB}


def python(folder: Path, list_: str, *, counting: bool = False) -> str:
    """An interpreter whose list of devices is ``list_``, and which does all else as ours does."""
    path = folder / "python"
    count = f"echo asked >> {folder}/asked" if counting else ":"
    path.write_text(
        f'#!/bin/sh\ncase "$*" in *gateway.local.devices*) {count}; {list_};; '
        f'*) exec {sys.executable} "$@";; esac\n'
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def listing(*devices: object, backends: tuple[str, ...] = ("CUDA", "CPU")) -> str:
    """What a shell prints such a list with."""
    return f"echo '{json.dumps({'backends': backends, 'devices': devices})}'"


async def test_this_machine_is_listed() -> None:
    """By the real library: its processor, and no GPU where the build has none."""
    found = await probe(sys.executable)
    (cpu,) = [device for device in found.devices if device.kind is Kind.CPU]
    assert cpu.total > 256 << 20
    assert "CPU" in found.backends


@pytest.mark.parametrize(
    ("list_", "says"),
    [
        ("exit 3", "it ended with code 3"),
        ("kill -SEGV $$", "it ended with code -11"),
        ("echo hello", "it said what is no list of devices"),
        ('echo \'{"backends": [], "devices": [{"kind": "quantum"}]}\'', "no list of devices"),
    ],
)
async def test_a_probe_that_fails_is_told(tmp_path: Path, list_: str, says: str) -> None:
    """A driver may do anything to the process that asks it."""
    with pytest.raises(ProbeFailed, match=says):
        await probe(python(tmp_path, list_))
    with pytest.raises(ProbeFailed, match="it cannot be started: No such file"):
        await probe("/no/python")


def device(name: str, kind: Kind, id: str | None = None) -> Device:
    return Device(name, "", kind, GB, GB, id)


@pytest.mark.parametrize(
    ("devices", "names"),
    [
        ([device("CPU", Kind.CPU), device("B", Kind.ACCELERATOR)], []),
        ([device("CPU", Kind.CPU), device("I0", Kind.IGPU)], ["I0"]),
        ([device("I0", Kind.IGPU), device("G0", Kind.GPU), device("G1", Kind.GPU)], ["G0", "G1"]),
        ([device("C0", Kind.GPU, "1:0"), device("V0", Kind.GPU, "1:0")], ["C0"]),
    ],
)
def test_which_may_have_layers(devices: list[Device], names: list[str]) -> None:
    """A card that two back ends list counts once; an integrated one only where it is alone."""
    assert [one.name for one in usable(devices)] == names


def test_gpu_support_is_the_builds() -> None:
    """Not whether a device is there at the moment."""
    assert not Found(("CPU", "BLAS"), ()).gpu_support
    assert Found(("Vulkan", "CPU"), ()).gpu_support


async def started(model: LocalModel, folder: Path, list_: str, **fields: object) -> Supervisor:
    supervisor = Supervisor(
        [model],
        folder / "r",
        folder / "s",
        Background(),
        python=python(folder, list_, counting=True),
        **fields,  # type: ignore[arg-type]
    )
    await supervisor.start()
    return supervisor


async def test_a_build_without_gpus_is_asked_once(model: LocalModel, tmp_path: Path) -> None:
    """It is said once in the log; a worker that comes back is not kept waiting for it."""
    auto = replace(model, gpu_layers=None)
    with structlog.testing.capture_logs() as logs:
        supervisor = await started(auto, tmp_path, listing(HOST, backends=("CPU",)))
        status = await supervisor.wait_ready(model.name, 30)
        assert status.pid is not None
        os.kill(status.pid, signal.SIGKILL)
        await until(lambda: supervisor.status()[0].restarts == 1)
        status = await supervisor.wait_ready(model.name, 30)
    await supervisor.stop()
    assert status.restarts == 1
    assert (tmp_path / "asked").read_text() == "asked\n"
    (line,) = [line for line in logs if line["event"] == "local_gpu_none"]
    assert line["reason"] == "this build of llama.cpp has no GPU support"
    assert status.layout is not None
    assert (status.layout.gpu_layers, status.layout.layers, status.layout.note) == (0, 31, "")


async def test_a_number_of_layers_needs_a_build_that_has_gpus(
    model: LocalModel, tmp_path: Path
) -> None:
    """It is an error at the start that says what to do; nothing is started."""
    asked = replace(model, gpu_layers=10)
    with pytest.raises(ModelFileError, match=r"gpu_layers is 10, but this build .* make engine"):
        await started(asked, tmp_path, listing(HOST, backends=("CPU",)))
    with pytest.raises(ModelFileError, match=r"names the device CUDA7, but llama.cpp lists G0"):
        await started(asked, tmp_path, listing(GPU, HOST), gpu_budget={"CUDA7": GB})


async def without(supervisor: Supervisor, make_call: MakeCall) -> ModelStatus:
    """The status once the model answers."""
    status = await supervisor.wait_ready("smollm2", 30)
    backend = LocalBackend(supervisor.sockets(), Background())
    await backend.start()
    assert await backend.wait_ready("smollm2", 30)
    events = await collect(backend, make_call("Hi", max_tokens=2))
    assert isinstance(events[-1], Finished)
    hello = backend.loaded("smollm2")
    assert hello is not None
    assert hello.layout == status.layout
    await backend.stop()
    await supervisor.stop()
    assert status.state is ModelState.READY
    return status


async def test_a_device_that_is_gone_when_the_model_is_loaded(
    model: LocalModel, tmp_path: Path, make_call: MakeCall
) -> None:
    """The worker with layers on it fails; the next one has none, answers, and says why."""
    auto = replace(model, gpu_layers=None)
    with structlog.testing.capture_logs() as logs:
        supervisor = await started(auto, tmp_path, listing(GPU, HOST))
        status = await without(supervisor, make_call)
    placed = [line for line in logs if line["event"] == "local_model_placed"]
    assert [(line["gpu_layers"], line["log_level"]) for line in placed] == [
        (31, "info"),
        (0, "warning"),
    ]
    assert placed[0]["G0"] < GB
    assert status.restarts == 1
    assert status.layout is not None
    assert status.layout.gpu_layers == 0
    assert status.layout.note == "with 31 layers on devices its worker ended with code 1"


@pytest.mark.parametrize(
    ("free", "budget"),
    [(GB // 4, None), (GB, GB // 4), (GB, {"G0": GB // 4})],
    ids=["free", "allowed", "allowed by name"],
)
async def test_fewer_layers_where_there_is_less(
    model: LocalModel, tmp_path: Path, free: int, budget: int | dict[str, int] | None
) -> None:
    """As many as fit, with their keys and values, into what is free and what is allowed."""
    auto = replace(model, context=2048, gpu_layers=None)
    with structlog.testing.capture_logs() as logs:
        list_ = listing({**GPU, "free": free}, HOST)
        supervisor = await started(auto, tmp_path, list_, gpu_budget=budget)
        await until(lambda: any(line["event"] == "local_model_placed" for line in logs))
        await supervisor.stop()
    placed = [line for line in logs if line["event"] == "local_model_placed"]
    wanted = needs(read_header(model.manifest.path), 2048, 8)
    expected = place(wanted, [GB // 4])
    assert (placed[0]["gpu_layers"], placed[0]["G0"]) == (expected.gpu_layers, expected.devices[0])
    assert 0 < expected.gpu_layers < 31
    assert expected.devices[0] < GB // 4


async def test_no_device_is_told(model: LocalModel, tmp_path: Path, make_call: MakeCall) -> None:
    """A build that has GPU support on a machine that has none now: it answers, and says so."""
    asked = replace(model, gpu_layers=8)
    status = await without(await started(asked, tmp_path, listing(HOST)), make_call)
    assert status.layout is not None
    assert (status.layout.gpu_layers, status.layout.note) == (0, "there is no device")
    assert status.restarts == 0
    asked_for = (tmp_path / "asked").read_text()
    assert asked_for == "asked\n" * 2  # at the start and before the model is loaded
