"""Our own servers are asked, over real sockets, whether they are there and what they serve."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import pytest
from msgspec.structs import replace

from gateway.domain.call import Api, Call, Chat
from gateway.domain.events import Failed, Finished
from gateway.domain.identity import Identity, Locality
from gateway.domain.target import Target
from gateway.upstream import discovery as discovery_file
from gateway.upstream.discovery import MOST_LIST, Discovery
from gateway.upstream.guard import EgressGuard
from gateway.upstream.relay import RelayBackend
from gateway.upstream.servers import Server, Servers, Standing
from tests.simulators.model_lists import answer, listing
from tests.simulators.vendor import VendorSimulator
from tests.upstream import channels
from tests.upstream.conftest import NoDeepSeek
from tests.waiting import PATIENCE

KEY = "sk-planted-key"
TARGET = Target(
    "lab", "qwen3", Identity("self", "alibaba", "qwen3", (), Locality.SOVEREIGN, ()), None, None
)
SOON = 0.05


@dataclass
class Lab:
    """A server of our own, watched every ``SOON`` seconds."""

    servers: Servers
    backend: RelayBackend
    denied: set[str]
    looked_up: list[str]

    @property
    def server(self) -> Server:
        return self.servers.all()["lab"]

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not true():  # noqa: ASYNC110 - it lives in another thread's loop
                await asyncio.sleep(0.005)

    async def known(self, standing: Standing) -> Server:
        await self.until(lambda: self.server.standing is standing)
        return self.server

    async def ask(self) -> bool:
        """One request; whether it was answered."""
        now = asyncio.get_running_loop().time()
        body = b'{"model": "qwen3", "messages": []}'
        call = Call("1", Api.CHAT, "qwen3", False, body, Chat(()), now, now + 5)
        events = [event async for batch in self.backend.attempt(TARGET, call) for event in batch]
        assert isinstance(events[-1], Finished | Failed)
        return isinstance(events[-1], Finished)


@asynccontextmanager
async def lab(
    vendor: VendorSimulator | int,
    *,
    host: str = "127.0.0.1",
    interval: float = SOON,
    denied: Sequence[str] = (),
) -> AsyncIterator[Lab]:
    channel = channels.channel(
        f"http://{host}:{vendor if isinstance(vendor, int) else vendor.port}/v1",
        name="lab",
        api_key=KEY,
        locality="sovereign",
        connect=0.5,
    )
    servers, banned, looked_up = Servers(["lab"]), set(denied), list[str]()

    async def resolve(name: str, port: int) -> list[str]:
        looked_up.append(name)
        return ["127.0.0.1"]

    judge = NoDeepSeek(banned)
    backend = RelayBackend({"lab": channel}, EgressGuard(resolve), judge, servers=servers)
    watching = asyncio.create_task(
        Discovery(
            [channel], backend.pool, lambda name: name not in banned, servers, interval=interval
        ).run()
    )
    try:
        yield Lab(servers, backend, banned, looked_up)
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        await backend.close()


@pytest.mark.parametrize(
    "shape", ["vllm", "ollama", "llama-server", "llama-router", "lm-studio", "tgi"]
)
async def test_each_kind_of_server_is_up_and_tells_its_models(
    vendor: VendorSimulator, shape: str
) -> None:
    """With the channel's key, and over one connection that is kept."""
    vendor.list_models(shape, "qwen3:latest")
    async with lab(vendor) as house:
        server = await house.known(Standing.UP)
        assert server.models is not None
        assert server.models.names[0] == "qwen3:latest"
        assert server.seen is not None
        assert house.servers.lists(TARGET)
        await house.until(lambda: len(vendor.listed) > 2)
    assert {seen.path for seen in vendor.listed} == {"/v1/models"}
    assert {seen.headers["authorization"] for seen in vendor.listed} == {f"Bearer {KEY}"}
    assert {seen.body for seen in vendor.listed} == {b""}
    assert len(vendor.connections) == 1


