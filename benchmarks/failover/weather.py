"""Vendors that flap, and all of them denied at once, under load."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from benchmarks.failover.apps import Apps, counted
from benchmarks.failover.vendors import Vendor
from benchmarks.gateway import Gateway
from gateway.files import write_atomically

FLAP = 1.0
"""Seconds for which one vendor is down and the other up."""
DENIED = b"version: 1\ndefault: deny\n"
WARM = 1.0


async def flapping(
    gateway: Gateway, model: str, vendors: Sequence[Vendor], clients: int, seconds: float
) -> dict[str, Any]:
    """Requests a second with both vendors up, and with one of them down each second in turn."""
    quiet = await _load(Apps(gateway.port, gateway.key, model, clients), seconds / 2)
    apps = Apps(gateway.port, gateway.key, model, clients)
    running = asyncio.create_task(_load(apps, seconds))
    flaps = 0
    while not running.done():
        down, up = vendors[flaps % 2], vendors[1 - flaps % 2]
        up.say("up")
        down.say("down")
        flaps += 1
        await asyncio.wait([running], timeout=FLAP)
    for vendor in vendors:
        vendor.say("up")
    return {"flaps": flaps, "quiet": quiet, "flapping": await running}


async def storm(gateway: Gateway, model: str, clients: int, seconds: float) -> dict[str, Any]:
    """What becomes of so many apps when policy denies all vendors; seconds are from then on."""
    apps = Apps(gateway.port, gateway.key, model, clients)
    asking = asyncio.create_task(apps.run())
    await asyncio.sleep(WARM)
    policy = gateway.running.policies / "10-vendors.yaml"
    before = policy.read_bytes()
    began = time.monotonic()
    write_atomically(policy, DENIED)
    await asyncio.sleep(seconds)
    apps.ended = True
    await asking
    write_atomically(policy, before)
    after = [answer for answer in apps.answers if answer.ended > began]
    vendors = [answer for answer in after if answer.served and answer.by != "local"]
    local = [answer for answer in after if answer.served and answer.by == "local"]
    shed = [answer for answer in after if not answer.served and not answer.broken]
    return {
        "clients": clients,
        "seconds": seconds,
        "in_force": max((answer.began - began for answer in vendors), default=0.0),
        "local": len(local),
        "shed": len(shed),
        "broken": sum(answer.broken for answer in after),
        "first": min((answer.ended - began for answer in local), default=None),
        "served_seconds": _ranks([answer.ended - answer.began for answer in local]),
        "shed_seconds": _ranks([answer.ended - answer.began for answer in shed]),
        "answers": counted(after),
    }


async def _load(apps: Apps, seconds: float) -> dict[str, Any]:
    running = asyncio.create_task(apps.run())
    began = time.monotonic()
    await asyncio.sleep(seconds)
    apps.ended = True
    await running
    took = time.monotonic() - began
    served = [answer for answer in apps.answers if answer.served]
    return {
        "rate": len(served) / took,
        "share": len(served) / max(len(apps.answers), 1),
        "by": dict(Counter(answer.by for answer in served)),
        "broken": sum(answer.broken for answer in apps.answers),
        "answers": counted(apps.answers),
        "seconds": _ranks([answer.ended - answer.began for answer in served]),
    }


def _ranks(values: list[float]) -> dict[str, float] | None:
    if len(values) < 2:
        return None
    cut = statistics.quantiles(values, n=100, method="inclusive")
    return {"p50": cut[49], "p99": cut[98], "max": max(values)}
