"""A small document of a server, asked for over the pool, and so through the egress guard."""

from __future__ import annotations

import asyncio

from gateway.upstream.channel import Channel
from gateway.upstream.connection import Connection
from gateway.upstream.fault import StaleConnection
from gateway.upstream.guard import Permit
from gateway.upstream.pool import Pool


async def read(
    channel: Channel, pool: Pool, permit: Permit, *, within: float, most: int
) -> tuple[int, bytes | None]:
    """Send the channel's ``listing``: the status, and the body, ``None`` where it has more than
    ``most`` bytes. ``within`` is in seconds. Raises ``AttemptFault`` and ``TimeoutError``.
    """
    try:
        return await _exchange(channel, pool, permit, within, most, fresh=False)
    except StaleConnection:
        return await _exchange(channel, pool, permit, within, most, fresh=True)


async def _exchange(
    channel: Channel, pool: Pool, permit: Permit, within: float, most: int, *, fresh: bool
) -> tuple[int, bytes | None]:
    until = asyncio.get_running_loop().time() + within
    connection = await pool.take(channel, permit, within, fresh=fresh)
    whole = False
    try:
        connection.ask(channel.listing)
        status = await connection.head(until)
        body = await _body(connection, until, most)
        whole = body is not None
    finally:
        pool.give_back(connection, finished=whole)
    return status, body


async def _body(connection: Connection, until: float, most: int) -> bytes | None:
    pieces: list[bytes] = []
    size = 0
    while piece := await connection.read(until):
        pieces.append(piece)
        size += len(piece)
        if size > most:
            return None
    return b"".join(pieces)
