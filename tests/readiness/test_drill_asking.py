"""What a drill asks by itself: of every kind that a target can do, model by model."""

from __future__ import annotations

import time
from collections.abc import Collection
from itertools import islice

import pytest

from gateway.domain.call import Api, Chat, ShapeKind
from gateway.domain.decision import Labels
from gateway.domain.drilled import Moved
from gateway.domain.target import Capability
from gateway.readiness.drill.asking import asked, bodies, called, kinds

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
