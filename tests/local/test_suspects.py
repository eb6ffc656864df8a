"""A request that ends workers is found out, and costs neither the model nor the others."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from gateway.background import Background
from gateway.domain.call import Call, Chat, Message
from gateway.domain.events import Event, Failed, FailureKind, Finished, Started
from gateway.domain.local_model import LocalModel
from gateway.local.client import LocalBackend
from gateway.local.suspects import MOST, REMEMBERED, Suspects
from tests.local.running import TARGET, MakeCall, Running, collect


def task(text: str) -> Chat:
    return Chat((Message("user", text),))


def test_who_is_caught_twice_is_convicted_for_a_while() -> None:
    """Suspected, cleared when it says something; convicted, whoever asks the same again."""
    suspects = Suspects()
    suspects.suspect(task("a"), 0.0)
    suspects.suspect(task("b"), 0.0)
    suspects.clear(task("b"))
    assert [suspects.suspected(task(text), 1.0) for text in "abc"] == [True, False, False]
    assert not suspects.convicted(task("a"), 1.0)
    suspects.convict(task("a"), 2.0)
    assert suspects.convicted(task("a"), REMEMBERED)
    assert not suspects.convicted(task("b"), REMEMBERED)
    assert not suspects.convicted(task("a"), REMEMBERED + 2.0)


def test_memory_of_suspects_is_bounded() -> None:
    """The oldest are forgotten, convicted ones too."""
    suspects = Suspects()
    suspects.convict(task("first"), 0.0)
    for number in range(MOST):
        suspects.suspect(task(str(number)), 1.0)
    assert not suspects.suspected(task("first"), 2.0)
    assert suspects.suspected(task(str(MOST - 1)), 2.0)


@pytest.fixture
def own(model: LocalModel, tmp_path: Path) -> Iterator[Running]:
    """Crashes are counted, so these have a supervisor of their own."""
    running = Running(model, tmp_path)
    yield running
    running.close()


async def test_a_request_that_ends_two_workers_ends_no_third(
    own: Running, make_call: MakeCall
) -> None:
    """Those that were there with it are answered, the model is not given up, and whoever asks the
    same again is told at once.
    """
    backend = LocalBackend(own.supervisor.sockets(), Background())
    await backend.start()
    assert await backend.wait_ready("smollm2", 30)
    killer = make_call("story " * 450, max_tokens=4)
    harmless = [make_call(f"Say the number {number}.", max_tokens=4) for number in range(3)]
    others: list[asyncio.Task[list[Event]]] = []
    ended = []
    async with aclosing(backend.attempt(TARGET, killer)) as events:
        async for batch in events:
            for event in batch:
                if isinstance(event, Started):
                    # It has a slot, and nearly all of its prompt is still to be computed; so it is
                    # when the others have come, however fast the machine is.
                    signal_to(own, signal.SIGSTOP)
                    others = others or [asyncio.create_task(collect(backend, c)) for c in harmless]
                    await asyncio.sleep(0.1)
                    ended.append(signal_to(own, signal.SIGKILL))
                last = event
    assert isinstance(last, Failed)
    assert last.kind is FailureKind.INCAPABLE
    assert "two workers" in last.message
    for answer in await asyncio.gather(*others):
        assert isinstance(answer[-1], Finished), answer
    again = await collect(backend, same(killer, make_call))
    assert again == [last]
    own.wait_ready(30)
    assert len(set(ended)) == 2
    assert isinstance((await collect(backend, make_call("Hello")))[-1], Finished)
    await backend.stop()


def same(call: Call, make_call: MakeCall) -> Call:
    assert isinstance(call.task, Chat)
    return make_call(call.task.messages[0].content, max_tokens=4)


def signal_to(running: Running, what: signal.Signals) -> int:
    """To the model's worker; its process id."""
    pid = running.supervisor.status()[0].pid
    assert pid is not None
    os.kill(pid, what)
    return pid
