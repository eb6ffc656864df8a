"""Models that are loaded when asked for: the decisions, and real workers that come and go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

from gateway.background import Background
from gateway.domain.events import Delta, Event, Finished
from gateway.domain.local_model import LocalModel
from gateway.errors import ModelFileError
from gateway.local.client import LocalBackend
from gateway.local.fit import BASE, MARGIN, Needs, needs
from gateway.local.gguf import read_header
from gateway.local.keeper import ModelState
from gateway.local.residency import (
    Resident,
    Room,
    check_budget,
    idle_since,
    least_memory,
    make_room,
)
from gateway.local.supervisor import Supervisor
from tests.local.running import TARGET, MakeCall, until

MB = 1 << 20
ALWAYS = Resident("always", 30, always=True, busy=False, used=0.0)
BUSY = Resident("busy", 30, always=False, busy=True, used=1.0)
OLD = Resident("old", 20, always=False, busy=False, used=2.0)
NEW = Resident("new", 20, always=False, busy=False, used=3.0)


@pytest.mark.parametrize(
    ("loaded", "size", "budget", "names"),
    [
        ([OLD, NEW], 50, None, ()),
        ([OLD, NEW], 10, 50, ()),
        ([NEW, OLD], 20, 50, ("old",)),
        ([NEW, OLD], 40, 50, ("old", "new")),
        ([BUSY, NEW], 20, 50, ("new",)),
        ([BUSY, ALWAYS], 10, 60, None),
        ([ALWAYS, OLD], 40, 70, ("old",)),
        # Whoever was used last is spared where it is enough that a larger one goes.
        ([NEW, replace(OLD, memory=50)], 40, 70, ("old",)),
        ([OLD, replace(NEW, memory=50)], 40, 70, ("new",)),
    ],
)
def test_who_gives_way(
    loaded: list[Resident], size: int, budget: int | None, names: tuple[str, ...] | None
) -> None:
    """Whoever was used longest ago, as few as needed; never who is at work or is always there."""
    wanted = Needs(layers=(), stores=(), rest=size - BASE, working=0)
    plan = make_room(loaded, wanted, None, budget)
    assert (plan.unload if plan is not None else None) == names


LAYERED = Needs(layers=(10 * MB,) * 4, stores=(0,) * 4, rest=0, working=0, output=10 * MB)
"""Five layers of 10 MB; while not all of them are there, a device keeps 10 MB for one more."""


def there(name: str, used: float, *, busy: bool = False, always: bool = False) -> Resident:
    """One with 50 MB on the device and nothing in main memory."""
    return Resident(name, 0, always, busy, used, {"G0": 50 * MB})


@pytest.mark.parametrize(
    ("loaded", "free", "limit", "asked", "layers", "names"),
    [
        ([], 50, 1000, None, 5, ()),
        ([], 40, 1000, None, 3, ()),
        ([], 1000, 40, None, 3, ()),
        # An idle one goes for more layers, the one that was used longest ago.
        ([there("new", 3), there("old", 2)], 0, 1000, None, 5, ("old",)),
        ([there("new", 3), there("old", 2)], 50, 1000, None, 5, ()),
        # The limit counts ours, whatever the device says that it has free.
        ([there("new", 3), there("old", 2)], 1000, 100, None, 5, ("old",)),
        # Nobody waits for one at work, or for one that is always there.
        ([there("busy", 3, busy=True)], 30, 1000, None, 2, ()),
        ([there("always", 3, always=True)], 0, 1000, None, 0, ()),
        # For no more layers than there are, nobody goes.
        ([there("old", 2)], 0, 30, None, 2, ("old",)),
        ([there("old", 2)], 0, 1000, 0, 0, ()),
        ([there("old", 2), there("new", 3)], 0, 1000, 3, 3, ("old",)),
    ],
)
def test_layers_or_others(
    loaded: list[Resident],
    free: int,
    limit: int,
    asked: int | None,
    layers: int,
    names: tuple[str, ...],
) -> None:
    """On a device, by what is free there and what our models may have of it."""
    room = Room("G0", free * MB + MARGIN, limit * MB + MARGIN)
    plan = make_room(loaded, LAYERED, asked, None, [room])
    assert plan is not None
    assert (plan.placed.gpu_layers, plan.unload) == (layers, names)


def test_what_is_on_a_device_is_not_in_main_memory() -> None:
    """A model too large for the budget of main memory is loaded where its layers are elsewhere."""
    room = Room("G0", 1000 * MB, 1000 * MB)
    budget = BASE + 20 * MB
    assert make_room([], LAYERED, None, budget) is None
    plan = make_room([], LAYERED, None, budget, [room])
    assert plan is not None
    assert plan.placed.memory == BASE == least_memory(LAYERED, [room], None)
    assert least_memory(LAYERED, [], None) == LAYERED.total


def test_who_has_had_nothing_to_do() -> None:
    """Since a time; by the same exceptions."""
    assert idle_since([ALWAYS, BUSY, OLD, NEW], 2.5) == ["old"]


def test_what_can_never_be_loaded_is_said_at_the_start() -> None:
    """With the numbers."""
    check_budget({"a": 50}, {"b": 50, "c": 40}, 100)
    with pytest.raises(ModelFileError, match=r"need 110 bytes \(a 50, b 60\).* allows 100"):
        check_budget({"a": 50, "b": 60}, {}, 100)
    with pytest.raises(ModelFileError, match=r"c needs 60 bytes beside the 50 .* allows 100"):
        check_budget({"a": 50}, {"c": 60}, 100)


class House:
    """Two models on one file, of which one fits at a time."""

    def __init__(self, model: LocalModel, folder: Path, idle: float | None = None) -> None:
        small = replace(model, context=256, slots=2, preload=False)
        self.models = [replace(small, name="one"), replace(small, name="two")]
        size = needs(read_header(model.manifest.path), 256, 2).total
        self.supervisor = Supervisor(
            self.models,
            folder / "run",
            folder / "state",
            Background(),
            budget=size * 3 // 2,
            idle=idle,
        )
        self.backend = LocalBackend({}, Background())

    async def open(self) -> None:
        await self.supervisor.start()
        self.backend = LocalBackend(self.supervisor.sockets(), Background(), ["one", "two"])
        await self.backend.start()

    async def close(self) -> None:
        await self.backend.stop()
        await self.supervisor.stop()

    async def ask(self, name: str, make_call: MakeCall, **fields: object) -> list[Event]:
        target = structs.replace(TARGET, model=name)
        async with aclosing(self.backend.attempt(target, make_call("Hi", **fields))) as batches:
            return [event async for batch in batches for event in batch]

    def states(self) -> list[ModelState]:
        return [status.state for status in self.supervisor.status()]


@pytest.fixture
async def house(model: LocalModel, tmp_path: Path) -> AsyncIterator[House]:
    house = House(model, tmp_path)
    await house.open()
    yield house
    await house.close()


async def test_a_model_is_loaded_by_its_first_request_and_gives_way_to_another(
    house: House, make_call: MakeCall
) -> None:
    """Neither is there at first; each answers; there is never more than one."""
    assert house.states() == [ModelState.UNLOADED, ModelState.UNLOADED]
    assert house.backend.ready(structs.replace(TARGET, model="one"))
    assert isinstance((await house.ask("one", make_call))[-1], Finished)
    assert house.states() == [ModelState.READY, ModelState.UNLOADED]
    assert isinstance((await house.ask("two", make_call))[-1], Finished)
    assert house.states() == [ModelState.UNLOADED, ModelState.READY]
    assert isinstance((await house.ask("one", make_call))[-1], Finished)
    assert [status.restarts for status in house.supervisor.status()] == [0, 0]


async def test_an_answer_at_work_is_not_unloaded_from_under_its_app(
    house: House, make_call: MakeCall
) -> None:
    """The other waits until it is at its end, and is then answered."""
    target = structs.replace(TARGET, model="one")
    long = make_call("Tell me a long story.", max_tokens=150)
    text = ""
    async with aclosing(house.backend.attempt(target, long)) as events:
        waiting: asyncio.Task[list[Event]] | None = None
        async for batch in events:
            for event in batch:
                if isinstance(event, Delta):
                    text += event.text
                    waiting = waiting or asyncio.create_task(house.ask("two", make_call))
                last = event
    assert isinstance(last, Finished)
    assert len(text) > 100
    assert waiting is not None
    assert isinstance((await waiting)[-1], Finished)


async def test_one_that_has_nothing_to_do_is_unloaded(
    model: LocalModel, tmp_path: Path, make_call: MakeCall
) -> None:
    """After the time that is configured, and comes back when it is asked for."""
    house = House(model, tmp_path, idle=0.5)
    await house.open()
    assert isinstance((await house.ask("one", make_call))[-1], Finished)
    await until(lambda: house.states()[0] is ModelState.UNLOADED)
    assert isinstance((await house.ask("one", make_call))[-1], Finished)
    await house.close()
