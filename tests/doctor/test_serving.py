"""What the doctor says of the server's limits, on machines of every size."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway.examining.machine import machine
from gateway.processes.interpreter import Build, build
from gateway.readiness.doctor.examined import Examined
from gateway.readiness.doctor.finding import Check
from gateway.readiness.doctor.serving import bodies, descriptors, python, swap, workers
from tests.doctor.checkout import Checkout, said

GB = 1 << 30


def on(found: Examined, **fields: Any) -> Examined:
    return replace(found, machine=replace(found.machine, **fields))


@pytest.mark.parametrize(
    ("check", "well", "subject", "wrong"),
    [
        (workers, {"cores": 3}, "server.workers", {"cores": 2.5}),
        (descriptors, {"descriptors": 4096}, "ulimit -n", {"descriptors": 1024}),
        (bodies, {"memory": 7 * GB}, "server.max_body_mb", {"memory": 6 * GB}),
        (swap, {"swap": GB}, "swap", {"swap": 2 * GB}),
    ],
)
def test_limits_of_the_machine_are_told_of(
    checkout: Checkout, check: Check, well: Any, subject: str, wrong: Any
) -> None:
    checkout.configured(("port: 0", "port: 0, workers: 3, max_body_mb: 50"))
    found = checkout.examined()
    assert said([*check(on(found, **well))]) == []
    assert said([*check(on(found, **wrong))]) == [("warning", subject)]


@pytest.mark.parametrize("built", Build)
def test_a_slow_python_is_told_of(checkout: Checkout, built: Build) -> None:
    """What is not known to be slow is not called so."""
    levels = {Build.PLAIN: ["info"], Build.DEBUG: ["warning"]}
    found = on(checkout.examined(), python=built)
    assert [finding.level for finding in python(found)] == levels.get(built, [])
    assert all(built.value in finding.message for finding in python(found))


def test_a_deadline_that_one_vendor_uses_up_is_told_of(checkout: Checkout) -> None:
    """By each time-out that is as long."""
    assert checkout.only("deadline") == []
    checkout.configured(("port: 0", "port: 0, deadline: 120"))
    assert [row[:2] for row in checkout.only("deadline")] == [
        ("warning", "upstream.answer_timeout")
    ]


def test_this_machine_is_looked_at() -> None:
    """By what its kernel really says."""
    found = machine(loaded=False)
    assert found.free is not None
    assert 0 < found.free <= found.memory
    assert found.cores > 0
    assert found.descriptors > 0
    assert found.python is build()
    assert machine(loaded=True).free is None
