"""Requests for vectors: who may stand in for whom, and who is asked at all."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from gateway.domain.call import Api, Embedding
from gateway.domain.events import Embedded, Event, FailureKind, Finished, Started, Usage
from gateway.domain.plan import LeftOut
from gateway.domain.target import Capability
from gateway.engine.attempt import Serving
from gateway.engine.routes import Route
from gateway.errors import CapabilityMissing, PolicyDenied, Unavailable
from gateway.routing.groups import Group
from tests.engine.test_engine import ALLOW_ALL, FIRST, SECOND, House, Scripted, failed, policy

VECTORS: tuple[Event, ...] = (Started(), Embedded((b"\0\0\0\0",)), Usage(1, 0), Finished())
BOTH = frozenset({FIRST.id, SECOND.id})
NEEDS = frozenset({Capability.EMBEDDINGS})
TEXT = (Capability.CHAT, Capability.COMPLETIONS)


async def ask(house: House, **fields: Any) -> Serving:
    """Who answers a request for a vector."""
    base: dict[str, Any] = {"api": Api.EMBEDDINGS, "asked": Embedding(("x",)), "needs": NEEDS}
    first, *rest = await house.ask(stream=False, **(base | fields))
    assert any(isinstance(event, Embedded) for event in rest)
    assert isinstance(first, Serving)
    return first


async def test_another_space_never_answers() -> None:
    """A store of vectors would be filled with what cannot be compared, and nobody would notice: the
    error says why nobody else was asked.
    """
    backend = Scripted(openai=failed(FailureKind.SERVER_ERROR), mistral=VECTORS)
    house = House(backend)
    with pytest.raises(Unavailable) as caught:
        await ask(house)
    assert set(backend.asked) == {"openai"}
    assert f"{FIRST.id}: server_error" in caught.value.message
    assert f"{SECOND.id}: other_vectors (its vectors are not declared" in caught.value.message
    (record,) = house.records
    assert [(one.target, one.left_out) for one in record.targets] == [
        (FIRST.id, ""),
        (SECOND.id, "other_vectors"),
    ]


async def test_one_that_is_declared_equivalent_does() -> None:
    """The header says why the first did not."""
    backend = Scripted(openai=failed(FailureKind.SERVER_ERROR), mistral=VECTORS)
    serving = await ask(House(backend, equivalent=BOTH))
    assert (serving.target, serving.failover) == (SECOND, "server_error")


async def test_a_ban_of_the_only_space_is_a_ban() -> None:
    """As of the only target; and where an equivalent one is left, it answers."""
    banned = policy(openai="deny", mistral="allow")
    backend = Scripted(mistral=VECTORS)
    with pytest.raises(PolicyDenied) as caught:
        await ask(House(backend, in_force=banned))
    assert "vendor openai is denied" in caught.value.message
    assert backend.asked == []
    serving = await ask(House(backend, in_force=banned, equivalent=BOTH))
    assert (serving.target, serving.failover) == (SECOND, "policy")


async def test_one_that_rests_is_not_stood_in_for() -> None:
    """Nothing is tried, and the app is told when to come back."""
    backend = Scripted(openai=failed(FailureKind.RATE_LIMITED, retry_after=30.0), mistral=VECTORS)
    house = House(backend)
    for said in ("rate_limited", "resting"):
        with pytest.raises(Unavailable) as caught:
            await ask(house)
        assert f"{FIRST.id}: {said}" in caught.value.message
        assert "other_vectors" in caught.value.message
    assert caught.value.retry_after == pytest.approx(30, abs=1)


async def test_a_chat_fails_over_as_ever() -> None:
    """``equivalent`` is about vectors alone."""
    backend = Scripted(openai=failed(FailureKind.SERVER_ERROR))
    house = House(backend)
    serving = (await house.ask())[0]
    assert isinstance(serving, Serving)
    assert serving.target == SECOND


THIRD = replace(SECOND, model="third")
A, B, C = FIRST.id, SECOND.id, THIRD.id
SPACES = [
    # groups, equivalent, who may answer
    ([[FIRST], [SECOND], [THIRD]], set(), {A}),
    ([[FIRST], [SECOND], [THIRD]], {A, C}, {A, C}),
    # What is equivalent to each other and not to the first stands in for nobody.
    ([[FIRST], [SECOND], [THIRD]], {B, C}, {A}),
    ([[FIRST, SECOND], [THIRD]], set(), {A}),
    ([[FIRST, SECOND], [THIRD]], {A, B}, {A, B}),
    ([[FIRST, SECOND], [THIRD]], {A, B, C}, {A, B, C}),
    # The first of the group says which space it is.
    ([[FIRST, SECOND], [THIRD]], {A, C}, {A, C}),
    ([[FIRST, SECOND], [THIRD]], {B, C}, {A}),
]


@pytest.mark.parametrize(("groups", "equivalent", "space"), SPACES)
def test_whose_vectors_are_of_one_space(groups: Any, equivalent: set[str], space: set[str]) -> None:
    """What is not declared is not assumed, of equal targets neither."""
    made = tuple(Group(tuple(group), (1.0,) * len(group)) for group in groups)
    assert Route(made, equivalent=frozenset(equivalent)).one_space == space


async def test_a_worker_that_has_no_vectors_is_left_out() -> None:
    """Whatever its configuration lets it do; the app is told what is missing of which model."""
    backend = Scripted(openai=VECTORS, mistral=VECTORS)
    house = House(backend, told={"openai": TEXT}, equivalent=BOTH)
    serving = await ask(house)
    assert (serving.target, serving.failover) == (SECOND, "capability")
    with pytest.raises(CapabilityMissing) as caught:
        await ask(House(backend, FIRST, told={"openai": TEXT}))
    assert "No target that may be used now supports: embeddings" in caught.value.message
    assert caught.value.param == "embeddings"


async def test_an_encoder_is_left_out_of_chats() -> None:
    """Which have no needs that it does not meet, but the chat itself."""
    backend = Scripted()
    house = House(backend, told={"openai": (Capability.EMBEDDINGS,), "mistral": TEXT})
    serving = (await house.ask())[0]
    assert isinstance(serving, Serving)
    assert (serving.target, serving.failover) == (SECOND, "capability")
    (omitted,) = house.engine.plan("gpt", api=Api.CHAT).omitted
    assert (omitted.why, omitted.detail) == (LeftOut.CAPABILITY, "chats")


async def test_what_is_not_told_is_not_held_against_a_target() -> None:
    """A model that is loaded on demand tells nothing before it is asked."""
    assert (await ask(House(Scripted(openai=VECTORS)))).target == FIRST


def test_a_model_with_equivalent_targets_is_explained_as_one_for_vectors() -> None:
    """Where nobody says which API is meant. Any other is explained as for a chat."""
    engine = House(Scripted(), FIRST, SECOND, equivalent=frozenset({FIRST.id})).engine
    assert [one.why for one in engine.plan("gpt").omitted] == [LeftOut.OTHER_VECTORS]
    assert House(Scripted(), in_force=ALLOW_ALL).engine.plan("gpt").omitted == ()
