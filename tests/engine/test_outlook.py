"""Plans that are made once, and everything that makes them others."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.audit.record import Record
from gateway.domain.call import Api, Call, Chat
from gateway.domain.decision import Labels, Verdict
from gateway.domain.events import FailureKind
from gateway.domain.target import Capability
from gateway.engine import loop
from gateway.engine.routes import Route, Routes
from gateway.policy.compile import compile_policy
from gateway.policy.rules import Match, PolicyDocument, Rule, vendor_rule
from gateway.routing.groups import in_order
from tests.engine.test_engine import FIRST, SECOND, House, Scripted, failed, policy, target

OPENAI = Match(vendor=frozenset({"openai"}))


async def served(house: House, at: datetime | None = None, **fields: Any) -> str | None:
    """Who serves a request that is made at an instant."""
    now = time.monotonic()
    call = Call("r", Api.CHAT, "gpt", False, b"", Chat(()), now, now + 60, **fields)
    record = Record(id="r", at=at or datetime.now(UTC), api=Api.CHAT)
    house.records.append(record)
    async for _ in house.engine.run(call, record):
        pass
    return record.served_by


async def test_the_same_facts_give_the_same_plan() -> None:
    """What the record says of the targets is even the same object: it is written once."""
    house = House(Scripted())
    for _ in range(3):
        assert await served(house, labels=Labels(team="red")) == "openai/m"
    first, second, third = (record.targets for record in house.records)
    assert first is second is third
    assert [row.target for row in first] == ["openai/m", "mistral/m"]


async def test_a_ban_is_seen_by_the_next_request() -> None:
    """And so is its end."""
    house = House(Scripted())
    assert await served(house) == "openai/m"
    allowed, house.policy = house.policy, policy(openai="deny", mistral="allow")
    assert await served(house) == "mistral/m"
    assert [row.left_out for row in house.records[-1].targets] == ["policy", ""]
    house.policy = allowed
    assert await served(house) == "openai/m"


async def test_a_rule_that_begins_is_seen_at_its_instant() -> None:
    """Nothing but the time has changed."""
    begins = datetime.now(UTC) + timedelta(hours=1)
    rules = (
        Rule("later", OPENAI, Verdict.DENY, start=begins),
        *(vendor_rule(vendor, Verdict.ALLOW, "a") for vendor in ("openai", "mistral")),
    )
    house = House(Scripted(), in_force=compile_policy([PolicyDocument("a", rules=rules)]))
    tick = timedelta(microseconds=1)
    found = [await served(house, at) for at in (begins - tick, begins, begins - tick)]
    assert found == ["openai/m", "mistral/m", "openai/m"]


async def test_labels_are_told_apart() -> None:
    """Who may claim many things cannot make the gateway remember them all."""
    house = House(Scripted())
    for number in range(loop.MOST_OUTLOOKS + 5):
        house.engine._outlook(
            "gpt", house.policy, Labels(app=f"{number}"), datetime.now(UTC), vectors=False
        )
    assert len(house.engine._outlooks) <= loop.MOST_OUTLOOKS


async def test_health_needs_and_readiness_are_of_the_moment() -> None:
    """A plan that was right a moment ago is not used for them."""
    house = House(
        Scripted(openai=failed(FailureKind.UNAUTHORIZED)),
        *(target("openai", capabilities=frozenset({Capability.TOOLS})), SECOND),
    )
    assert await served(house) == "mistral/m"
    assert [row.left_out for row in house.records[-1].targets] == ["", ""]
    assert await served(house) == "mistral/m"
    assert [row.left_out for row in house.records[-1].targets] == ["misconfigured", ""]
    house.engine.change(house.engine.routes, ["openai"])
    house.backend.scripts = {}
    assert await served(house) == "openai/m"
    assert await served(house, needs=frozenset({Capability.LOGPROBS})) == "mistral/m"
    house.engine._listed = lambda target: target.channel == "mistral"
    assert await served(house) == "mistral/m"
    assert [row.left_out for row in house.records[-1].targets] == ["not_listed", ""]


async def test_another_configuration_is_seen() -> None:
    """The plan goes by the routes that are there now."""
    house = House(Scripted())
    assert await served(house) == "openai/m"
    exact = {"gpt": Route(in_order(FIRST, SECOND), name="gpt")}
    house.engine.change(Routes(exact, without_credentials=frozenset({"openai"})))
    assert await served(house) == "mistral/m"
    assert [row.left_out for row in house.records[-1].targets] == ["no_credentials", ""]
    house.engine.change(Routes({"gpt": Route(in_order(SECOND, FIRST), name="gpt")}))
    assert await served(house) == "mistral/m"
    assert [row.target for row in house.records[-1].targets] == ["mistral/m", "openai/m"]
