"""The loop, with a scripted backend instead of sockets: what is tried, told and kept."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import pytest

from gateway.audit.record import Record
from gateway.domain.call import Api, Call, Chat
from gateway.domain.decision import Verdict
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
from gateway.domain.identity import Identity, Locality, Party, Role
from gateway.domain.target import Capability, Target
from gateway.engine.attempt import Serving, Told
from gateway.engine.loop import Engine
from gateway.engine.routes import Route, Routes
from gateway.errors import (
    CapabilityMissing,
    DeadlinePassed,
    GatewayError,
    ModelNotFound,
    PolicyDenied,
    Unavailable,
    VendorFault,
)
from gateway.policy.compile import Policy, compile_policy
from gateway.policy.rules import PolicyDocument, vendor_rule
from gateway.routing.groups import Group, in_order

ANSWER: tuple[Event, ...] = (
    Started(),
    Delta("Hello"),
    Usage(3, 1),
    Finished((FinishReason.STOP,)),
)


def target(vendor: str, **fields: Any) -> Target:
    """A cloud target whose channel and developer are one vendor."""
    parties = (Party(Role.CHANNEL, vendor), Party(Role.DEVELOPER, vendor))
    identity = Identity(vendor, vendor, "m", (), Locality.CLOUD, parties)
    return Target(vendor, "m", identity, **fields)


FIRST, SECOND = target("openai"), target("mistral")


class Scripted:
    """Answers each attempt with the script of its channel, and remembers who was asked."""

    def __init__(self, **scripts: tuple[Event, ...]) -> None:
        self.scripts = scripts
        self.asked: list[str] = []
        self.closed = 0

    def ready(self, target: Target) -> bool:
        return True

    async def attempt(self, target: Target, call: Call) -> AsyncGenerator[Sequence[Event], None]:
        self.asked.append(target.channel)
        try:
            for event in self.scripts.get(target.channel, ANSWER):
                yield (event,)
        finally:
            self.closed += 1


def policy(**verdicts: str) -> Policy:
    rules = tuple(vendor_rule(v, Verdict(verdict), "a") for v, verdict in verdicts.items())
    return compile_policy([PolicyDocument("a", rules=rules)])


ALLOW_ALL = policy(openai="allow", mistral="allow")


class House:
    """An engine with all that it needs, and its policy to change."""

    def __init__(
        self,
        backend: Scripted,
        *targets: Target,
        in_force: Policy = ALLOW_ALL,
        continuation: bool = True,
        equivalent: frozenset[str] = frozenset(),
        told: Mapping[str, Collection[Capability]] = MappingProxyType({}),
    ) -> None:
        self.backend = backend
        self.policy = in_force
        self.records: list[Record] = []
        routes = Routes(
            {
                "gpt": Route(
                    in_order(*(targets or (FIRST, SECOND))),
                    continuation=continuation,
                    name="gpt",
                    equivalent=equivalent,
                )
            },
            (("g*", Route(in_order(SECOND), name="g*")),),
        )
        self.engine = Engine(
            routes=routes,
            policy=lambda: self.policy,
            backends={"openai": backend, "mistral": backend},
            told=lambda target: told.get(target.channel),
        )

    async def ask(self, *, stream: bool = True, **fields: Any) -> list[Told]:
        now = time.monotonic()
        base: dict[str, Any] = {
            "id": "r1",
            "api": Api.CHAT,
            "model": "gpt",
            "stream": stream,
            "body": b"",
            "asked": Chat(()),
            "received": now,
            "deadline": now + 60,
        }
        return [event async for batch in self.run(Call(**(base | fields))) for event in batch]

    def run(self, call: Call) -> AsyncGenerator[Sequence[Told], None]:
        """Serve a call; its record is kept."""
        self.records.append(Record(id=call.id, at=datetime.now(UTC), api=call.api))
        return self.engine.run(call, self.records[-1])


def failed(kind: FailureKind, **fields: Any) -> tuple[Event, ...]:
    return (Failed(kind, "it failed", **fields),)


async def test_the_first_choice_serves_and_says_nothing_of_failover() -> None:
    """Serving comes first, then the answer's events; one record is written."""
    house = House(Scripted())
    events = await house.ask()
    serving = events[0]
    assert isinstance(serving, Serving)
    assert (serving.target, serving.failover) == (FIRST, None)
    assert events[1:] == list(ANSWER)
    assert [r.outcome for r in house.records] == ["served"]


@pytest.mark.parametrize("stream", [True, False])
async def test_a_failure_before_content_leads_to_the_next_target(stream: bool) -> None:
    """The app sees one answer; the reason is the kind of the failure."""
    house = House(Scripted(openai=(Started(), *failed(FailureKind.TRUNCATED))))
    events = await house.ask(stream=stream)
    serving = events[0]
    assert isinstance(serving, Serving)
    assert (serving.target, serving.failover) == (SECOND, "truncated")
    assert [a.outcome for a in house.records[0].attempts] == ["truncated", "served"]


