"""A gateway in an arrangement, under load: what suites measure with."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace

import pytest

from benchmarks.asking import Unanswered, ask, scraping
from benchmarks.gateway import MODEL, Arrangement, Gateway, start
from benchmarks.ground import Ground, cores
from benchmarks.operators.features import ALL, arrangement
from benchmarks.policy.made import policy_files
from benchmarks.policy.measured import loaded, targets
from benchmarks.scale.workers import Watch, goal
from benchmarks.vendor import seen
from benchmarks.vendor import start as start_vendor

RULES, KEYS = 1_100, 5


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with Ground(tmp_path_factory.mktemp("ground"), True, 0.3, *cores()) as ground:
        yield ground


@pytest.fixture(scope="module")
def vendor(ground: Ground) -> str:
    return start_vendor(ground, ground.load_core)


@pytest.fixture(scope="module")
def gateway(ground: Ground, vendor: str) -> Gateway:
    many = Arrangement(rules=RULES, targets=3, keys=KEYS)
    return start(ground, many, f"{vendor}/v1")


def test_it_is_arranged_as_it_was_asked_for(gateway: Gateway, ground: Ground) -> None:
    assert 0.1 < gateway.process.ready_after < 60
    assert os.sched_getaffinity(gateway.process.pid) == {ground.server_core}
    assert len(set(gateway.keys)) == KEYS
    rules = gateway.running.run("policy", "explain", "--model", MODEL, "--team", "bench")
    assert "openai-3/gpt-4o" in rules.stdout
    assert len(list(gateway.running.policies.glob("*.yaml"))) == 2


def test_the_same_rules_are_loaded_in_process() -> None:
    policy = loaded(policy_files(RULES))
    assert len(policy.rules) == RULES
    assert len({target.id for target in targets(7)}) == 7


def test_a_load_tells_what_a_request_takes(gateway: Gateway, ground: Ground, vendor: str) -> None:
    before = seen(vendor).get("completions", 0)
    watch = Watch(ground, [gateway.process], {ground.server_core}, 0.1)
    asked = ask(ground, gateway, seconds=0.4, clients=4, meanwhile=watch)
    assert asked.answered >= 10
    assert seen(vendor)["completions"] - before >= asked.answered
    assert 20 < asked.cost < 20_000
    assert 0 < asked.p50 <= asked.p99
    assert 0 < watch.workers <= 1.1
    assert 0 <= watch.idle <= 1
    assert 0 <= watch.others <= 1


def test_streams_are_asked_for_while_somebody_scrapes(gateway: Gateway, ground: Ground) -> None:
    asked = ask(ground, gateway, seconds=0.3, clients=2, stream=True, meanwhile=scraping(gateway))
    assert asked.answered >= 2


def test_a_load_that_is_refused_is_no_figure(gateway: Gateway, ground: Ground) -> None:
    with pytest.raises(Unanswered, match="401"):
        ask(ground, replace(gateway, keys=()), seconds=0.2, clients=1)


def test_two_workers_are_held_against_one_round_by_round() -> None:
    one = {"workers": 1, "cores": 1, "undisturbed": [100.0, 50.0, 100.0], "cost_us": [200.0] * 3}
    two = {"workers": 2, "cores": 2, "undisturbed": [190.0, 95.0, 180.0], "cost_us": [210.0] * 3}
    two |= {name: [0.1] * 3 for name in ("workers_share", "idle", "others")}
    shared = two | {"undisturbed": [195.0, 97.5, 190.0], "cost_us": [206.0] * 3}
    apart = two | {"undisturbed": [200.0, 100.0, 190.0], "cost_us": [202.0] * 3}
    found = goal(one, two, shared, apart)
    assert found.met
    assert found.got == "1.90 ×"
    assert found.holds_back.startswith(
        "two gateways that share nothing come to 1.95 × on these cores, and to 2.00 × where each"
    )
    assert (
        "a request takes 1.05 × the processor time of one worker's, and 1.03 × and 1.01 × there"
    ) in found.holds_back
    unknown = goal(one, two | {"cores": 1}, shared, apart)
    assert (unknown.met, unknown.holds_back) == (None, "the machine has one core")


def test_features_are_on_or_off_as_far_as_they_can_be() -> None:
    off, on = arrangement(ALL, (), "http://v"), arrangement(ALL, ALL, "http://v")
    assert not off.on
    assert off.sections["telemetry"] == {"logs": {"requests": "none"}}
    assert on.on
    assert on.sections["telemetry"]["otlp"]["endpoint"] == "http://v"
    assert on.sections["audit"]["fsync"] == "batches"
