"""A ban that comes while an attempt runs, and whatever else comes at the same moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

import pytest

from gateway.domain.call import Call
from gateway.domain.decision import Verdict
from gateway.domain.events import Event, Started
from gateway.domain.target import Target
from gateway.engine.attempt import Serving, Told
from gateway.policy.compile import Policy, compile_policy
from gateway.policy.rules import InFlight, PolicyDocument, vendor_rule
from tests.engine.test_engine import SECOND, House, Scripted


def banned(in_flight: InFlight) -> Policy:
    """The first vendor is denied, the second allowed."""
    rules = (vendor_rule("openai", Verdict.DENY, "a"), vendor_rule("mistral", Verdict.ALLOW, "a"))
    return compile_policy([PolicyDocument("a", rules=rules, in_flight=in_flight)])


class Hanging(Scripted):
    """The first vendor begins and says nothing more until ``go`` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = asyncio.Event()
        self.go = asyncio.Event()

    async def attempt(self, target: Target, call: Call) -> AsyncGenerator[Sequence[Event], None]:
        if target.channel == "openai":
            yield (Started(),)
            self.begun.set()
            try:
                await self.go.wait()
            finally:
                self.closed += 1
        async for events in super().attempt(target, call):
            yield events


async def hanging() -> tuple[House, Hanging, asyncio.Task[list[Told]]]:
    """A request that waits for the first vendor's answer."""
    backend = Hanging()
    house = House(backend)
    task = asyncio.create_task(house.ask())
    await backend.begun.wait()
    return house, backend, task


async def test_a_cut_attempt_ends_and_the_next_target_serves() -> None:
    """The vendor's generator is closed; nothing counts against its health."""
    house, backend, task = await hanging()
    house.policy = banned(InFlight.CUT)
    house.engine.enforce()
    serving = (await task)[0]
    assert isinstance(serving, Serving)
    assert (serving.target, serving.failover) == (SECOND, "policy")
    assert backend.closed == 2
    assert house.engine.health("openai/m").in_row == 0
    assert not task.cancelling()


async def test_finish_cuts_nothing() -> None:
    """The vendor's answer comes to its end."""
    house, backend, task = await hanging()
    house.policy = banned(InFlight.FINISH)
    house.engine.enforce()
    backend.go.set()
    serving = (await task)[0]
    assert isinstance(serving, Serving)
    assert serving.target.channel == "openai"


async def test_an_app_that_goes_away_at_the_same_moment_is_gone() -> None:
    """Its cancellation is not taken for ours: nobody is left to answer."""
    house, backend, task = await hanging()
    house.policy = banned(InFlight.CUT)
    house.engine.enforce()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert backend.asked == []
    assert [record.outcome for record in house.records] == ["cancelled"]
