"""The ground of benchmarks: what is started on it is pinned, measured and ended."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from benchmarks.ground import Ground, NotReady, cores, free_port
from benchmarks.processes import cpu_seconds, family

STUBBORN = """\
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
open(sys.argv[1], "w").write("up")
time.sleep(60)
"""
PARENT = f"""\
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", {STUBBORN!r}, sys.argv[1]], start_new_session=True)
time.sleep(60)
"""
WORKING = """\
import os, time
if os.fork() == 0:
    # The kernel tells whole hundredths of each kind, and leaves out what is over.
    until = time.process_time() + 0.35
    while time.process_time() < until: pass
    os._exit(0)
os.wait()
open("done", "w").close()
time.sleep(60)
"""


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path, True, 0.1, *cores(os.sched_getaffinity(0)))


def _until(path: Path) -> None:
    until = time.monotonic() + 10
    while not path.exists():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_all_that_was_started_is_ended_when_a_suite_raises(ground: Ground, tmp_path: Path) -> None:
    """A child in a group of its own that does not listen is ended with its parent."""
    started: list[int] = []

    def suite() -> None:
        up = tmp_path / "up"
        process = ground.start([sys.executable, "-c", PARENT, str(up)], core=None, name="parent")
        _until(up)
        started.extend(family(process.pid))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), ground:
        suite()
    assert len(started) == 2
    assert [pid for pid in started if _lives(pid)] == []


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_process_has_the_core_that_it_was_given(ground: Ground) -> None:
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    with ground:
        pinned = ground.start(command, core=ground.server_core, name="pinned")
        free = ground.start(command, core=None, name="free")
        assert os.sched_getaffinity(pinned.pid) == {ground.server_core}
        assert os.sched_getaffinity(free.pid) == os.sched_getaffinity(0)


def test_processor_time_is_that_of_children_too_that_have_ended(
    ground: Ground, tmp_path: Path
) -> None:
    with ground:
        command = [sys.executable, "-c", f"import os; os.chdir({str(tmp_path)!r}); " + "exec('''"]
        command[-1] += WORKING + "''')"
        process = ground.start(command, core=None, name="working")
        _until(tmp_path / "done")
        assert family(process.pid) == [process.pid]
        assert 0.3 <= process.cpu_seconds() == cpu_seconds(process.pid) < 5
        assert 1e6 < process.resident() <= process.peak_resident() < 1e9


def test_ready_is_when_it_answers(ground: Ground) -> None:
    port = free_port()
    with ground:
        command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
        process = ground.start(command, core=None, name="web", ready=f"http://127.0.0.1:{port}/")
        assert 0.01 < process.ready_after < 10


def test_what_does_not_come_up_is_told_with_what_it_said(ground: Ground) -> None:
    command = [sys.executable, "-c", "raise SystemExit('no such model')"]
    with (
        ground,
        pytest.raises(NotReady, match=r"web does not come up \(it ended with 1\):\nno such"),
    ):
        ground.start(command, core=None, name="web", ready=free_port())


def test_a_program_is_where_it_was_said_to_be(tmp_path: Path) -> None:
    given = {"vllm-router": tmp_path / "router"}
    ground = Ground(tmp_path, True, 0.1, 0, 0, given)
    assert ground.program("vllm-router") == tmp_path / "router"
    assert ground.program("no-such-program") is None
    assert ground.program("sh") is not None
