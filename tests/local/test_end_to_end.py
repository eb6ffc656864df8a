"""LocalBackend over real sockets to a real worker with the real model."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from contextlib import aclosing
from pathlib import Path

from gateway.domain.events import (
    Delta,
    Event,
    Failed,
    FailureKind,
    Finished,
    FinishReason,
    Started,
    Usage,
)
from gateway.local.client import LocalBackend
from tests.local.running import TARGET, MakeCall, Running, collect, until

LONG = "Tell me a very long story about a fox, a ship and a mountain."
SYSTEM = "You are a helpful assistant."


def text_of(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Delta))


def worker_pid(running: Running) -> int:
    pid = running.supervisor.status()[0].pid
    assert pid is not None
    return pid


async def test_answers_a_question(backend: LocalBackend, make_call: MakeCall) -> None:
    """The whole way works, and events come in the order that the domain lays down."""
    events = await collect(
        backend, make_call("In which country is the city of Paris?", system=SYSTEM, max_tokens=24)
    )
    assert re.search("Paris|France", text_of(events))
    assert events[0] == Started("smollm2")
    assert isinstance(events[-2], Usage)
    assert events[-2].prompt > 10
    assert events[-2].completion > 3
    assert events[-1] == Finished((FinishReason.STOP,))


async def test_length_is_said(backend: LocalBackend, make_call: MakeCall) -> None:
    """An answer that max_tokens cuts says so, and is not longer than asked for."""
    events = await collect(backend, make_call(LONG, max_tokens=5))
    assert events[-1] == Finished((FinishReason.LENGTH,))
    assert isinstance(events[-2], Usage)
    assert events[-2].completion == 5


async def test_same_seed_same_answer(backend: LocalBackend, make_call: MakeCall) -> None:
    """A seed makes an answer repeatable, and another seed makes another."""
    answers = [
        text_of(await collect(backend, make_call(LONG, temperature=1.0, seed=seed, max_tokens=24)))
        for seed in (7, 7, 8)
    ]
    assert answers[0] == answers[1]
    assert answers[0] != answers[2]


async def test_sixteen_at_once(backend: LocalBackend, make_call: MakeCall) -> None:
    """Twice as many calls as slots all get their answer, the later ones after waiting."""
    calls = [make_call(f"{LONG} ({n})", temperature=0.7, seed=n, max_tokens=12) for n in range(16)]
    results = await asyncio.gather(*(collect(backend, call) for call in calls))
    assert [type(events[-1]) for events in results] == [Finished] * 16
    assert all(text_of(events) for events in results)


async def test_full_queue_is_refused(backend: LocalBackend, make_call: MakeCall) -> None:
    """Beyond slots and queue a call is refused at once, with an estimate and not a constant."""
    # None of the others is done before the last of all comes.
    calls = [make_call(LONG, max_tokens=None) for _ in range(30)]
    asked = [asyncio.create_task(collect(backend, call)) for call in calls]
    await until(lambda: sum(task.done() for task in asked) >= 30 - 8 - 16)
    for task in asked:
        task.cancel()
    results = await asyncio.gather(*asked, return_exceptions=True)
    ended = [events[-1] for events in results if not isinstance(events, BaseException)]
    failed = [event for event in ended if isinstance(event, Failed)]
    assert ended == failed
    assert len(failed) == 30 - 8 - 16
    assert {failure.kind for failure in failed} == {FailureKind.BUSY}
    assert all(f.retry_after is not None and f.retry_after >= 1 for f in failed)


async def test_closing_frees_the_slot(backend: LocalBackend, make_call: MakeCall) -> None:
    """Eight calls that are left early make room for one that comes after, at once."""

    async def leave_early() -> None:
        async with aclosing(backend.attempt(TARGET, make_call(LONG, max_tokens=None))) as events:
            async for batch in events:
                for event in batch:
                    if isinstance(event, Delta):
                        return

    await asyncio.gather(*(leave_early() for _ in range(8)))
    # No slot is free, and none will be for half a minute, where a call that was left goes on.
    async with asyncio.timeout(15):
        events = await collect(backend, make_call("Hi", max_tokens=1))
    assert isinstance(events[-1], Finished)


async def test_overflow_names_both_numbers(backend: LocalBackend, make_call: MakeCall) -> None:
    """A prompt that is too long is refused with its own length and the context's."""
    (failed,) = await collect(backend, make_call("one two three four " * 150))
    assert isinstance(failed, Failed)
    assert failed.kind is FailureKind.CONTEXT_OVERFLOW
    assert "the prompt has 6" in failed.message
    assert "context is 512 tokens" in failed.message


async def test_huge_prompt_is_not_tokenized(backend: LocalBackend, make_call: MakeCall) -> None:
    """Megabytes of text are refused by a bound, without minutes of tokenizing."""
    (failed,) = await collect(backend, make_call("x" * 5_000_000))
    assert isinstance(failed, Failed)
    assert "at least 61" in failed.message


async def test_stop_string(backend: LocalBackend, make_call: MakeCall) -> None:
    """Nothing of the stop string, or after it, is shown; which it was is told."""
    question = "What is the capital of France?"
    events = await collect(
        backend, make_call(question, system=SYSTEM, stop=("aris",), max_tokens=24)
    )
    assert text_of(events).endswith("P")
    assert events[-1] == Finished((FinishReason.STOP,), stop="aris")


def test_worker_has_no_key_and_no_network(running: Running) -> None:
    """Keys of our environment are not the worker's, and it has a network namespace of its own."""
    pid = worker_pid(running)
    environment = Path(f"/proc/{pid}/environ").read_bytes()
    assert b"planted" not in environment
    assert b"PYTHONPATH=" in environment
    assert os.readlink(f"/proc/{pid}/ns/net") != os.readlink("/proc/self/ns/net")


async def test_killed_worker_is_replaced(
    running: Running, backend: LocalBackend, make_call: MakeCall
) -> None:
    """kill -9 in the middle: calls fail as lost, and the model comes back without help."""
    victim = worker_pid(running)

    async def kill_at_first_word() -> list[Event]:
        seen: list[Event] = []
        async with aclosing(backend.attempt(TARGET, make_call(LONG, max_tokens=None))) as events:
            async for batch in events:
                for event in batch:
                    if isinstance(event, Delta) and not any(isinstance(e, Delta) for e in seen):
                        os.kill(victim, signal.SIGKILL)
                    seen.append(event)
        return seen

    events = await kill_at_first_word()
    assert isinstance(events[-1], Failed)
    assert events[-1].kind is FailureKind.WORKER_LOST
    assert backend.loaded("smollm2") is None
    assert backend.ready(TARGET)
    # Who asks now waits for the next worker.
    assert isinstance((await collect(backend, make_call("Hi")))[-1], Finished)
    assert worker_pid(running) != victim
    assert running.supervisor.status()[0].restarts >= 1
    assert isinstance((await collect(backend, make_call("Hi")))[-1], Finished)
