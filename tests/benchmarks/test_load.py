"""The load generator that operators point at a running gateway."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.load.asked import Unusable, address, body, prompt
from benchmarks.load.load import percentiles
from tests.ports import free_port
from tests.simulators.vendor import VendorSimulator

COMMAND = (sys.executable, "-m", "benchmarks.load")


@pytest.fixture(scope="module")
def _vendor() -> Iterator[VendorSimulator]:
    with VendorSimulator() as vendor:
        yield vendor


@pytest.fixture
def vendor(_vendor: VendorSimulator) -> VendorSimulator:
    _vendor.requests.clear()
    return _vendor.behave("answer")


def load(url: str, *options: str, seconds: float = 20) -> subprocess.CompletedProcess[str]:
    """It, until it stops by itself."""
    words = [*COMMAND, "--url", url, "--model", "gpt-4o", "--seconds", str(seconds), *options]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)


def found(url: str, *options: str, seconds: float = 20) -> dict[str, Any]:
    done = load(url, *options, "--format", "json", seconds=seconds)
    told: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (1 if told["failed"] else 0), done.stderr
    return told


@pytest.mark.parametrize("kind", [(), ("--stream",)])
def test_each_request_is_counted_and_timed(vendor: VendorSimulator, kind: tuple[str, ...]) -> None:
    vendor.behave("answer", delay=0.05)
    told = found(vendor.url, "--requests", "40", "--clients", "4", *kind)
    # One before all others shows whether they have a chance.
    assert len(vendor.requests) == 41
    assert (told["answered"], told["failed"], told["errors"]) == (40, 0, [])
    assert 50 <= told["latency_ms"]["p50"] <= told["latency_ms"]["p99"] < 1000
    assert told["requests_per_second"] == pytest.approx(40 / told["seconds"])
    assert 20 < told["requests_per_second"] <= 80
    assert {request.json.get("stream", False) for request in vendor.requests} == {bool(kind)}
    if kind:
        assert 50 <= told["first_byte_ms"]["p50"] <= told["latency_ms"]["max"]
    else:
        assert told["first_byte_ms"] is None


def test_connections_are_kept(vendor: VendorSimulator) -> None:
    before = len(vendor.connections)
    found(vendor.url, "--requests", "40", "--clients", "4")
    assert len(vendor.connections) == before + 1 + 4


def test_connections_that_a_server_closes_are_no_failures(vendor: VendorSimulator) -> None:
    vendor.behave("close_after", told=True)
    told = found(vendor.url, "--requests", "20", "--clients", "2")
    assert (told["answered"], told["failed"]) == (20, 0)


def test_it_stops_after_its_time_and_waits_for_the_last_answers(vendor: VendorSimulator) -> None:
    vendor.behave("answer", delay=0.4)
    told = found(vendor.url, "--clients", "3", seconds=1.1)
    assert told["seconds"] == pytest.approx(1.1, abs=0.1)
    # Two answers to each within the time; the third was on its way, and is no failure.
    assert (told["answered"], told["failed"]) == (9, 0)
    assert told["requests_per_second"] == pytest.approx(6 / 1.1, rel=0.1)


def test_what_fails_is_counted_by_kind(vendor: VendorSimulator) -> None:
    names = ["answer", "answer", "answer", "503", "reset", "answer"]
    ways = [(name, dict[str, Any]()) for name in names]
    vendor.behave("in_turn", ways=ways)
    told = found(vendor.url, "--requests", "8", "--clients", "1")
    assert told["answered"] == 6
    kinds = {error["kind"].partition(" ")[0]: error["count"] for error in told["errors"]}
    assert kinds == {"503": 1, "the": 1}
    assert "broke off" in json.dumps(told["errors"])


def test_a_stream_without_its_end_is_a_failure(vendor: VendorSimulator) -> None:
    vendor.behave("in_turn", ways=[("answer", {}), ("missing_done", {})])
    told = found(vendor.url, "--requests", "2", "--clients", "1", "--stream")
    assert [(x["kind"], x["count"]) for x in told["errors"]] == [("a stream without its end", 2)]


def test_an_answer_that_stays_away_is_given_up(vendor: VendorSimulator) -> None:
    vendor.behave("in_turn", ways=[("answer", {}), ("stall", {})])
    told = found(vendor.url, "--requests", "2", "--clients", "2", "--patience", "0.5")
    assert [(x["kind"], x["count"]) for x in told["errors"]] == [("no answer within 0.5 s", 2)]


@pytest.mark.parametrize(
    ("status", "advice"), [("401", "--key-file"), ("404", "/v1/models"), ("429", "keys list")]
)
def test_a_refusal_is_said_at_once(vendor: VendorSimulator, status: str, advice: str) -> None:
    vendor.behave(status, message="No such thing.")
    done = load(vendor.url)
    assert done.returncode == 1
    assert len(vendor.requests) == 1
    assert done.stderr.startswith(f"not begun: {status}")
    assert "No such thing." in done.stderr
    assert advice in done.stderr


def test_nobody_there() -> None:
    done = load(f"http://127.0.0.1:{free_port()}")
    assert done.returncode == 1
    assert "refused: nobody listens there" in done.stderr


def test_a_key_is_read_from_a_file(vendor: VendorSimulator, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("sg-planted\nand more\n")
    found(vendor.url, "--requests", "1", "--key-file", str(file), "--header", "X-Team: bench")
    shown = [(x.headers["authorization"], x.headers["x-team"]) for x in vendor.requests]
    assert shown == [("Bearer sg-planted", "bench")] * 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--key-file", "/nonexistent"), "No such file"),
        (("--header", "authorization: Bearer x"), "--key-file"),
        (("--header", "x"), "name: value"),
        (("--clients", "0"), "more than 0"),
        (("--seconds", "999999"), "at most 3600"),
    ],
)
def test_what_cannot_be_used_is_said(
    vendor: VendorSimulator, options: tuple[str, ...], said: str
) -> None:
    done = load(vendor.url, *options)
    assert done.returncode == 2
    assert said in done.stderr
    assert vendor.requests == []


def test_another_machine_is_put_under_load_only_by_word() -> None:
    done = load("http://192.0.2.1:8080")
    assert done.returncode == 2
    assert "--remote" in done.stderr


def test_interrupted_it_says_what_it_has_found(vendor: VendorSimulator) -> None:
    words = [*COMMAND, "--url", vendor.url, "--model", "m", "--seconds", "60", "--clients", "2"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        while len(vendor.requests) < 20:
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGINT)
        said, _ = process.communicate(timeout=10)
    assert "answered, 0 failed" in said
    assert process.returncode == 0


def test_percentiles_are_those_of_the_ordered_times() -> None:
    times = array("d", (n / 1000 for n in range(1000, -1, -1)))
    assert percentiles(times) == {"p50": 500.0, "p95": 950.0, "p99": 990.0, "max": 1000.0}
    assert percentiles(array("d", [0.002])) == {"p50": 2, "p95": 2, "p99": 2, "max": 2}
    assert percentiles(array("d")) is None


@pytest.mark.parametrize("kilobytes", [0.3, 4, 64, 300])
def test_prompts_are_conversations_of_that_size(kilobytes: float) -> None:
    messages = prompt(kilobytes)
    assert sum(len(message["content"]) for message in messages) == kilobytes * 1000
    roles = [message["role"] for message in messages]
    assert roles[-1] == "user"
    assert all(one != other for one, other in itertools.pairwise(roles))
    sent = body("m", kilobytes, stream=False)
    assert kilobytes * 1000 < len(sent) < kilobytes * 1150 + 200
    assert json.loads(sent)["messages"] == messages


def test_urls_are_those_of_gateways_and_of_sdks() -> None:
    assert address("http://127.0.0.1:8080") == address("http://127.0.0.1:8080/v1/")
    assert address("https://[::1]/ai/v1").path == "/ai/v1/chat/completions"
    assert address("https://[::1]/ai/v1").port == 443
    for unusable in ("127.0.0.1:8080", "ftp://x", "http://user:word@x", "http://x?key=1"):
        with pytest.raises(Unusable):
            address(unusable)
