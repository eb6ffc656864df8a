"""The end of an event loop that a simulator has for itself."""

from __future__ import annotations

import asyncio
from typing import Any

QUIET = 3
"""Turns of a loop in which nothing is left: from what is accepted to a task that knows of it takes
two.
"""


async def shut(server: asyncio.Server) -> None:
    """Accept nobody from now on. A server that is closed between a connection's arrival and its
    transport (CPython up to 3.12) leaves the socket open and says nothing, so it is given the turns
    for that first. (uvloop accepts by itself, and has no such gap.)
    """
    loop = asyncio.get_running_loop()
    if isinstance(loop, asyncio.SelectorEventLoop):
        for listener in server.sockets:
            loop.remove_reader(listener.fileno())
    for _ in range(QUIET):
        await asyncio.sleep(0)
    server.close()


async def abandon() -> None:
    """End every task and connection of this loop, also those that no task knows of yet: a handshake
    that is not over, or what was accepted in this very turn. The loop would leave them open.
    """
    loop: Any = asyncio.get_running_loop()
    this = asyncio.current_task()
    quiet = 0
    while quiet < QUIET:
        # A transport that has been closed stays in the loop's book until somebody collects it.
        transports = [t for t in loop._transports.values() if t._sock is not None]
        tasks = asyncio.all_tasks() - {this}
        for transport in transports:
            transport.abort()
        for task in tasks:
            task.cancel()
        await asyncio.sleep(0)
        quiet = 0 if transports or tasks else quiet + 1
