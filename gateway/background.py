"""Work that goes on for as long as a process does, beside what that is asked (decision 26).

An exception that nobody foresaw ends neither the process nor the work: it is logged with the places
that it came through, counted, told to whoever asks how the process is, and the work is begun again,
after pauses that grow. So what is given to this can be begun again at any point. What a work
foresees, it handles by itself.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager

import structlog

from gateway.errors import GatewayError

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
"""Seconds before work is begun again: the first time, and at most."""
SETTLED = 60.0
"""Seconds without a failure after which work is well again."""


class Background:
    """Of one process, for all of its threads. Works are called by what they do; several may have
    one name.
    """

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._failures = Counter[str]()
        self._last: dict[str, tuple[float, str]] = {}
        self._log = structlog.get_logger("gateway.background")

    @property
    def failures(self) -> Mapping[str, int]:
        """How often each work has failed since the start; there with 0 before, so that the first
        time is seen.
        """
        return dict(self._failures)

    @property
    def problems(self) -> Mapping[str, str]:
        """What became of each work that has failed of late. Of an error that is none of ours only
        the type is told: its message may hold anything.
        """
        now = time.monotonic()
        return {work: said for work, (at, said) in dict(self._last).items() if now - at < SETTLED}

    async def keep(self, work: str, run: Callable[[], Awaitable[None]]) -> None:
        """``run``, and again whenever it fails, until it returns or this is cancelled."""
        self._failures.setdefault(work, 0)
        pause = 0.0
        while True:
            began = time.monotonic()
            with self._survived(work):
                await run()
                return
            pause = _longer(pause, began)
            await asyncio.sleep(pause)

    def thread(
        self, work: str, run: Callable[[], None], ending: threading.Event
    ) -> threading.Thread:
        """One that does the same, to be started. Once the process is ``ending``, what fails is
        begun again no more than once.
        """
        self._failures.setdefault(work, 0)
        return threading.Thread(
            target=self._keep, args=(work, run, ending), name=work.replace(" ", "-"), daemon=True
        )

    def over(self, work: str) -> Callable[[asyncio.Task[None]], None]:
        """To be called with a task that did something once, when it is done: nobody else is there
        who would hear that it failed.
        """

        def told(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and (error := task.exception()) is not None:
                with self._survived(work):
                    raise error

        return told

    def _keep(self, work: str, run: Callable[[], None], ending: threading.Event) -> None:
        pause = 0.0
        while True:
            last, began = ending.is_set(), time.monotonic()
            with self._survived(work):
                run()
                return
            if last:
                return
            pause = _longer(pause, began)
            ending.wait(pause)

    @contextmanager
    def _survived(self, work: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001 - nobody waits for it: this is where it is heard
            said = f"{type(error).__name__}: see the log"
            if isinstance(error, GatewayError):
                said = error.message
            with self._turn:
                self._failures[work] += 1
                self._last[work] = (time.monotonic(), said)
            self._log.error("background.failed", work=work, problem=said, exc_info=error)


def _longer(pause: float, began: float) -> float:
    """Seconds to wait before what ``began`` then, and has failed, is begun again."""
    if not pause or time.monotonic() - began >= SETTLED:
        return FIRST_PAUSE
    return min(pause * 2, LONGEST_PAUSE)
