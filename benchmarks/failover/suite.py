"""What happens when vendors die, flap or are banned: how fast somebody else answers, and whether
anything is broken meanwhile. The local model is the embedded one, on the gateway's core.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.failover import bans, deaths, vendors, weather
from benchmarks.failover.told import drawn, goals, markdown
from benchmarks.gateway import Arrangement, start
from benchmarks.ground import ROOT, Ground
from benchmarks.suite import Goal

ROUNDS = 4
CLIENTS, STORM = 32, 200
FLAPPING, STORMY = "flapping", "stormy"
LOCAL = {
    "manifests": str(ROOT / "models"),
    "models": {"smollm2": {"manifest": "smollm2-135m-instruct", "context": 1024}},
}


class FailoverSuite:
    name = "failover"
    title = "Failover"

    def run(self, ground: Ground) -> dict[str, Any]:
        pair = [vendors.start(ground) for _ in range(2)]
        found = _with_local_model(ground, pair)
        found["bans"] = {
            str(workers): [_ban(ground, pair[0], workers, way) for way in bans.WAYS]
            for workers in ((2,) if ground.quick else (1, 2))
        }
        for vendor in pair:
            vendor.end(ground)
        return found

    def markdown(self, found: dict[str, Any]) -> str:
        return markdown(found)

    def plots(self, found: dict[str, Any], folder: Path) -> list[Path]:
        return [drawn(found, folder / "failover-deaths.svg")]

    def goals(self, found: dict[str, Any]) -> Sequence[Goal]:
        return goals(found)


def _with_local_model(ground: Ground, pair: Sequence[vendors.Vendor]) -> dict[str, Any]:
    """Deaths, flaps and the storm, at one gateway: the quietest first."""
    rounds = 1 if ground.quick else ROUNDS
    seconds = 1.0 if ground.quick else max(2 * ground.seconds, 4.0)
    clients, crowd = (8, 40) if ground.quick else (CLIENTS, STORM)
    names = ("a", "b")
    targets = [*(f"{name}/gpt-4o" for name in names), deaths.LOCAL]
    with deaths.Dying() as dying:
        sections = deaths.sections(dying.url, rounds)
        for name, vendor in zip(names, pair, strict=True):
            sections["channels"][name] = deaths.channel(vendor.url)
        sections["models"] |= {model: {"targets": [*targets]} for model in (FLAPPING, STORMY)}
        arrangement = Arrangement(sections={**sections, "local": LOCAL})
        gateway = start(ground, arrangement, pair[0].url, name="failover")
        died = deaths.measure(gateway, dying, rounds)
    flaps = weather.flapping(gateway, FLAPPING, pair, clients, seconds)
    flapped = uvloop.run(flaps)
    stormed = uvloop.run(weather.storm(gateway, STORMY, crowd, seconds))
    ground.end(gateway.process)
    return {"deaths": died, "flapping": flapped, "storm": stormed}


def _ban(ground: Ground, vendor: vendors.Vendor, workers: int, way: str) -> dict[str, Any]:
    """At a gateway of its own: what one ban leaves behind is nothing to the next."""
    name = f"ban-{workers}-{bans.WAYS.index(way)}"
    gateway = start(ground, Arrangement(workers=workers), vendor.url, name=name)
    one = uvloop.run(bans.measure(gateway, vendor, way, CLIENTS, ground.cores))
    ground.end(gateway.process)
    return one
