"""What is measured of failover, in a small way: with the real model and real deaths."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from benchmarks.failover import bans, deaths, vendors, weather
from benchmarks.failover.suite import LOCAL
from benchmarks.failover.told import goals, markdown
from benchmarks.gateway import Arrangement, Gateway, start
from benchmarks.ground import Ground, cores

KINDS = {
    "nobody listens": "refused",
    "503": "server_error",
    "429": "rate_limited",
    "reset after the request": "refused",
    "a page of a proxy": "malformed",
    "reset after the head": "truncated",
    # The head of a stream is that of whoever began it.
    "reset in the middle": "",
}


@dataclass(frozen=True, slots=True)
class House:
    ground: Ground
    gateway: Gateway
    dying: deaths.Dying
    vendor: vendors.Vendor


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("ground")
    with (
        Ground(folder, True, 1.0, *cores(os.sched_getaffinity(0))) as ground,
        deaths.Dying() as dying,
    ):
        vendor = vendors.start(ground)
        sections = deaths.sections(dying.url, 1)
        sections["channels"]["a"] = deaths.channel(vendor.url)
        sections["models"]["mixed"] = {"targets": ["a/gpt-4o", deaths.LOCAL]}
        arrangement = Arrangement(sections={**sections, "local": LOCAL})
        yield House(ground, start(ground, arrangement, vendor.url), dying, vendor)
        vendor.end(ground)


def test_each_death_ends_in_words_of_the_local_model(house: House) -> None:
    found = deaths.measure(house.gateway, house.dying, 1)
    assert [one["whole"] for one in found] == [1] * len(deaths.DEATHS)
    told = {one["name"]: one["failover"] for one in found}
    assert told.items() >= KINDS.items()
    for one in found:
        assert one["first"][0] > 0
        assert one["own"][0] > 0


def test_a_killed_vendor_comes_back_where_it_was(house: House) -> None:
    """And counts what came to it."""
    before = house.vendor.say()
    found = asyncio.run(weather.flapping(house.gateway, "mixed", [house.vendor] * 2, 2, 0.3))
    assert found["quiet"]["share"] == 1
    assert found["quiet"]["by"].keys() == {"a"}
    assert "local" in found["flapping"]["by"]
    assert found["flapping"]["broken"] == 0
    after = house.vendor.say()
    assert after.requests - before.requests >= found["quiet"]["rate"] * 0.1
    assert after.last > before.last


def test_a_storm_is_served_or_told_to_wait(house: House) -> None:
    found = asyncio.run(weather.storm(house.gateway, "mixed", 4, 0.5))
    assert found["broken"] == 0
    assert found["local"] >= 4
    assert found["first"] > 0
    assert set(found["answers"]) <= {"a whole answer", "503 queue_full"}


def test_no_byte_comes_after_a_ban_has_returned(house: House) -> None:
    one = asyncio.run(bans.measure(house.gateway, house.vendor, bans.API, 2, house.ground.cores))
    assert one["rate"] > 0
    assert one["last"] < one["returned"]
    assert one["broken"] == 0
    assert one["answers"]["451 vendor_blocked"] > 0


def died(name: str, *first: float) -> dict[str, Any]:
    return {
        "name": name, "middle": False, "first": list(first), "own": [10.0] * len(first), "whole": 3,
        "failover": "refused",
    }  # fmt: skip


def test_goals_are_held_against_the_worst() -> None:
    """The worst way of dying, by its median; the slowest ban by the command."""
    load = {
        "rate": 100.0,
        "share": 1.0,
        "by": {"a": 9},
        "broken": 0,
        "answers": {},
        "seconds": None,
    }
    ban = {"rate": 500.0, "answers": {"a whole answer": 9}, "broken": 0}
    quick = {**ban, "way": bans.API, "last": 0.04, "returned": 0.05}
    slow = {**ban, "way": bans.COMMAND, "last": 1.25, "returned": 1.5}
    found = {
        "deaths": [died("503", 12.0, 13.0, 900.0), died("half a chunk", 20.0, 51.0, 60.0)],
        "bans": {"1": [{**slow, "last": 0.8}, quick], "2": [slow, quick]},
        "flapping": {"flaps": 2, "quiet": load, "flapping": {**load, "rate": 50.0, "broken": 1}},
        "storm": {
            "clients": 200, "seconds": 6.0, "in_force": 0.1, "local": 70, "shed": 130, "broken": 0,
            "first": 0.4, "served_seconds": None, "shed_seconds": None, "answers": {},
        },
    }  # fmt: skip
    death, banned, after, broken = goals(found)
    assert (death.met, death.got, death.holds_back) == (False, "41 ms", "worst: half a chunk")
    assert (banned.met, banned.got) == (False, "1.25 s")
    assert banned.holds_back.startswith("by the API it is 0.04 s")
    assert (after.met, broken.met) == (True, False)
    text = markdown(found)
    assert "| 503 | 3 | 13 | 10 | one answer, of the local model |" in text
    assert "| flapping | 0.50 | 50 |" in text
