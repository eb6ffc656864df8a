"""A vendor, a relay to it, and what tests ask of them."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Collection,
    Iterator,
    Sequence,
)
from contextlib import aclosing
from dataclasses import dataclass, field

import pytest

from gateway.domain.call import Api, Call, Chat
from gateway.domain.decision import Labels
from gateway.domain.events import Event, Failed, FailureKind, Finished, Relayed
from gateway.domain.identity import Identity, Locality
from gateway.domain.target import Target
from gateway.upstream.guard import EgressGuard, Resolve
from gateway.upstream.relay import Channel, RelayBackend
from tests.simulators.vendor import VendorSimulator
from tests.upstream import channels

TARGET = Target(
    "vendor", "gpt-4o-mini", Identity("vendor", "openai", "gpt-4o", (), Locality.CLOUD, ())
)


@dataclass
class Bench:
    """``denied`` are channels that policy denies, ``looked_up`` the names that were resolved."""

    vendor: VendorSimulator
    backend: RelayBackend
    denied: set[str] = field(default_factory=set)
    looked_up: list[str] = field(default_factory=list)

    def call(self, *, stream: bool = False) -> Call:
        now = time.monotonic()
        body = {
            "model": "gpt-4o",
            "messages": [{"role": "user", "content": "hi"}],
            "stream": stream,
        }
        return Call(
            id="1",
            api=Api.CHAT,
            model="gpt-4o",
            stream=stream,
            body=json.dumps(body).encode(),
            asked=Chat(()),
            received=now,
            deadline=now + 30,
        )

    def attempt(self, *, stream: bool = False) -> AsyncGenerator[Sequence[Event], None]:
        return self.backend.attempt(TARGET, self.call(stream=stream))

    async def events(self, *, stream: bool = False) -> list[Event]:
        async with aclosing(self.attempt(stream=stream)) as batches:
            return [event async for batch in batches for event in batch]

    async def failure(self, *, stream: bool = False) -> Failed:
        last = (await self.events(stream=stream))[-1]
        assert isinstance(last, Failed)
        return last

    async def kind(self, *, stream: bool = False) -> FailureKind:
        return (await self.failure(stream=stream)).kind

    async def text(self, *, stream: bool = False) -> str:
        events = await self.events(stream=stream)
        assert isinstance(events[-1], Finished), events[-1]
        return b"".join(e.data for e in events if isinstance(e, Relayed)).decode()


class NoDeepSeek:
    """No channel of ``denied``, no answer of a model of that name; no channel routes."""

    def __init__(self, denied: Collection[str] = ()) -> None:
        self._denied = denied

    def allows(self, target: Target, labels: Labels) -> bool:
        return target.channel not in self._denied

    def providers(self, target: Target, labels: Labels) -> None:
        return None

    def model(self, target: Target, reported: str, labels: Labels) -> str | None:
        return "denied" if "deepseek" in reported else None

    def provider(self, target: Target, named: str, labels: Labels) -> None:
        return None


MakeBench = Callable[..., Bench]


@pytest.fixture
def vendor() -> Iterator[VendorSimulator]:
    with VendorSimulator() as simulator:
        yield simulator


@pytest.fixture
async def make_bench(vendor: VendorSimulator) -> AsyncIterator[MakeBench]:
    """Make a bench; ``host`` is the name that stands for 127.0.0.1 in the channel's URL, and
    ``connect`` and ``wait`` are its time-outs, for tests that are about them.
    """
    made: list[RelayBackend] = []

    def make(
        *,
        host: str = "127.0.0.1",
        scheme: str = "http",
        port: int | None = None,
        allow_private: bool = False,
        resolve: Resolve | None = None,
        tls: ssl.SSLContext | None = None,
        offline: bool = False,
        connect: float = 10,
        wait: float = 10,
    ) -> Bench:
        denied: set[str] = set()
        looked_up: list[str] = []

        async def recorded(name: str, port: int) -> list[str]:
            looked_up.append(name)
            return list(await resolve(name, port)) if resolve else ["127.0.0.1"]

        channel = channels.channel(
            f"{scheme}://{host}:{port or vendor.port}/v1",
            api_key="sk-planted-key",
            organization="org-1",
            allow_private=allow_private,
            connect=connect,
            wait=wait,
        )
        backend = RelayBackend(
            {"vendor": channel},
            EgressGuard(recorded, offline=offline),
            NoDeepSeek(denied),
            tls=tls,
        )
        made.append(backend)
        return Bench(vendor, backend, denied, looked_up)

    yield make
    for backend in made:
        await backend.close()


@pytest.fixture
def channel(vendor: VendorSimulator) -> Channel:
    """The vendor as a channel, for tests of what is below the relay."""
    return channels.channel(vendor.url)


@pytest.fixture
def tls() -> ssl.SSLContext:
    return ssl.create_default_context()


@pytest.fixture
def bench(make_bench: MakeBench) -> Bench:
    return make_bench()
