"""What a drill takes away from plans, what it leaves alone, and who answers after all."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.audit.record import Record
from gateway.domain.call import Api, Call, Chat
from gateway.domain.decision import Labels
from gateway.domain.drill import Drill
from gateway.domain.events import Called, Continued, Delta, Failed, FailureKind, Started
from gateway.domain.identity import Identity, Locality, Party, Role
from gateway.domain.target import Capability, Target
from gateway.engine.attempt import Serving, Told
from gateway.errors import CapabilityMissing, PolicyDenied, Refused, Unavailable
from tests.engine.test_engine import FIRST, SECOND, House, Scripted, failed, policy, target

BEGAN = datetime.now(UTC)


def drill(**fields: Any) -> Drill:
    base = {
        "id": "d1",
        "vendor": "openai",
        "started": BEGAN - timedelta(seconds=1),
        "until": BEGAN + timedelta(hours=1),
        "actor": "local:test",
        "reason": "a test",
    }
    return Drill(**{**base, **fields})


def house(backend: Scripted | None = None, *targets: Target, **fields: Any) -> House:
    found = House(backend or Scripted(), *targets)
    found.engine.drill = drill(**fields)
    return found


def serving(told: list[Told]) -> Serving:
    assert isinstance(told[0], Serving)
    return told[0]


async def test_another_serves_and_says_that_a_drill_is_why() -> None:
    """The decisions that are written down are the real ones."""
    there = house()
    told = serving(await there.ask())
    assert (told.target, told.failover) == (SECOND, "drill")
    (record,) = there.records
    assert (record.drill, record.policy) == ("d1", there.policy.revision)
    assert [(t.left_out, t.verdict) for t in record.targets] == [("drill", "allow"), ("", "allow")]
    assert there.backend.asked == ["mistral"]


@pytest.mark.parametrize(
    "kind", [FailureKind.BUSY, FailureKind.SERVER_ERROR, FailureKind.REQUEST_FAULT]
)
async def test_what_nobody_else_can_is_answered_by_the_vendor(kind: FailureKind) -> None:
    """Also where another target says that the request itself is at fault."""
    there = house(Scripted(mistral=failed(kind, status=400)))
    told = serving(await there.ask())
    assert told.target == FIRST
    assert there.backend.asked[-1] == "openai"
    assert there.records[0].outcome == "served"
    assert there.records[0].attempts[0].outcome == kind


async def test_an_answer_that_breaks_off_is_gone_on_with() -> None:
    """By the vendor, as by any target that stands behind."""
    broken = (Started(), Delta("Hel"), *failed(FailureKind.WORKER_LOST))
    there = house(Scripted(mistral=broken))
    told = await there.ask()
    assert serving(told).target == SECOND
    assert any(isinstance(one, Continued) for one in told)
    assert there.records[0].outcome == "served"


async def test_an_answer_that_nobody_can_go_on_with_ends() -> None:
    """As it would under a ban."""
    broken = (Started(), Called(0, "{", "c1", "f"), *failed(FailureKind.WORKER_LOST))
    there = house(Scripted(mistral=broken))
    assert isinstance((await there.ask())[-1], Failed)
    assert "openai" not in there.backend.asked


async def test_the_vendors_own_verdict_is_the_last_word() -> None:
    """Where it answers after all and says no, nobody else is asked."""
    third = target("third")
    scripts = {"mistral": failed(FailureKind.BUSY)}
    scripts["openai"] = failed(FailureKind.REQUEST_FAULT, status=400)
    there = house(Scripted(**scripts), FIRST, third, SECOND, roles=(Role.CHANNEL,))
    there.policy = policy(openai="allow", mistral="allow", third="allow")
    there.engine._backends = dict.fromkeys(("openai", "mistral", "third"), there.backend)
    there.engine.drill = drill()
    told = serving(await there.ask())
    assert told.target == third
    there.backend.scripts["third"] = failed(FailureKind.BUSY)
    there.backend.asked.clear()
    with pytest.raises(Exception, match="it failed"):
        await there.ask()
    assert there.backend.asked == ["third", "mistral", "openai"]


async def test_a_strict_one_lets_the_app_see_it() -> None:
    """No 451, which would be a lie: policy has not denied it."""
    there = house(None, FIRST, strict=True)
    with pytest.raises(Unavailable, match="drill d1 practises a ban of openai") as caught:
        await there.ask()
    assert (caught.value.code, caught.value.retry_after) == ("no_healthy_target", None)
    assert (there.backend.asked, there.records[0].drill) == ([], "d1")


async def test_a_strict_one_says_what_local_cannot() -> None:
    """As the app would see it under a ban."""
    there = house(None, FIRST, target("mistral", capabilities=frozenset()), strict=True)
    with pytest.raises(CapabilityMissing) as caught:
        await there.ask(needs=frozenset({Capability.TOOLS}))
    assert caught.value.param == "tools"


async def test_it_opens_nothing_that_policy_denies() -> None:
    """The rescue is a target like any other, asked of policy at the dial."""
    there = house(Scripted(mistral=failed(FailureKind.BUSY)))
    there.policy = policy(openai="deny", mistral="allow")
    with pytest.raises(Unavailable):
        await there.ask()
    assert there.backend.asked == ["mistral"]
    assert there.records[0].drill is None
    there.policy = policy(openai="deny", mistral="deny")
    with pytest.raises(PolicyDenied):
        await there.ask()


async def test_vectors_are_never_of_another_space() -> None:
    """The vendor answers, or nobody does."""
    there = house()
    told = serving(await there.ask(api=Api.EMBEDDINGS, stream=False))
    assert told.target == FIRST
    assert [t.left_out for t in there.records[0].targets] == ["drill", "other_vectors"]
    there.engine.drill = drill(strict=True)
    with pytest.raises(Unavailable, match="drill d1"):
        await there.ask(api=Api.EMBEDDINGS, stream=False)


async def test_it_ends_by_the_clock_and_by_being_taken_away() -> None:
    """Plans that were made meanwhile are not used afterwards, nor those of another drill."""
    there = house()
    assert serving(await there.ask()).target == SECOND
    there.engine.drill = drill(until=datetime.now(UTC))
    assert serving(await there.ask()).target == FIRST
    there.engine.drill = drill(id="d2", vendor="mistral")
    await there.ask()
    assert [t.left_out for t in there.records[-1].targets] == ["", "drill"]
    there.engine.drill = None
    assert serving(await there.ask()).target == FIRST
    assert [one.drill for one in there.records] == ["d1", None, "d2", None]


@pytest.mark.parametrize("left", [None, {"until": BEGAN}, {"rate": None}])
async def test_what_it_asks_itself_is_asked_of_nobody_without_it(
    left: dict[str, Any] | None,
) -> None:
    """It may have ended since that was asked: the vendor is not to answer it."""
    there = house()
    there.engine.drill = None if left is None else drill(**{"rate": 1.0, **left})
    now = time.monotonic()
    call = Call("r1", Api.CHAT, "gpt", False, b"", Chat(()), now, now + 60)
    record = Record(id="r1", at=datetime.now(UTC), api=Api.CHAT, origin="drill")
    with pytest.raises(Refused, match="the drill that asks is over"):
        there.engine.run(call, record)
    assert there.backend.asked == []


async def test_what_it_does_not_take_is_none_of_it() -> None:
    """A request for a model of others, and one whose vendor is left out for another reason."""
    there = house(Scripted(openai=failed(FailureKind.UNAUTHORIZED)), vendor="nobody")
    assert serving(await there.ask()).target == SECOND
    there.engine.drill = drill()
    assert serving(await there.ask()).target == SECOND
    assert there.records[-1].targets[0].left_out == "misconfigured"
    assert [one.drill for one in there.records] == [None, None]


NOW = BEGAN
WEB = Labels(app="web")


@pytest.mark.parametrize(
    ("fields", "labels", "origin", "covered"),
    [
        ({}, Labels(), None, True),
        ({}, WEB, None, True),
        ({}, WEB, "canary", False),
        ({}, WEB, "drill", False),
        ({"apps": ("web",)}, WEB, None, True),
        ({"apps": ("web",)}, Labels(), None, False),
        ({"apps": ("web",)}, Labels(claimed=WEB), None, True),
        ({"apps": ("other",)}, Labels(app="web", claimed=Labels(app="web")), None, False),
        ({"rate": 1.0}, WEB, None, False),
        ({"rate": 1.0}, WEB, "canary", False),
        ({"rate": 1.0}, WEB, "drill", True),
        ({"started": NOW + timedelta(seconds=1)}, WEB, None, False),
        ({"until": NOW}, WEB, None, False),
        ({"until": NOW + timedelta(microseconds=1)}, WEB, None, True),
    ],
)
def test_which_requests_it_covers(
    fields: dict[str, Any], labels: Labels, origin: str | None, covered: bool
) -> None:
    """By time, app and who asks; of its own requests it covers only those."""
    assert drill(**fields).covers("r1", labels, origin, NOW) is covered


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9])
def test_a_share_is_that_share_and_the_same_again(share: float) -> None:
    """Of 20,000 requests, within five standard deviations; another drill draws others."""
    one, other = drill(share=share), drill(id="d2", share=share)
    ids = [f"r{number}" for number in range(20_000)]
    drawn = {id for id in ids if one.covers(id, WEB, None, NOW)}
    bound = 5 * (share * (1 - share) / len(ids)) ** 0.5
    assert abs(len(drawn) / len(ids) - share) < bound
    assert drawn == {id for id in ids if one.covers(id, WEB, None, NOW)}
    both = drawn & {id for id in ids if other.covers(id, WEB, None, NOW)}
    assert abs(len(both) / len(ids) - share**2) < bound


@pytest.mark.parametrize(
    ("fields", "parties", "locality", "taken"),
    [
        ({}, [(Role.CHANNEL, "openai")], Locality.CLOUD, True),
        ({}, [(Role.CHANNEL, "azure"), (Role.DEVELOPER, "openai")], Locality.CLOUD, True),
        ({}, [(Role.CHANNEL, "azure"), (Role.DEVELOPER, "mistral")], Locality.CLOUD, False),
        ({}, [(Role.CHANNEL, "self"), (Role.LINEAGE, "openai")], Locality.LOCAL, False),
        ({"roles": (Role.LINEAGE,)}, [(Role.LINEAGE, "openai")], Locality.LOCAL, True),
        ({"rate": 1.0}, [(Role.CHANNEL, "mistral")], Locality.CLOUD, True),
        ({"rate": 1.0}, [(Role.CHANNEL, "self")], Locality.SOVEREIGN, False),
    ],
)
def test_which_targets_it_takes(
    fields: dict[str, Any], parties: list[tuple[Role, str]], locality: Locality, taken: bool
) -> None:
    """A vendor by its roles, through whichever channel; its own requests are sent to no vendor."""
    identity = Identity("a", "b", "m", (), locality, tuple(Party(*one) for one in parties))
    assert drill(**fields).takes(identity) is taken
