"""Posts to one address that is no vendor's: over connections of the pool, and so through the egress
guard. Redirects are not followed, whoever answers with one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from urllib.parse import urlsplit

from gateway import __version__
from gateway.upstream.channel import Channel
from gateway.upstream.connection import Connection
from gateway.upstream.fault import AttemptFault, StaleConnection
from gateway.upstream.pool import Pool

MOST_ANSWER = 1 << 16
"""Bytes of an answer that are waited for, so that its connection can be used again."""


class Poster:
    """``base`` is the address that ``channel`` is at, ``headers`` go with each request. Raises
    ``ValueError`` where one of them cannot stand there.
    """

    def __init__(self, pool: Pool, channel: Channel, base: str, headers: Mapping[str, str]) -> None:
        parts = urlsplit(base)
        self._pool = pool
        self._channel = channel
        self._path = parts.path.rstrip("/")
        host = f"[{channel.host}]" if ":" in channel.host else channel.host
        authority = host if parts.port is None else f"{host}:{parts.port}"
        lines = {
            "Host": authority,
            "User-Agent": f"sovereign-gateway/{__version__}",
            "Accept-Encoding": "identity",
            **headers,
        }
        for name, value in lines.items():
            if not (value.isascii() and value.isprintable()):
                raise ValueError(f"{name} cannot stand in a header")
        self._lines = "".join(f"{name}: {value}\r\n" for name, value in lines.items())

    async def post(self, path: str, kind: str, body: bytes, limit: float) -> int:
        """The status of the answer to a body of the media type ``kind``, within ``limit`` seconds.
        Raises ``OSError``, whose text holds neither an address nor a header.
        """
        head = f"POST {self._path}{path} HTTP/1.1\r\n{self._lines}Content-Type: {kind}\r\n"
        request = f"{head}Content-Length: ".encode("ascii")
        try:
            async with asyncio.timeout(limit):
                try:
                    return await self._exchange(request, body, limit, fresh=False)
                except StaleConnection:
                    return await self._exchange(request, body, limit, fresh=True)
        except AttemptFault as fault:
            raise ConnectionError(fault.message) from None

    async def _exchange(self, head: bytes, body: bytes, limit: float, *, fresh: bool) -> int:
        until = asyncio.get_running_loop().time() + limit
        connection = await self._pool.take(self._channel, _always, limit, fresh=fresh)
        whole = False
        try:
            connection.send(head, body)
            await connection.flush(until, limit)
            status = await connection.head(until)
            whole = await _read(connection, until)
        finally:
            self._pool.give_back(connection, finished=whole)
        return status


def _always() -> bool:
    """Policy is about vendors; that this address is dialled is the operator's own word."""
    return True


async def _read(connection: Connection, until: float) -> bool:
    """Whether the answer has come to its end."""
    size = 0
    while piece := await connection.read(until):
        size += len(piece)
        if size > MOST_ANSWER:
            return False
    return True
