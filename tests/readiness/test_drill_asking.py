"""What a drill asks by itself: of every kind that a target can do, model by model."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest

from gateway.audit.journal import Journal
from gateway.domain.call import Api, Chat, ShapeKind
from gateway.domain.decision import Labels
from gateway.domain.drill import Drill
from gateway.domain.drilled import Moved
from gateway.domain.identity import Locality
from gateway.domain.target import Capability, Target
from gateway.engine.routes import Route, Routes
from gateway.readiness.drill.asking import Asker, asked, bodies, called, kinds
from gateway.routing.groups import in_order
from tests.engine.test_engine import FIRST, SECOND, House, Scripted
from tests.engine.test_heard import Kept

TOOLS, SCHEMA = frozenset({Capability.TOOLS}), frozenset({Capability.JSON_SCHEMA})
CHAT, VECTORS = Capability.CHAT, Capability.EMBEDDINGS


@pytest.mark.parametrize(
    ("can", "needs"),
    [
        (None, [frozenset(), frozenset(), frozenset(), TOOLS, SCHEMA]),
        ({Capability.TOOLS}, [frozenset(), frozenset(), frozenset(), TOOLS]),
        ({CHAT, Capability.JSON_SCHEMA}, [frozenset(), frozenset(), frozenset(), SCHEMA]),
        ({CHAT, VECTORS}, [frozenset(), frozenset(), frozenset()]),
        ({VECTORS}, []),
    ],
)
def test_a_target_is_asked_for_what_it_can(
    can: Collection[str] | None, needs: list[frozenset[Capability]]
) -> None:
    """As an app's requests are read; of what is known to be for vectors alone, nothing."""
    now = time.monotonic()
    calls = [called("r", {"model": "m", **fields}, Labels(), now, now + 1) for fields in kinds(can)]
    assert [call.needs for call in calls] == needs
    assert all(call.typed and call.api is Api.CHAT and call.model == "m" for call in calls)


def test_texts_are_of_several_lengths_and_answers_have_an_end() -> None:
    """And the function and the schema are those that the body says."""
    now = time.monotonic()
    calls = [called("r", {"model": "m", **one}, Labels(), now, now + 1) for one in kinds(None)]
    tasks = [call.task for call in calls]
    chats = [task for task in tasks if isinstance(task, Chat)]
    lengths = [len(chat.messages[0].content) for chat in chats]
    assert len(chats) == 5
    assert lengths[0] * 5 < lengths[1] < lengths[2] / 5
    assert all(chat.max_tokens is not None and chat.max_tokens <= 96 for chat in chats)
    tools, shape = chats[3].tools, chats[4].shape
    assert tools is not None
    assert tools.named == "weather"
    assert shape is not None
    assert shape.kind is ShapeKind.JSON_SCHEMA


def test_models_and_kinds_take_turns() -> None:
    """Half of each kind is streamed."""
    first, second = [{"n": 1}, {"n": 2}, {"n": 3}], [{"n": 9}]
    drawn = [*islice(bodies({"a": first, "b": second}), 12)]
    assert [one["model"] for one in drawn] == ["a", "b"] * 6
    assert [one["n"] for one in drawn if one["model"] == "a"] == [1, 2, 3, 1, 2, 3]
    assert {(one["n"], one["stream"]) for one in drawn if one["model"] == "a"} == {
        (n, stream) for n in (1, 2, 3) for stream in (True, False)
    }


@pytest.mark.parametrize(
    ("locality", "wanted"),
    [("local", True), ("sovereign", True), ("cloud", False), (None, False)],
)
def test_nothing_is_asked_that_a_vendor_would_answer(locality: str | None, wanted: bool) -> None:
    """Nor where nothing would."""
    assert asked(Moved("m", locality and "a/b", locality)) is wanted


@pytest.mark.parametrize(
    "gone",
    [
        lambda one: None,
        lambda one: replace(one, id="another"),
        lambda one: replace(one, started=one.until - timedelta(minutes=1)),
    ],
    ids=["ended", "another runs", "the clock was set back"],
)
async def test_it_asks_no_more_once_the_drill_is_gone(
    gone: Callable[[Drill], Drill | None],
) -> None:
    """What would be asked without it would be asked of the vendor."""
    kept, house = Kept(), House(Scripted(), FIRST, SECOND)
    ours = Target("mistral", "m", replace(SECOND.identity, locality=Locality.LOCAL))
    house.engine.change(Routes({"gpt": Route(in_order(FIRST, ours), name="gpt")}, ()))
    now = datetime.now(UTC)
    drill = Drill("d1", "openai", now, now + timedelta(hours=1), "me", "a test", rate=50.0)
    house.engine.drill = drill
    models = {"gpt": [*kinds(frozenset({CHAT}))]}
    asking = asyncio.create_task(Asker(house.engine, Journal(kept), drill, models, 10.0).run())
    async with asyncio.timeout(20):
        while len(kept.records) < 3:  # noqa: ASYNC110 - it asks by the clock
            await asyncio.sleep(0.01)
        house.engine.drill = gone(drill)
        await asking
    assert set(house.backend.asked) == {"mistral"}
    assert {one.drill for one in kept.records if one.outcome == "served"} == {"d1"}