async def test_a_model_that_the_server_does_not_list_is_known_not_to_be_there(
    vendor: VendorSimulator,
) -> None:
    """The server is ready all the same; the model is back as soon as it is listed."""
    vendor.list_models("vllm", "llama3")
    async with lab(vendor) as house:
        await house.known(Standing.UP)
        assert house.backend.ready(TARGET)
        assert not house.servers.lists(TARGET)
        assert house.servers.lists(replace(TARGET, model="llama3"))
        vendor.list_models("vllm", "llama3", "qwen3")
        await house.until(lambda: house.servers.lists(TARGET))


TELLS_NOTHING = [
    (b"HTTP/1.1 404 X\r\ncontent-length: 0\r\n\r\n", "does not list its models"),
    (b"HTTP/1.1 405 X\r\ncontent-length: 0\r\n\r\n", "does not list its models"),
    (b"HTTP/1.1 501 X\r\ncontent-length: 0\r\n\r\n", "does not list its models"),
    (b"HTTP/1.1 401 X\r\ncontent-length: 0\r\n\r\n", "does not let this key"),
    (answer(b"<html>hello</html>"), "not the API's shape"),
    (answer(b'{"data": [{"id": 1}]}'), "not the API's shape"),
    (answer(b" " * (MOST_LIST + 1)), "too long"),
]


@pytest.mark.parametrize(("raw", "detail"), TELLS_NOTHING)
async def test_a_server_that_tells_no_models_is_up(
    vendor: VendorSimulator, raw: bytes, detail: str
) -> None:
    """Of its models nothing is known, so that any may be asked for."""
    vendor.list_raw(raw)
    async with lab(vendor) as house:
        server = await house.known(Standing.UP)
        assert server.models is None
        assert detail in server.detail
        assert house.servers.lists(TARGET)


REDIRECT = b"HTTP/1.1 307 X\r\nlocation: %b\r\ncontent-length: 0\r\n\r\n"
DOWN = [
    (answer(b'{"error": {"message": "Loading model"}}', 503), "answered 503"),
    (b"HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n", "answered 500"),
    (b"not http\r\n\r\n", "not HTTP"),
    (b"", "did not answer within"),
]


