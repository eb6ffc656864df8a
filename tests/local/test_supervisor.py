"""The supervisor: what it refuses to start with, gives up on, and hands to its workers."""

from __future__ import annotations

import dataclasses
import stat
import tempfile
from pathlib import Path

import pytest

from gateway.domain.local_model import LocalModel
from gateway.errors import ModelFileError
from gateway.local.supervisor import LONGEST_PATH, ModelState, Supervisor, worker_environment


async def test_altered_file_refuses_to_start(model: LocalModel, tmp_path: Path) -> None:
    """A pinned hash that does not fit: no worker is started, both hashes are named."""
    manifest = dataclasses.replace(model.manifest, sha256="0" * 64)
    supervisor = Supervisor(
        [dataclasses.replace(model, manifest=manifest)], tmp_path / "r", tmp_path / "s"
    )
    with pytest.raises(ModelFileError, match="0000, got b179c9523d0e") as raised:
        await supervisor.start()
    assert model.manifest.path.name in raised.value.message
    assert supervisor.status() == ()


async def test_three_crashes_and_it_is_given_up(model: LocalModel) -> None:
    """A worker that ends at once, three times: failed, with the last reason in the status."""
    with tempfile.TemporaryDirectory(prefix="gw-") as folder:
        run = Path(folder) / "run"
        supervisor = Supervisor([model], run, Path(folder) / "state", python="/bin/false")
        await supervisor.start()
        status = await supervisor.wait_ready("smollm2", 20)
        assert status.state is ModelState.FAILED
        assert "crashed 3 times" in status.detail
        assert "ended with code 1" in status.detail
        assert status.restarts == 2
        assert stat.S_IMODE(run.stat().st_mode) == 0o700
        await supervisor.stop()
        assert not supervisor.socket_path("smollm2").exists()


async def test_long_folder_is_replaced(model: LocalModel) -> None:
    """A run folder whose paths are too long for a Unix socket does not keep it from starting."""
    with tempfile.TemporaryDirectory(prefix="gw-") as folder:
        deep = Path(folder) / ("x" * LONGEST_PATH)
        supervisor = Supervisor([model], deep, Path(folder), python="/bin/false")
        await supervisor.start()
        assert len(str(supervisor.socket_path("smollm2"))) <= LONGEST_PATH
        await supervisor.stop()


def test_environment_is_chosen_by_name() -> None:
    """A key goes to no worker, whatever its name begins with."""
    ours = {"PATH": "/bin", "LLAMA_API_KEY": "k", "OPENAI_API_KEY": "k", "OMP_NUM_THREADS": "2"}
    given = worker_environment(ours)
    assert given["PATH"] == "/bin"
    assert given["OMP_NUM_THREADS"] == "2"
    assert "k" not in given.values()
