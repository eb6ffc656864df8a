"""The translator's process: what it has, what it can reach, how it ends and what comes of that."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from gateway.background import Background
from gateway.domain.events import Failed, FailureKind, Relayed
from gateway.upstream.guard import EgressGuard
from gateway.upstream.translate.backend import TranslateBackend, Translated
from gateway.upstream.translate.link import State
from gateway.upstream.translate.protocol import Begin
from gateway.upstream.translate.spawning import environment
from tests.simulators.anthropic_api import KEY, AnthropicVendor
from tests.upstream import channels
from tests.upstream.conftest import NoDeepSeek
from tests.upstream.translate.bench import Bench, bench

pytestmark = pytest.mark.alone

MODEL = "claude-sonnet-4-5"
BACK = 20.0


@pytest.fixture
def vendor() -> Iterator[AnthropicVendor]:
    with AnthropicVendor() as simulator:
        yield simulator


def read(path: str) -> str:
    return Path(path).read_text()


async def state(made: Bench, wanted: State) -> None:
    until = time.monotonic() + BACK
    while made.link.state is not wanted:
        assert time.monotonic() < until, made.link.state
        await asyncio.sleep(0.02)


async def first_text(made: Bench) -> tuple[asyncio.Task[list[object]], asyncio.Event]:
    """A stream that is under way, and what says that text has come."""
    came = asyncio.Event()

    async def read() -> list[object]:
        events: list[object] = []
        async with aclosing(made.backend.attempt(made.target(), made.call(stream=True))) as all_:
            async for batch in all_:
                for event in batch:
                    events.append(event)
                    if isinstance(event, Relayed):
                        came.set()
        return events

    return asyncio.create_task(read()), came


async def test_nothing_is_dialled_at_start(
    vendor: AnthropicVendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No connection is asked for before a request is, and the environment holds no credentials:
    neither this channel's, which come over the socket, nor another's.
    """
    monkeypatch.setenv("OPENAI_API_KEY", "sk-another-channels")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_PROFILE", "somebody")
    async with bench("anthropic", vendor.url, MODEL, {"api_key": KEY}) as made:
        assert made.link.dials is not None
        assert vendor.connections == []
        assert made.link.dials.refused == []
        held = read(f"/proc/{made.link.pid}/environ")
        for secret in (KEY, "sk-another-channels", "PROXY=http", "AWS_PROFILE"):
            assert secret not in held
        await made.plain()
        assert len(vendor.connections) == 1
        assert made.link.dials.refused == []


async def test_it_has_no_network_and_no_files(vendor: AnthropicVendor) -> None:
    """What the kernel says of the process that runs: another network, a filter, no new rights."""
    async with bench("anthropic", vendor.url, MODEL, {"api_key": KEY}) as made:
        status = read(f"/proc/{made.link.pid}/status")
        assert "Seccomp:\t2" in status
        assert "NoNewPrivs:\t1" in status
        theirs = os.readlink(f"/proc/{made.link.pid}/ns/net")
        assert theirs != os.readlink("/proc/self/ns/net")


async def test_a_kept_connection_is_used_again(vendor: AnthropicVendor) -> None:
    async with bench("anthropic", vendor.url, MODEL, {"api_key": KEY}) as made:
        for _ in range(3):
            await made.plain()
            await made.chunks()
        assert len(vendor.connections) == 1


async def test_killed_in_mid_stream(vendor: AnthropicVendor) -> None:
    """One failed attempt, and the next request is answered by the next process."""
    async with bench("anthropic", vendor.url, MODEL, {"api_key": KEY}) as made:
        vendor.behave("stall_mid_stream", after=6)
        reading, came = await first_text(made)
        await asyncio.wait_for(came.wait(), 10)
        before = made.link.pid
        assert before is not None
        os.kill(before, signal.SIGKILL)
        *_, last = await asyncio.wait_for(reading, 10)
        assert isinstance(last, Failed)
        assert last.kind is FailureKind.WORKER_LOST
        vendor.behave("answer")
        assert (await made.plain())["choices"]
        assert made.link.pid != before


