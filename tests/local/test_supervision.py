"""What the supervisor does when workers do not do what they should, and when it dies itself."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.background import Background
from gateway.domain.events import Delta
from gateway.domain.local_model import LocalModel
from gateway.errors import ModelFileError
from gateway.local.client import LocalBackend
from gateway.local.keeper import ModelState, ModelStatus
from gateway.local.spawning import worker_environment
from gateway.local.supervisor import Supervisor
from tests.local.running import MakeCall, collect
from tests.waiting import until

ORPHANING = """
import asyncio, sys, threading
from pathlib import Path
from gateway.background import Background
from gateway.domain.local_model import LocalModel, Manifest
from gateway.local.supervisor import Supervisor

async def main():
    path, sha256, folder = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    manifest = Manifest("m", path, sha256, "huggingface", "m", "Apache-2.0", 8192)
    model = LocalModel("m", manifest, context=256, slots=1, queue=0)
    supervisor = Supervisor([model], folder / "run", folder / "state", Background())
    await supervisor.start()
    await supervisor.wait_ready("m", 60)
    print("worker", supervisor.status()[0].pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


def alive(pid: int) -> bool:
    """Whether the process runs; one that nobody has waited for yet does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in ("Z", "X")


async def test_three_crashes_give_the_model_up(model: LocalModel, tmp_path: Path) -> None:
    """A worker that never comes up is tried three times with growing pauses, then no more."""
    supervisor = Supervisor(
        [model], tmp_path / "r", tmp_path / "s", Background(), python="/bin/false"
    )
    began = time.monotonic()
    await supervisor.start()
    status = await supervisor.wait_ready(model.name, 20)
    took = time.monotonic() - began
    await supervisor.stop()
    assert status.state is ModelState.FAILED
    assert "crashed 3 times" in status.detail
    assert "ended with code 1" in status.detail
    assert status.restarts == 2
    assert took >= 0.1 + 0.2


async def test_altered_file_starts_nothing(model: LocalModel, tmp_path: Path) -> None:
    """A file that is not the pinned one is refused before any socket or process is made."""
    wrong = replace(model, manifest=replace(model.manifest, sha256="0" * 64))
    supervisor = Supervisor([wrong], tmp_path / "run", tmp_path / "state", Background())
    with pytest.raises(ModelFileError, match=f"expected sha256 {'0' * 64}, got b179c952"):
        await supervisor.start()
    assert supervisor.status() == ()
    assert not supervisor.sockets()


async def test_a_manifest_may_name_another_template(
    model: LocalModel, tmp_path: Path, make_call: MakeCall
) -> None:
    """It is what the worker renders with: here a list that is to be gone on with."""
    path = tmp_path / "list.jinja"
    path.write_text("1, 2, 3, 4, 5,")
    own = replace(model, manifest=replace(model.manifest, template=path))
    supervisor = Supervisor([own], tmp_path / "r", tmp_path / "s", Background())
    await supervisor.start()
    backend = LocalBackend(supervisor.sockets(), Background())
    await backend.start()
    assert await backend.wait_ready(model.name, 30)
    events = await collect(backend, make_call("What is the capital of France?", max_tokens=9))
    await backend.stop()
    await supervisor.stop()
    text = "".join(event.text for event in events if isinstance(event, Delta))
    assert text.startswith(" 6, 7, 8")


async def test_a_wrong_template_starts_nothing(model: LocalModel, tmp_path: Path) -> None:
    """It is an error at the start, with file and line, before any process is made."""
    path = tmp_path / "wrong.jinja"
    path.write_text("{{ bos_token }}\n{% for m in messages %}")
    wrong = replace(model, manifest=replace(model.manifest, template=path))
    supervisor = Supervisor([wrong], tmp_path / "r", tmp_path / "s", Background())
    with pytest.raises(ModelFileError, match=r"wrong\.jinja, line 2: no Jinja template"):
        await supervisor.start()
    assert not supervisor.sockets()


async def test_long_folder_is_replaced(model: LocalModel, tmp_path: Path) -> None:
    """Where the kernel takes no socket path so long, a short folder serves, and is removed."""
    run_dir = tmp_path / ("x" * 120)
    supervisor = Supervisor([model], run_dir, tmp_path / "s", Background(), python="/bin/false")
    await supervisor.start()
    path = supervisor.sockets()[model.name]
    assert len(os.fsencode(path)) < 100
    assert await asyncio.to_thread(path.is_socket)
    await supervisor.stop()
    assert not await asyncio.to_thread(path.parent.exists)


def test_environment_is_a_list_of_names() -> None:
    """Nothing of our environment goes to a worker but what is listed, whatever its prefix."""
    ours = {"PATH": "/bin", "OPENAI_API_KEY": "k", "OMP_API_KEY": "k", "GGML_TOKEN": "k"}
    given = worker_environment(ours)
    assert given["PATH"] == "/bin"
    assert "k" not in given.values()


def test_worker_does_not_outlive_a_killed_parent(model: LocalModel, tmp_path: Path) -> None:
    """kill -9 of the supervising process ends its worker, which only sees its input end."""
    manifest = model.manifest
    command = [sys.executable, "-c", ORPHANING]
    command += [str(manifest.path), manifest.sha256, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        line = next(line for line in parent.stdout if line.startswith("worker "))
        worker = int(line.split()[1])
        assert alive(worker)
        parent.send_signal(signal.SIGKILL)
        parent.stdout.close()
    until(lambda: not alive(worker))


async def test_what_nobody_foresaw_ends_no_model_for_ever(
    model: LocalModel, tmp_path: Path
) -> None:
    """Whoever is told of the states has a defect, just when a worker was lost."""
    failed: list[ModelState] = []

    def told(status: ModelStatus) -> None:
        if status.state is ModelState.RESTARTING and not failed:
            failed.append(status.state)
            raise LookupError

    background = Background()
    supervisor = Supervisor([model], tmp_path / "r", tmp_path / "s", background, told=told)
    await supervisor.start()
    pid = (await supervisor.wait_ready(model.name, 60)).pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    end = time.monotonic() + 60
    while (status := supervisor.status()[0]).state is not ModelState.READY or status.pid == pid:
        assert time.monotonic() < end, status
        await asyncio.sleep(0.05)
    await supervisor.stop()
    assert failed
    assert background.failures == {"local models": 1, "idle models": 0}


async def test_a_worker_without_a_file_to_spare_takes_connections_later(
    model: LocalModel, tmp_path: Path
) -> None:
    """It may have no file more for a while: who connects then waits, and is not forgotten."""
    supervisor = Supervisor([model], tmp_path / "r", tmp_path / "s", Background())
    await supervisor.start()
    pid = (await supervisor.wait_ready(model.name, 60)).pid
    assert pid is not None
    backend = LocalBackend(supervisor.sockets(), Background())
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (1, limits[1]))
    await backend.start()
    assert not await backend.wait_ready(model.name, 0.5)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    assert await backend.wait_ready(model.name, 30)
    status = supervisor.status()[0]
    await backend.stop()
    await supervisor.stop()
    assert (status.pid, status.restarts) == (pid, 0)
