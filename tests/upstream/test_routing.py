"""A router under policy, over real sockets: what it is sent, and which answers are let through."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from gateway.config.shipped import load_catalog, load_routers
from gateway.domain.call import Api, Call, Chat
from gateway.domain.decision import Handling, Labels, Mode, Verdict
from gateway.domain.events import Event, Failed, FailureKind, Finished, Started
from gateway.domain.identity import ChannelFacts, Deployment
from gateway.domain.target import Target
from gateway.engine.judge import Judge
from gateway.policy.compile import Policy, compile_policy
from gateway.policy.rules import Match, PolicyDocument, Rule, When, vendor_rule
from gateway.upstream.guard import EgressGuard
from gateway.upstream.relay import RelayBackend
from gateway.vendors.resolve import resolve
from tests.simulators.vendor import VendorSimulator
from tests.upstream.channels import channel

CATALOG = load_catalog()
FACTS = {
    "router": ChannelFacts("router", "openrouter", "openai", provider="openrouter"),
    "vercel": ChannelFacts("vercel", "vercel", "openai", provider="vercel"),
    "hf": ChannelFacts("hf", "huggingface", "openai", provider="huggingface"),
    "azure": ChannelFacts(
        "azure", "microsoft", "openai", deployments={"prod": Deployment("openai", "gpt-4o")}
    ),
}


def policy(*rules: Rule, **verdicts: str) -> Policy:
    lines = (vendor_rule(v, Verdict(verdict), "a") for v, verdict in verdicts.items())
    return compile_policy([PolicyDocument("a", rules=(*rules, *lines))])


class House:
    """A relay to one simulator, with a judge over a policy that tests may change."""

    def __init__(self, vendor: VendorSimulator) -> None:
        self.vendor = vendor
        self.policy = policy(openrouter="allow", openai="allow", microsoft="allow")
        self.judge = Judge(lambda: self.policy, FACTS, CATALOG, load_routers(CATALOG))
        self.backend = RelayBackend(
            {name: channel(vendor.url, name=name) for name in FACTS},
            EgressGuard(),
            self.judge,
        )

    async def ask(
        self,
        channel: str = "router",
        model: str = "openai/gpt-4o",
        *,
        team: str | None = None,
        **fields: object,
    ) -> list[Event]:
        body = {"model": "gpt", "messages": [], **fields}
        call = Call(
            id="1",
            api=Api.CHAT,
            model="gpt",
            stream=bool(fields.get("stream")),
            body=json.dumps(body).encode(),
            asked=Chat(()),
            received=time.monotonic(),
            deadline=time.monotonic() + 20,
            labels=Labels(team=team),
        )
        target = Target(channel, model, resolve(model, FACTS[channel], CATALOG))
        return [event async for batch in self.backend.attempt(target, call) for event in batch]


@pytest.fixture
def vendor() -> Iterator[VendorSimulator]:
    with VendorSimulator() as simulator:
        yield simulator


@pytest.fixture
async def house(vendor: VendorSimulator) -> AsyncIterator[House]:
    house = House(vendor)
    yield house
    await house.backend.close()


def told(event: Event) -> tuple[str | None, str | None]:
    """Model and provider, by the first event."""
    assert isinstance(event, Started)
    return event.model, event.provider


async def test_a_router_is_told_whom_it_may_choose(house: House) -> None:
    """Those that policy allows as channels, and no app's wish for another."""
    events = await house.ask(provider={"only": ["azure", "anthropic"]}, models=["x/y"])
    assert isinstance(events[-1], Finished)
    sent = house.vendor.requests[-1].json
    assert sent["model"] == "openai/gpt-4o"
    assert sent["provider"]["only"] == ["azure"]
    assert "models" not in sent
    await house.ask()
    assert house.vendor.requests[-1].json["provider"]["only"] == ["azure", "openai"]


async def test_a_new_policy_and_a_passing_date_are_told(house: House) -> None:
    """What was told once is kept no longer than it holds."""
    await house.ask()
    begins = datetime.now(UTC) + timedelta(seconds=1.5)
    ban = Rule("later", Match(vendor=frozenset({"openai"})), Verdict.DENY, start=begins)
    allowed = {"openrouter": "allow", "openai": "allow", "microsoft": "allow"}
    house.policy = policy(ban, **allowed, groq="allow")
    await house.ask()
    assert house.vendor.requests[-1].json["provider"]["only"] == ["azure", "groq", "openai"]
    await asyncio.sleep((begins - datetime.now(UTC)).total_seconds() + 0.1)
    # The developer is banned as well now: nobody may serve its model.
    events = await house.ask()
    assert events == [
        Failed(
            FailureKind.EGRESS_REFUSED,
            "policy lets none of the providers that may be asked serve this",
        )
    ]


