"""An app on a real socket, and one end of a connection to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

from starlette.types import Receive, Scope, Send
from uvicorn import Config
from uvicorn.server import ServerState

from gateway.http.asgi import AsgiExchange
from gateway.http.connection import Connection
from gateway.http.exchange import Exchange, lines

LIMIT = 1_000_000
KIND = lines([(b"content-type", b"text/plain")])
Serve = Callable[[Exchange], Awaitable[None]]


class App:
    """Answers at /x by ``serve``; what comes by ASGI too, where it does not go straight."""

    max_body = LIMIT

    def __init__(self, serve: Serve, *, straight: bool) -> None:
        self._serve = serve
        self._straight = straight
        self.ways: list[type[Exchange]] = []

    def straight(self, port: int | None) -> Mapping[bytes, App]:
        assert port is not None
        return {b"/x": self} if self._straight else {}

    async def serve(self, exchange: Exchange) -> None:
        self.ways.append(type(exchange))
        await self._serve(exchange)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = AsgiExchange(scope, receive, send, LIMIT)
        await self.serve(exchange)
        await exchange.drain()


class Client:
    """One end of a connection; ``server`` is the other."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.server: Connection

    async def ask(self, *sent: bytes) -> None:
        for data in sent:
            self.writer.write(data)
            await self.writer.drain()
            await asyncio.sleep(0)

    async def rest(self) -> bytes:
        """All that comes until the connection ends."""
        return await asyncio.wait_for(self.reader.read(), 10)

    async def until(self, end: bytes) -> bytes:
        return await asyncio.wait_for(self.reader.readuntil(end), 10)


@asynccontextmanager
async def connected(app: App, keep_alive: int = 5) -> AsyncIterator[Client]:
    config = Config(
        app,
        log_config=None,
        lifespan="off",
        http=Connection,
        proxy_headers=False,
        timeout_keep_alive=keep_alive,
    )
    config.load()
    state, made = ServerState(), list[Connection]()

    def make() -> Connection:
        made.append(Connection(config, state, {}))
        return made[-1]

    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0)
    async with server:
        client = Client(*await asyncio.open_connection(*server.sockets[0].getsockname()))
        await until(lambda: bool(made) and made[0].transport is not None)
        client.server = made[0]
        yield client
        client.writer.close()
        await until(lambda: not state.connections and not state.tasks)


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not happened():  # noqa: ASYNC110 - what happens is of a server, which tells nobody
            await asyncio.sleep(0.01)


def post(body: bytes = b"", *headers: bytes, path: bytes = b"/x", version: bytes = b"1.1") -> bytes:
    length = b"content-length: %d" % len(body)
    head = (b"POST %b HTTP/%b" % (path, version), b"host: here", length, *headers)
    return b"\r\n".join((*head, b"", body))


async def echo(exchange: Exchange) -> None:
    exchange.whole(200, KIND, await exchange.body())