async def test_a_plain_answer_that_breaks_in_the_middle_is_made_anew() -> None:
    """Nothing had been sent, so another target may answer."""
    house = House(Scripted(openai=(Started(), Delta("Hel"), *failed(FailureKind.TRUNCATED))))
    events = await house.ask(stream=False)
    assert [e.text for e in events if isinstance(e, Delta)] == ["Hello"]
    assert house.backend.asked == ["openai", "mistral"]
    assert house.records[0].sent_characters == len("Hello")


async def test_policy_is_asked_again_before_each_attempt() -> None:
    """A ban that comes after the plan was made still holds."""
    house = House(Scripted())

    class Banning(Scripted):
        async def attempt(
            self, target: Target, call: Call
        ) -> AsyncGenerator[Sequence[Event], None]:
            self.asked.append(target.channel)
            house.policy = policy(openai="allow", mistral="deny")
            yield (Failed(FailureKind.SERVER_ERROR, "it failed"),)

    house.backend = Banning()
    house.engine._backends = {"openai": house.backend, "mistral": house.backend}
    with pytest.raises(Unavailable):
        await house.ask()
    assert house.backend.asked == ["openai", "openai"]


async def test_the_deadline_is_told_as_such_whoever_notices_it() -> None:
    """An attempt's own clock may, a little earlier: nobody else is asked, and no wait is told."""

    class Slow(Scripted):
        async def attempt(
            self, target: Target, call: Call
        ) -> AsyncGenerator[Sequence[Event], None]:
            self.asked.append(target.channel)
            await asyncio.sleep(call.deadline - time.monotonic() - 0.003)
            yield (Failed(FailureKind.FIRST_TOKEN_TIMEOUT, "the answer did not begin in time"),)

    house = House(Slow())
    now = time.monotonic()
    with pytest.raises(DeadlinePassed, match=r"within 0\.5 s") as passed:
        await house.ask(received=now, deadline=now + 0.5)
    assert house.backend.asked == ["openai"]
    assert (passed.value.retry_after, passed.value.again) == (None, False)


async def test_a_denied_target_is_never_asked() -> None:
    """The next one serves, because of policy."""
    house = House(Scripted(), in_force=policy(openai="deny", mistral="allow"))
    serving = (await house.ask())[0]
    assert isinstance(serving, Serving)
    assert serving.failover == "policy"
    assert house.backend.asked == ["mistral"]


ERRORS = [
    # scripts, policy, call, error
    ({}, policy(openai="deny", mistral="deny"), {}, PolicyDenied),
    ({}, ALLOW_ALL, {"model": "nothing"}, ModelNotFound),
    ({"openai": failed(FailureKind.REQUEST_FAULT, status=422)}, ALLOW_ALL, {}, VendorFault),
    (
        {
            "openai": failed(FailureKind.SERVER_ERROR),
            "mistral": failed(FailureKind.BUSY, retry_after=7.0),
        },
        ALLOW_ALL,
        {},
        Unavailable,
    ),
    (
        {
            "openai": failed(FailureKind.INCAPABLE, param="suffix"),
            "mistral": failed(FailureKind.INCAPABLE, param="suffix"),
        },
        ALLOW_ALL,
        {},
        CapabilityMissing,
    ),
]


@pytest.mark.parametrize(("scripts", "in_force", "fields", "error"), ERRORS)
async def test_where_nothing_serves_the_error_says_why(
    scripts: dict[str, tuple[Event, ...]],
    in_force: Policy,
    fields: dict[str, Any],
    error: type[GatewayError],
) -> None:
    """Each end has its error."""
    house = House(Scripted(**scripts), in_force=in_force)
    with pytest.raises(error):
        await house.ask(**fields)


async def test_what_one_model_cannot_do_another_may() -> None:
    """It says nothing of the request: the next target is asked, and serves."""
    house = House(Scripted(openai=failed(FailureKind.INCAPABLE)))
    serving = (await house.ask())[0]
    assert isinstance(serving, Serving)
    assert (serving.target, serving.failover) == (SECOND, "incapable")


async def test_a_vendors_own_verdict_is_not_tried_elsewhere() -> None:
    """422 is the app's to mend."""
    house = House(Scripted(openai=failed(FailureKind.REQUEST_FAULT, status=422)))
    with pytest.raises(VendorFault) as caught:
        await house.ask()
    assert (caught.value.status, house.backend.asked) == (422, ["openai"])


async def test_a_capability_that_is_missing_everywhere_is_named() -> None:
    """400, with the parameter that no target has."""
    plain = target("openai", capabilities=frozenset())
    house = House(Scripted(), plain)
    with pytest.raises(CapabilityMissing) as caught:
        await house.ask(needs=frozenset({Capability.TOOLS}))
    assert caught.value.param == "tools"


