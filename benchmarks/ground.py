"""Where benchmarks run: cores that are kept apart, processes that are ended, room for files.

What is measured runs on the last core, what loads it and what it asks on the first. A machine with
one core has to do with that.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.processes import Process, prepared

ROOT = Path(__file__).resolve().parents[1]
READY_WITHIN = 60.0
POLL = 0.005
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class NotReady(RuntimeError):
    """A server that did not come up, with the end of its output."""


@dataclass(slots=True)
class Ground:
    """``folder`` is empty at first and removed after the suite. ``quick`` asks for seeing that it
    works, not for figures. ``seconds`` is how long one load lasts. ``given`` are programs by name
    where they are not on the path. ``cores`` are all that may be used. ``with ground:`` ends
    whatever was started on it.
    """

    folder: Path
    quick: bool
    seconds: float
    server_core: int
    load_core: int
    given: Mapping[str, Path] = field(default_factory=dict)
    cores: frozenset[int] = field(default_factory=lambda: frozenset(os.sched_getaffinity(0)))
    started: list[Process] = field(default_factory=list)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        while self.started:
            self.started.pop().end()

    def program(self, name: str) -> Path | None:
        """Where a program is that may be there or not: as it was given, or on the path."""
        found = self.given.get(name) or shutil.which(name)
        return None if found is None else Path(found)

    def popen(self, core: int | None) -> Callable[..., subprocess.Popen[bytes]]:
        """``subprocess.Popen`` on that core (``None``: on all) in a group of its own; what it
        starts is not yet known to the ground: ``adopt`` it.
        """
        cores = self.cores if core is None else {core}

        def start(command: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
            popen: subprocess.Popen[bytes] = subprocess.Popen(  # noqa: S603 - what the suite starts
                command, start_new_session=True, preexec_fn=prepared(cores), **options
            )
            return popen

        return start

    def adopt(self, popen: subprocess.Popen[bytes], ready_after: float = 0.0) -> Process:
        """See to it that a process is ended."""
        process = Process(popen, ready_after)
        self.started.append(process)
        return process

    def start(
        self,
        command: Sequence[str],
        *,
        core: int | None,
        name: str,
        ready: str | int | None = None,
        environ: Mapping[str, str] | None = None,
        within: float = READY_WITHIN,
    ) -> Process:
        """Start a program and wait until the URL ``ready`` answers 200, or until somebody listens
        at the port. Its output goes to ``<name>.log``. Raises ``NotReady``.
        """
        log = self.folder / f"{name}.log"
        began = time.perf_counter()
        with log.open("ab") as output:
            process = self.adopt(
                popen := self.popen(core)(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, "PYTHONPATH": str(ROOT), **(environ or {})},
                )
            )
        while ready is not None and not answers(ready):
            late = time.perf_counter() - began > within
            if late or popen.poll() is not None:
                tail = log.read_text(errors="replace")[-2000:]
                why = f"not after {within:.0f} s" if late else f"it ended with {popen.returncode}"
                raise NotReady(f"{name} does not come up ({why}):\n{tail}")
            time.sleep(POLL)
        process.ready_after = time.perf_counter() - began
        return process

    def end(self, process: Process) -> None:
        """End it now, and not only with the suite."""
        self.started.remove(process)
        process.end()

    @contextmanager
    def on(self, *cores: int) -> Iterator[None]:
        """This process itself on these cores, for what is measured in it."""
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, cores)
        try:
            yield
        finally:
            os.sched_setaffinity(0, before)


def cores(usable: Collection[int] = ()) -> tuple[int, int]:
    """The core of what is measured and that of the load, of those or of all that this process may
    use: the same where there is only one.
    """
    usable = usable or os.sched_getaffinity(0)
    return max(usable), min(usable)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


def answers(ready: str | int) -> bool:
    """Whether the URL answers 200, or somebody listens at the port."""
    try:
        if isinstance(ready, int):
            socket.create_connection(("127.0.0.1", ready), timeout=2).close()
            return True
        with _direct.open(ready, timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
