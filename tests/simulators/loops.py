"""The end of an event loop that a simulator has for itself."""

from __future__ import annotations

import asyncio
from typing import Any


async def abandon() -> None:
    """Abort every connection of this loop, also one whose TLS handshake is not over: no task knows
    of it yet, and the loop would leave it open.
    """
    loop: Any = asyncio.get_running_loop()
    for transport in list(loop._transports.values()):
        transport.abort()
    await asyncio.sleep(0)
