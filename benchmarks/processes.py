"""Processes that are measured: what they and all that they have started take of the machine."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

TICK = 1.0 / os.sysconf("SC_CLK_TCK")
ENDS_WITHIN = 15.0
"""Seconds after SIGTERM before a process is killed."""
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


class Process:
    """A running process; ``ready_after`` is the seconds from its start until it answered."""

    def __init__(self, popen: subprocess.Popen[bytes], ready_after: float = 0.0) -> None:
        self.ready_after = ready_after
        self._popen = popen

    @property
    def pid(self) -> int:
        return self._popen.pid

    def cpu_seconds(self) -> float:
        """User and system, with its children and theirs, those that have ended as well."""
        return cpu_seconds(self.pid)

    def resident(self) -> int:
        """Bytes, with its children and theirs."""
        return sum(_memory(pid, "VmRSS") for pid in family(self.pid))

    def peak_resident(self) -> int:
        """The most bytes so far: the sum of what each of the family had at its own peak."""
        return sum(_memory(pid, "VmHWM") for pid in family(self.pid))

    def end(self) -> None:
        """With a word first; what does not listen, and what it has left behind, is killed."""
        began = {pid: _began(pid) for pid in family(self.pid)}
        self._popen.terminate()
        try:
            self._popen.wait(timeout=ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
        for pid, at in began.items():
            while at is not None and _began(pid) == at:
                _kill(pid)
                time.sleep(0.005)


def prepared(cores: Collection[int]) -> Callable[[], None]:
    """For ``preexec_fn``: on these cores, and ended with the thread that starts it. Whoever kills
    the benchmark is not to leave a server that spoils the next one.
    """

    def prepare() -> None:
        os.sched_setaffinity(0, cores)
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

    return prepare


def cpu_seconds(root: int) -> float:
    """Of a process, its children and theirs, and of those that have ended already."""
    words = dict(_stats())
    return sum(sum(map(int, words[pid][11:15])) for pid in _below(root, words)) * TICK


def busy_seconds(cores: Collection[int]) -> float:
    """Processor seconds that anything on these cores has used since the machine's start."""
    names = {f"cpu{core}" for core in cores}
    ticks = 0
    for line in Path("/proc/stat").read_text().splitlines():
        name, *words = line.split()
        if name in names:
            user, nice, system, _, _, interrupts, soft, steal = map(int, words[:8])
            ticks += user + nice + system + interrupts + soft + steal
    return ticks * TICK


def family(root: int) -> list[int]:
    """A process, its children and theirs."""
    return _below(root, dict(_stats()))


def _below(root: int, words: dict[int, list[str]]) -> list[int]:
    children: defaultdict[int, list[int]] = defaultdict(list)
    for pid, stat in words.items():
        children[int(stat[1])].append(pid)
    waiting, found = [root], []
    while waiting:
        pid = waiting.pop()
        if pid in words:
            found.append(pid)
        waiting += children[pid]
    return found


def _stats() -> Iterator[tuple[int, list[str]]]:
    """The words of each process's ``/proc/PID/stat`` that stand behind its name."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and (words := _stat(int(folder.name))):
            yield int(folder.name), words


def _stat(pid: int) -> list[str]:
    """Empty where there is none of that number any more."""
    try:
        # The name may hold blanks and brackets; the numbers stand behind it.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _began(pid: int) -> str | None:
    """When a process was started: two of one number differ in it. ``None`` once it has ended."""
    words = _stat(pid)
    return words[19] if words and words[0] != "Z" else None


def _memory(pid: int, field: str) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:  # it has ended meanwhile
        return
