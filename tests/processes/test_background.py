"""Work in the background that fails in a way that nobody foresaw."""

from __future__ import annotations

import asyncio
import threading
import time
from itertools import pairwise

import pytest
from structlog.testing import capture_logs

from gateway.background import FIRST_PAUSE, LONGEST_PAUSE, Background
from gateway.errors import StateError
from tests.waiting import until


async def test_it_is_told_and_begun_again_until_it_comes_to_its_own_end() -> None:
    """After pauses that grow. The message of an error that is none of ours is not told."""
    background, began = Background(), list[float]()

    async def work() -> None:
        began.append(time.monotonic())
        if len(began) < 4:
            raise LookupError("sk-canary")

    with capture_logs() as logged:
        await background.keep("sums", work)
    pauses = [after - before for before, after in pairwise(began)]
    assert [pause >= FIRST_PAUSE * 2**at for at, pause in enumerate(pauses)] == [True] * 3
    assert background.failures == {"sums": 3}
    assert background.problems == {"sums": "LookupError: see the log"}
    assert [(one["event"], one["work"], one["log_level"]) for one in logged] == [
        ("background.failed", "sums", "error")
    ] * 3
    assert isinstance(logged[0]["exc_info"], LookupError)


async def test_an_error_of_ours_says_what_to_do() -> None:
    background = Background()

    async def work() -> None:
        raise StateError("make the folder writable")

    task = asyncio.create_task(background.keep("folders", work))
    await asyncio.sleep(FIRST_PAUSE / 2)
    assert background.problems == {"folders": "make the folder writable"}
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_was_done_once_is_heard_of_too() -> None:
    background = Background()

    async def work() -> None:
        raise LookupError

    task = asyncio.create_task(work())
    task.add_done_callback(background.over("errands"))
    await asyncio.wait((task,))
    await asyncio.sleep(0)
    assert background.failures == {"errands": 1}


def test_a_thread_goes_on_and_ends_when_the_process_does() -> None:
    """Also one that fails whenever it is begun: it has one more try, and no pause before it."""
    background, ending = Background(), threading.Event()

    def work() -> None:
        raise LookupError

    thread = background.thread("sums", work, ending)
    thread.start()
    until(lambda: background.failures.get("sums", 0) >= 3)
    ending.set()
    thread.join(LONGEST_PAUSE / 2)
    assert not thread.is_alive()
