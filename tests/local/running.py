"""What the tests of this room share beside fixtures: a target, a running supervisor, a call."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from pathlib import Path
from typing import TypeVar

from gateway.background import Background
from gateway.domain.call import Api, Call, Task
from gateway.domain.decision import Labels
from gateway.domain.events import Event
from gateway.domain.identity import Identity, Locality
from gateway.domain.local_model import LocalModel
from gateway.domain.target import Target
from gateway.local.client import LocalBackend
from gateway.local.keeper import ModelState
from gateway.local.supervisor import Supervisor

SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
TARGET = Target(
    "local",
    "smollm2",
    Identity("self", "huggingface", "smollm2", (), Locality.LOCAL, ()),
    frozenset(),
    512,
)
MakeCall = Callable[..., Call]
T = TypeVar("T")


class Running:
    """A supervisor in a thread with its own loop, as `gateway serve` has it."""

    def __init__(self, model: LocalModel, folder: Path) -> None:
        self.supervisor = Supervisor([model], folder / "run", folder / "state", Background())
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._do(self.supervisor.start())
        self.wait_ready(60)

    def wait_ready(self, timeout: float) -> None:
        status = self._do(self.supervisor.wait_ready("smollm2", timeout))
        assert status.state is ModelState.READY, status

    def close(self) -> None:
        self._do(self.supervisor.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Coroutine[None, None, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(90)


def asking(task: Task, app: str = "app", within: float = 60) -> Call:
    """A call for any task, which may take ``within`` seconds."""
    now = time.monotonic()
    labels = Labels(app=app)
    return Call("r", Api.CHAT, "m", False, b"", task, now, now + within, labels=labels)


async def until(true: Callable[[], bool]) -> None:
    """Look until it has come true, for 20 seconds at most."""
    for _ in range(2000):
        if true():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it does not come true")


async def collect(backend: LocalBackend, call: Call) -> list[Event]:
    """All events of one attempt."""
    async with aclosing(backend.attempt(TARGET, call)) as batches:
        return [event async for batch in batches for event in batch]