async def test_cancelling_an_attempt_ends_the_request(vendor: AnthropicVendor) -> None:
    """Upstream, at once: the vendor sees the connection close."""
    async with bench("anthropic", vendor.url, MODEL, {"api_key": KEY}) as made:
        vendor.behave("stall_mid_stream", after=6)
        reading, came = await first_text(made)
        await asyncio.wait_for(came.wait(), 10)
        reading.cancel()
        assert await asyncio.to_thread(vendor.hung_up.wait, 30)
        vendor.behave("answer")
        assert (await made.plain())["choices"]


async def test_a_vendor_that_says_nothing(vendor: AnthropicVendor) -> None:
    """The channel's time-outs hold, before the first piece and after it."""
    async with bench("anthropic", vendor.url, MODEL, {"api_key": KEY}, wait=1) as made:
        vendor.behave("stall")
        assert await made.kind(stream=True) is FailureKind.FIRST_TOKEN_TIMEOUT
        assert await made.kind() is FailureKind.FIRST_TOKEN_TIMEOUT
        vendor.behave("stall_mid_stream", after=6)
        assert await made.kind(stream=True) is FailureKind.IDLE_TIMEOUT


async def test_a_ban_ends_the_process_and_an_allowance_starts_it(vendor: AnthropicVendor) -> None:
    """At once where nothing is under way."""
    async with bench("anthropic", vendor.url, MODEL, {"api_key": KEY}) as made:
        pid = made.link.pid
        made.denied.add("vendor")
        made.backend.enforce()
        assert await made.kind() is FailureKind.EGRESS_REFUSED
        await state(made, State.DENIED)
        assert str(pid) not in os.listdir("/proc")
        assert not made.backend.ready(made.target())
        made.denied.clear()
        made.backend.enforce()
        assert made.backend.ready(made.target())
        assert (await made.plain())["choices"]


async def test_a_ban_lets_what_is_under_way_finish(vendor: AnthropicVendor) -> None:
    """Where policy does not say that it is cut; nothing new is taken meanwhile."""
    async with bench("anthropic", vendor.url, MODEL, {"api_key": KEY}) as made:
        vendor.behave("pause", after=6, seconds=1)
        reading, came = await first_text(made)
        await asyncio.wait_for(came.wait(), 10)
        made.denied.add("vendor")
        made.backend.enforce()
        assert await made.kind() is FailureKind.EGRESS_REFUSED
        *_, last = await asyncio.wait_for(reading, 10)
        assert not isinstance(last, Failed)
        await state(made, State.DENIED)


async def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    async with bench("anthropic", url, MODEL, {"api_key": KEY}) as made:
        assert await made.kind() is FailureKind.REFUSED
        assert await made.kind(stream=True) is FailureKind.REFUSED


async def test_a_connection_that_the_vendor_has_closed_meanwhile(vendor: AnthropicVendor) -> None:
    """Costs one more connection, and no request."""
    async with bench("anthropic", vendor.url, MODEL, {"api_key": KEY}) as made:
        await made.plain()
        vendor.close_connections()
        assert (await made.plain())["choices"]
        assert len(vendor.connections) == 2


async def test_litellm_is_not_installed(tmp_path: Path) -> None:
    """The target is not ready, and who asks all the same is told what to do."""
    endpoint = channels.channel("https://api.anthropic.com")
    begin = Begin("anthropic", {"api_key": KEY}, {}, None, "agent", 1.0)
    channel = Translated("vendor", begin, {("api.anthropic.com", 443): endpoint})
    backend = TranslateBackend(
        [channel],
        EgressGuard(),
        lambda _: True,
        NoDeepSeek(),
        tmp_path / "bin" / "python",
        Background(),
    )
    await backend.start()
    made = Bench(backend, MODEL)
    assert not backend.ready(made.target())
    failed = await made.failure()
    assert failed.kind is FailureKind.INCAPABLE
    assert "make translate" in failed.message
    await backend.stop()


def test_an_environment_holds_what_is_named_and_no_more() -> None:
    ours = {"PATH": "/bin", "LANG": "C.UTF-8", "ANTHROPIC_API_KEY": KEY, "AWS_REGION": "x"}
    made = environment(ours, "agent/1")
    assert made["LANG"] == "C.UTF-8"
    assert made["LITELLM_USER_AGENT"] == "agent/1"
    assert not {"PATH", "ANTHROPIC_API_KEY", "AWS_REGION"} & set(made)