async def test_needs_that_no_local_target_meets_are_counted() -> None:
    """By the configured name or pattern, whoever served; what local can do is not counted."""
    us = Party(Role.CHANNEL, "self")
    home = Identity("self", "huggingface", "m", (), Locality.LOCAL, (us,))
    local = Target("openai", "own", home, frozenset({Capability.TOOLS}))
    house = House(Scripted(), FIRST, local)
    needs = frozenset({Capability.TOOLS, Capability.IMAGES, Capability.AUDIO})
    for _ in range(2):
        await house.ask(needs=needs)
    await house.ask()
    await house.ask(model="gemini", needs=needs)
    assert house.engine.unmet == {("gpt", Capability.IMAGES): 2, ("gpt", Capability.AUDIO): 2}
    assert house.engine.lacking["g*"] == frozenset()


async def test_a_target_is_ready_until_something_speaks_against_it() -> None:
    """A wrong key does, and a model that is not listed; policy is not asked."""
    house = House(Scripted(openai=failed(FailureKind.UNAUTHORIZED, status=401)))
    assert house.engine.ready(FIRST)
    await house.ask()
    assert not house.engine.ready(FIRST)
    house.policy = policy()
    assert house.engine.ready(SECOND)
    house.engine._listed = lambda target: False
    assert not house.engine.ready(SECOND)


async def test_a_model_that_its_server_does_not_list_is_left_out() -> None:
    """With a reason of its own, which an error names where nothing is left."""
    house = House(Scripted())
    house.engine._listed = lambda target: target.channel != "openai"
    serving = (await house.ask())[0]
    assert isinstance(serving, Serving)
    assert serving.failover == "not_listed"
    house.engine._listed = lambda target: False
    with pytest.raises(Unavailable, match=r"openai/m: not_listed \(its server does not list m\)"):
        await house.ask()
    assert house.backend.asked == ["mistral"]


async def test_a_wrong_key_is_not_tried_twice() -> None:
    """The target is left out as misconfigured from the next request on."""
    house = House(Scripted(openai=failed(FailureKind.UNAUTHORIZED, status=401)))
    await house.ask()
    serving = (await house.ask())[0]
    assert isinstance(serving, Serving)
    assert serving.failover == "misconfigured"
    assert house.backend.asked == ["openai", "mistral", "mistral"]


async def test_leaving_early_closes_the_attempt_and_is_recorded() -> None:
    """An app that goes away: the backend's generator is closed at once."""
    house = House(Scripted())
    now = time.monotonic()
    call = Call("r", Api.CHAT, "gpt", True, b"", Chat(()), now, now + 60)
    events = house.run(call)
    await anext(events)
    await events.aclose()
    assert house.backend.closed == 1
    assert house.records[0].outcome == "cancelled"
    assert house.records[0].attempts[0].outcome == "cancelled"


def test_a_model_is_found_exactly_then_by_pattern() -> None:
    """The exact name wins; what nothing fits is an error that names it."""
    routes = House(Scripted()).engine.routes
    assert routes.find("gpt").targets == (FIRST, SECOND)
    assert routes.find("gemini").targets == (SECOND,)
    with pytest.raises(ModelNotFound, match="claude"):
        routes.find("claude")


async def test_a_session_stays_with_its_target_and_others_are_spread() -> None:
    """Of two equal targets, what the app says belongs together gets one, whoever asks when."""
    house = House(Scripted())
    group = Group((FIRST, SECOND), (1.0, 1.0))
    house.engine.routes = Routes({"gpt": Route((group,), name="gpt")})
    served = {
        session: {
            event.target.channel
            for number in range(20)
            for event in await house.ask(id=f"r{session}{number}", session=session)
            if isinstance(event, Serving)
        }
        for session in ("one", "two", "three", "four", None)
    }
    assert served.pop(None) == {"openai", "mistral"}
    assert all(len(channels) == 1 for channels in served.values())
    assert set().union(*served.values()) == {"openai", "mistral"}


async def test_the_last_attempt_is_kept_for_local() -> None:
    """However many vendors fail before it, what makes the chain sovereign is asked."""
    us = Party(Role.CHANNEL, "self")
    home = Identity("self", "huggingface", "m", (), Locality.LOCAL, (us,))
    names = ("openai", "mistral", "cohere", "google", "xai")
    vendors = [target(name) for name in names]
    house = House(
        Scripted(**dict.fromkeys(names, failed(FailureKind.SERVER_ERROR))),
        *vendors,
        Target("local", "own", home),
        in_force=policy(**dict.fromkeys(names, "allow")),
    )
    house.engine._backends = dict.fromkeys((*names, "local"), house.backend)
    serving = (await house.ask())[0]
    assert isinstance(serving, Serving)
    assert serving.target.id == "local/own"
    assert house.backend.asked == ["openai", "mistral", "cohere", "local"]


async def test_a_ban_between_two_questions_is_told_as_one() -> None:
    """The engine's question was answered, and the egress guard's a moment later was not."""
    house = House(Scripted())

    class Banned(Scripted):
        async def attempt(
            self, target: Target, call: Call
        ) -> AsyncGenerator[Sequence[Event], None]:
            house.policy = policy(openai="deny", mistral="deny")
            yield (Failed(FailureKind.EGRESS_REFUSED, "policy does not let it be dialled"),)

    house.engine._backends = {"openai": Banned(), "mistral": Banned()}
    with pytest.raises(PolicyDenied):
        await house.ask()