@pytest.mark.parametrize(("raw", "detail"), DOWN)
async def test_a_server_that_cannot_serve_is_down_and_comes_back(
    vendor: VendorSimulator, raw: bytes, detail: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not ready while it is down, and says why without an address or a key."""
    monkeypatch.setattr(discovery_file, "WITHIN", 0.2)
    vendor.list_raw(raw)
    async with lab(vendor) as house:
        server = await house.known(Standing.DOWN)
        assert detail in server.detail
        assert str(vendor.port) not in server.detail
        assert not house.backend.ready(TARGET)
        vendor.list_models("vllm", "qwen3")
        await house.known(Standing.UP)
        assert house.backend.ready(TARGET)


async def test_a_redirect_is_not_followed(vendor: VendorSimulator) -> None:
    """Not even to where the key may be shown."""
    with VendorSimulator() as elsewhere:
        vendor.list_raw(REDIRECT % f"{elsewhere.url}/models".encode())
        async with lab(vendor) as house:
            server = await house.known(Standing.DOWN)
            assert "redirects" in server.detail
            await house.until(lambda: len(vendor.listed) > 2)
        assert elsewhere.connections == []


async def test_a_server_that_dies_is_left_out_and_comes_back_by_itself(
    vendor: VendorSimulator,
) -> None:
    """What it served before is remembered, and when it was last there."""
    vendor.list_models("vllm", "qwen3")
    async with lab(vendor) as house:
        before = await house.known(Standing.UP)
        vendor.kill()
        down = await house.known(Standing.DOWN)
        assert (down.models, down.detail) == (before.models, "the connection could not be made")
        assert down.seen is not None
        assert not house.backend.ready(TARGET)
        vendor.revive()
        await house.known(Standing.UP)
        assert house.backend.ready(TARGET)


async def test_a_request_that_finds_nobody_tells_sooner_than_the_next_check(
    vendor: VendorSimulator,
) -> None:
    """The server is asked at once, and then often, until it is there."""
    vendor.list_models("vllm", "qwen3")
    async with lab(vendor, interval=600) as house:
        await house.known(Standing.UP)
        vendor.kill()
        assert not await house.ask()
        assert not house.backend.ready(TARGET)
        vendor.revive()
        await house.known(Standing.UP)


@pytest.mark.parametrize(("behaviour", "up"), [("answer", True), ("404", True), ("503", False)])
async def test_a_request_that_is_answered_brings_a_server_back(
    vendor: VendorSimulator, behaviour: str, up: bool
) -> None:
    """At once, but for one that says that the server cannot serve."""
    vendor.list_raw(answer(b"", 503)).behave(behaviour)
    async with lab(vendor) as house:
        await house.known(Standing.DOWN)
        vendor.list_raw(b"")
        await asyncio.sleep(2 * SOON)
        await house.ask()
        assert house.backend.ready(TARGET) is up


async def test_a_kept_connection_that_is_closed_when_it_is_used_says_nothing() -> None:
    """llama-server closes some without a word: the server is asked once more, on a new one."""
    whole = listing("vllm", ("qwen3",))
    served: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(writer)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(whole)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with lab(port) as house:
            await house.until(lambda: len(served) > 3 or house.server.standing is Standing.DOWN)
            assert house.server.standing is Standing.UP
        for writer in served:
            with suppress(ConnectionError):
                await writer.wait_closed()


async def test_a_server_that_was_not_asked_yet_is_ready(vendor: VendorSimulator) -> None:
    """Nothing is known of it; a channel that nobody watches is ready for ever."""
    servers = Servers(["lab"])
    assert servers.ready("lab")
    assert servers.lists(TARGET)
    assert servers.ready("openai")
    servers.lost("openai", "it failed")
    assert servers.ready("openai")


async def test_a_denied_server_is_neither_looked_up_nor_dialled(vendor: VendorSimulator) -> None:
    """Its state says so; as soon as policy lets it, it is asked."""
    vendor.list_models("vllm", "qwen3")
    async with lab(vendor, host="lab.test", denied=["lab"]) as house:
        await house.until(lambda: "policy" in house.server.detail)
        await asyncio.sleep(5 * SOON)
        assert (vendor.connections, house.looked_up) == ([], [])
        assert house.server.standing is Standing.UNKNOWN
        house.denied.clear()
        await house.known(Standing.UP)
        assert house.looked_up == ["lab.test"]


async def test_a_ban_that_comes_while_running_ends_the_checks(vendor: VendorSimulator) -> None:
    """Not one more connection and not one more request, though one was kept open; lifted, they
    go on.
    """
    vendor.list_models("vllm", "qwen3")
    async with lab(vendor, interval=1) as house:
        await house.known(Standing.UP)
        house.denied.add("lab")
        house.backend.sweep("lab")
        house.servers.hurry()
        assert (await house.known(Standing.UNKNOWN)).models is None
        seen = (len(vendor.connections), len(vendor.listed))
        await asyncio.sleep(2.2)
        assert (len(vendor.connections), len(vendor.listed)) == seen
        assert vendor.open == 0
        house.denied.clear()
        await house.known(Standing.UP)


async def test_a_ban_that_is_lifted_is_found_out_at_once(vendor: VendorSimulator) -> None:
    """The next check would have been long after a test's patience."""
    vendor.list_models("vllm", "qwen3")
    async with lab(vendor, interval=10 * PATIENCE, denied=["lab"]) as house:
        await house.until(lambda: house.server != Server())
        assert house.server.standing is Standing.UNKNOWN
        house.denied.clear()
        house.servers.hurry()
        await house.known(Standing.UP)
