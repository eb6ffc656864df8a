"""Bytes that are passed on as they come, and which types an app is told."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from gateway.config.shipped import load_catalog, load_routers
from gateway.domain.call import Api, Call, Passing
from gateway.domain.decision import Verdict
from gateway.domain.events import Event, Failed, FailureKind, Finished, Relayed, Started
from gateway.domain.identity import ChannelFacts
from gateway.domain.target import Target
from gateway.engine.judge import Judge
from gateway.policy.compile import compile_policy
from gateway.policy.rules import PolicyDocument, vendor_rule
from gateway.upstream.guard import EgressGuard
from gateway.upstream.media import OTHER, ByteRelay, sound
from gateway.upstream.relay import RelayBackend
from gateway.vendors.resolve import resolve
from tests.simulators.openai_media import SOUND
from tests.simulators.vendor import VendorSimulator
from tests.upstream.channels import channel

CATALOG = load_catalog()
FACTS = {
    "router": ChannelFacts("router", "openrouter", "openai", provider="openrouter"),
    "openai": ChannelFacts("openai", "openai", "openai", provider="openai"),
}
RULES = tuple(vendor_rule(name, Verdict.ALLOW, "a") for name in ("openrouter", "openai"))
POLICY = compile_policy([PolicyDocument("a", rules=RULES)])


@pytest.mark.parametrize(
    ("media", "told"),
    [
        (b"audio/mpeg", "audio/mpeg"),
        (b"audio/x-wav", "audio/x-wav"),
        (b"audio/unheard-of", OTHER),
        (b"application/octet-stream", OTHER),
        (b"image/png", OTHER),
        (b"", OTHER),
        (b"text/html", None),
        (b"text/event-stream", None),
        (b"application/json", None),
        (b"application/problem+json", None),
        (b"image/svg+xml", None),
        (b"application/xhtml+xml", None),
    ],
)
def test_types(media: bytes, told: str | None) -> None:
    assert sound(media) == told


def test_bytes_begin_with_the_first_and_end_with_the_body() -> None:
    relay = ByteRelay("audio/mpeg", "somebody")
    assert not relay.started
    assert relay.feed(b"a") == [
        Started(provider="somebody", media="audio/mpeg"),
        Relayed(b"a", binding=True),
    ]
    assert relay.feed(b"b") == [Relayed(b"b", binding=True)]
    assert (relay.started, relay.flowing, relay.ended) == (True, True, False)
    assert relay.end() == [Finished()]
    assert (relay.ended, relay.finished) == (True, True)


def test_no_byte_is_no_answer() -> None:
    relay = ByteRelay("audio/mpeg")
    (failed,) = relay.end()
    assert isinstance(failed, Failed)
    assert failed.kind is FailureKind.MALFORMED
    assert (relay.ended, relay.finished) == (True, False)


@pytest.fixture
def vendor() -> Iterator[VendorSimulator]:
    with VendorSimulator() as simulator:
        yield simulator


async def ask(vendor: VendorSimulator, name: str = "openai") -> list[Event]:
    judge = Judge(lambda: POLICY, FACTS, CATALOG, load_routers(CATALOG))
    one = channel(vendor.url, name=name)
    backend = RelayBackend({name: one}, EgressGuard(), judge)
    model = "openai/tts-1" if name == "router" else "tts-1"
    call = Call(
        id="1",
        api=Api.SPEECH,
        model="tts",
        stream=True,
        body=json.dumps({"model": "tts", "input": "x"}).encode(),
        asked=Passing(),
        received=time.monotonic(),
        deadline=time.monotonic() + 20,
    )
    target = Target(name, model, resolve(model, FACTS[name], CATALOG))
    try:
        return [event async for batch in backend.attempt(target, call) for event in batch]
    finally:
        await backend.close()


async def test_a_sound_is_relayed(vendor: VendorSimulator) -> None:
    events = await ask(vendor)
    assert events[0] == Started(media="audio/mpeg")
    assert b"".join(e.data for e in events if isinstance(e, Relayed)) == b"".join(SOUND)
    assert events[-1] == Finished()


@pytest.mark.parametrize("way", ["break_off", "hang_up", "stall_mid_stream"])
async def test_a_sound_that_breaks_off(vendor: VendorSimulator, way: str) -> None:
    """Whatever came is passed on, and a failure behind it."""
    options = {"at": "content"} if way == "hang_up" else {}
    vendor.behave(way, **options)
    *_, failed = events = await ask(vendor)
    assert b"".join(e.data for e in events if isinstance(e, Relayed)) == b"".join(SOUND[:2])
    assert isinstance(failed, Failed)
    kind = FailureKind.IDLE_TIMEOUT if way == "stall_mid_stream" else FailureKind.TRUNCATED
    assert failed.kind is kind


async def test_a_router_cannot_be_told_who_may_serve(vendor: VendorSimulator) -> None:
    """So it is not asked: policy would have no say in who hears the text."""
    (failed,) = await ask(vendor, "router")
    assert isinstance(failed, Failed)
    assert failed.kind is FailureKind.INCAPABLE
    assert not vendor.connections