async def test_a_router_is_told_by_the_policy_of_the_instant_of_sending(
    house: House, vendor: VendorSimulator
) -> None:
    """A provider that is banned while the connection is made is not among them."""

    async def resolve(name: str, port: int) -> list[str]:
        house.policy = policy(openrouter="allow", openai="allow", microsoft="deny")
        return ["127.0.0.1"]

    there = channel(f"http://router.test:{vendor.port}/v1", name="router", allow_private=True)
    house.backend = RelayBackend({"router": there}, EgressGuard(resolve), house.judge)
    events = await house.ask()
    assert isinstance(events[-1], Finished)
    assert vendor.requests[-1].json["provider"]["only"] == ["openai"]


async def test_with_no_provider_left_nothing_is_dialled(house: House) -> None:
    """Only the router itself is allowed, and nobody behind it."""
    house.policy = policy(openrouter="allow")
    events = await house.ask()
    assert [event.kind for event in events if isinstance(event, Failed)] == [
        FailureKind.EGRESS_REFUSED
    ]
    assert not house.vendor.connections


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_through_a_denied_provider_is_not_delivered(
    house: House, stream: bool
) -> None:
    """Whatever it was told: the provider that it reports is judged like its model."""
    house.vendor.behave("answer", provider="Together")
    (failed,) = await house.ask(stream=stream)
    assert failed == Failed(
        FailureKind.ANSWERED_BY_DENIED,
        "the answer came through together, denied by rule default",
    )
    house.vendor.behave("answer", provider="Azure")
    events = await house.ask(stream=stream)
    assert told(events[0]) == ("gpt-4o-2024-08-06", "Azure")
    assert isinstance(events[-1], Finished)


async def test_a_provider_that_nobody_knows_is_recorded_and_no_more(house: House) -> None:
    """As a model is whose name cannot be resolved."""
    house.vendor.behave("answer", provider="Brand New Cloud")
    events = await house.ask()
    assert told(events[0]) == ("gpt-4o-2024-08-06", "Brand New Cloud")
    assert isinstance(events[-1], Finished)


async def test_who_asks_counts_before_and_after(house: House) -> None:
    """A provider that only one team may not use: that team's list and answers are without it."""
    ban = Rule(
        "not-for-red",
        Match(vendor=frozenset({"microsoft"})),
        Verdict.DENY,
        when=When(team=frozenset({"red"})),
    )
    house.policy = policy(ban, openrouter="allow", openai="allow", microsoft="allow")
    house.vendor.behave("answer", provider="Azure")
    (failed,) = await house.ask(team="red")
    assert house.vendor.requests[-1].json["provider"]["only"] == ["openai"]
    assert failed == Failed(
        FailureKind.ANSWERED_BY_DENIED,
        "the answer came through microsoft, denied by rule not-for-red",
    )
    events = await house.ask(team="blue")
    assert house.vendor.requests[-1].json["provider"]["only"] == ["azure", "openai"]
    assert isinstance(events[-1], Finished)


def only_for_blue(vendor: str) -> Rule:
    return Rule(
        "blue-may",
        Match(vendor=frozenset({vendor})),
        Verdict.ALLOW,
        when=When(team=frozenset({"blue"})),
    )


async def test_what_only_one_team_may_use_is_dialled_for_it_alone(house: House) -> None:
    """Neither a new connection nor the one that is kept open is anybody else's."""
    house.policy = policy(only_for_blue("openai"), microsoft="allow")
    refused = [Failed(FailureKind.EGRESS_REFUSED, "policy does not let channel azure be dialled")]
    assert await house.ask("azure", "prod", team="red") == refused
    assert not house.vendor.connections
    assert isinstance((await house.ask("azure", "prod", team="blue"))[-1], Finished)
    assert await house.ask("azure", "prod", team="red") == refused
    assert await house.ask("azure", "prod") == refused
    assert isinstance((await house.ask("azure", "prod", team="blue"))[-1], Finished)
    assert (len(house.vendor.connections), len(house.vendor.requests)) == (1, 2)


async def test_what_only_one_team_may_use_is_delivered_to_it(house: House) -> None:
    """The model of an answer is judged for who asked, as the target was."""
    house.policy = policy(only_for_blue("deepseek"), microsoft="allow", openai="allow")
    house.vendor.behave("other_model", model="deepseek-chat")
    assert isinstance((await house.ask("azure", "prod", team="blue"))[-1], Finished)
    (failed,) = await house.ask("azure", "prod", team="red")
    assert isinstance(failed, Failed)
    assert failed.kind is FailureKind.ANSWERED_BY_DENIED


