"""How long a ban takes under load: from the command, or the request to the API, until the last byte
of a request has reached the vendor.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Collection
from typing import Any

from benchmarks.failover.apps import Apps, counted
from benchmarks.failover.vendors import Vendor
from benchmarks.gateway import MODEL, Gateway

BEFORE, AFTER = 0.6, 1.2
"""Seconds of load before a ban, and after it: a request that comes late comes then."""
PAUSE = 0.01
"""Seconds between an app's requests, so that there is something left of the machine for whoever
bans.
"""
COMMAND, API = "gateway ban", "the API"
WAYS = (COMMAND, API)


async def measure(
    gateway: Gateway, vendor: Vendor, way: str, clients: int, cores: Collection[int]
) -> dict[str, Any]:
    """One ban, by a command that may use these cores. The apps ask for what nobody else may answer.
    ``last`` are the seconds from the beginning to the last byte, ``returned`` those until whoever
    banned was told that it is done; ``rate`` is of requests a second before it.
    """
    apps = Apps(gateway.port, gateway.key, MODEL, clients, pause=PAUSE)
    asking = asyncio.create_task(apps.run())
    await asyncio.sleep(BEFORE)
    first = vendor.say()
    await asyncio.sleep(BEFORE)
    before = vendor.say()
    began = time.monotonic()
    if way == COMMAND:
        await asyncio.to_thread(_command, gateway, cores)
    else:
        await asyncio.to_thread(_ask, gateway)
    returned = time.monotonic()
    await asyncio.sleep(AFTER)
    last = vendor.say()
    apps.ended = True
    await asking
    return {
        "way": way,
        "rate": (before.requests - first.requests) / BEFORE,
        "last": last.last - began,
        "returned": returned - began,
        "answers": counted(apps.answers),
        "broken": sum(answer.broken for answer in apps.answers),
    }


def _command(gateway: Gateway, cores: Collection[int]) -> None:
    # Of this thread, and of what it starts: an operator's shell is nobody's load.
    os.sched_setaffinity(0, cores)
    done: subprocess.CompletedProcess[str] = gateway.running.run(
        "ban", "openai", "--reason", "benchmark"
    )
    assert done.returncode == 0, done.stderr


def _ask(gateway: Gateway) -> None:
    request = urllib.request.Request(  # noqa: S310 - our own gateway
        f"{gateway.url}/admin/vendors/openai/ban",
        data=json.dumps({"reason": "benchmark"}).encode(),
        headers={
            "authorization": f"Bearer {gateway.running.credential}",
            "content-type": "application/json",
        },
    )
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - the same
        assert answer.status == 200