async def test_a_risky_provider_is_left_out_while_there_is_a_better_one(house: House) -> None:
    """With nobody else it may serve; with ``warn`` it always may."""
    house.policy = policy(openrouter="allow", openai="allow", microsoft="risky")
    await house.ask()
    assert house.vendor.requests[-1].json["provider"]["only"] == ["openai"]
    warned = Rule(
        "warned", Match(vendor=frozenset({"microsoft"})), Verdict.RISKY, handling=Handling.WARN
    )
    house.policy = policy(warned, openrouter="allow", openai="allow")
    await house.ask()
    assert house.vendor.requests[-1].json["provider"]["only"] == ["azure", "openai"]
    house.policy = policy(openrouter="risky", openai="allow")
    await house.ask()
    assert house.vendor.requests[-1].json["provider"]["only"] == ["openai"]


async def test_a_policy_in_shadow_tells_nobody_anything(house: House) -> None:
    """It decides and records, and never acts: the body is the app's."""
    house.policy = compile_policy([PolicyDocument("a", mode=Mode.SHADOW)])
    await house.ask(models=["x/y"])
    sent = house.vendor.requests[-1].json
    assert (sent["models"], "provider" in sent) == (["x/y"], False)


@pytest.mark.parametrize("stream", [False, True])
async def test_vercel_says_it_within_what_it_answers(house: House, stream: bool) -> None:
    """And is told in fields of its own."""
    house.policy = policy(vercel="allow", openai="allow")
    routing = {"routing": {"finalProvider": "bedrock"}}
    house.vendor.behave("answer", content={"provider_metadata": {"gateway": routing}})
    (failed,) = await house.ask("vercel", stream=stream)
    assert house.vendor.requests[-1].json["providerOptions"]["gateway"] == {"only": ["openai"]}
    assert failed == Failed(
        FailureKind.ANSWERED_BY_DENIED, "the answer came through amazon, denied by rule default"
    )
    routing["routing"]["finalProvider"] = "openai"
    events = await house.ask("vercel", stream=stream)
    assert told(events[0]) == ("gpt-4o-2024-08-06", "openai")
    assert isinstance(events[-1], Finished)


@pytest.mark.parametrize("stream", [False, True])
async def test_hugging_face_says_it_in_a_header(house: House, stream: bool) -> None:
    """Of an answer by a denied provider nothing is read."""
    house.policy = policy(huggingface="allow", openai="allow", groq="allow")
    house.vendor.behave("answer", headers="x-inference-provider: together\r\n")
    (failed,) = await house.ask("hf", "openai/gpt-oss-20b:groq", stream=stream)
    assert house.vendor.requests[-1].json["model"] == "openai/gpt-oss-20b:groq"
    assert failed == Failed(
        FailureKind.ANSWERED_BY_DENIED, "the answer came through together, denied by rule default"
    )
    house.vendor.behave("answer", headers="x-inference-provider: groq\r\n")
    events = await house.ask("hf", "openai/gpt-oss-20b:groq", stream=stream)
    assert told(events[0]) == ("gpt-4o-2024-08-06", "groq")
    before = len(house.vendor.requests)
    (failed,) = await house.ask("hf", "openai/gpt-oss-20b:together", stream=stream)
    assert isinstance(failed, Failed)
    assert failed.kind is FailureKind.EGRESS_REFUSED
    assert len(house.vendor.requests) == before


async def test_an_answer_of_azure_is_judged_by_the_name_of_its_model(house: House) -> None:
    """The deployment's name says nothing; what answers gives the name that its maker published."""
    house.vendor.behave("other_model", model="DeepSeek-R1-0528")
    (failed,) = await house.ask("azure", "prod")
    assert failed == Failed(
        FailureKind.ANSWERED_BY_DENIED,
        "the answer came from a model of deepseek, denied by rule default",
    )
    house.vendor.behave("other_model", model="our-own-name-7")
    events = await house.ask("azure", "prod")
    assert told(events[0]) == ("our-own-name-7", None)
    assert isinstance(events[-1], Finished)


async def test_a_channel_that_does_not_route_is_sent_what_the_app_wrote(house: House) -> None:
    """A field of the same name is then its own affair."""
    await house.ask("azure", "prod", provider={"only": ["x"]})
    assert house.vendor.requests[-1].json["provider"] == {"only": ["x"]}
