"""The benchmark of the relay, in small: that it measures what it says, and what it makes of it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import machine
from benchmarks.ground import Ground, cores, free_port
from benchmarks.load.asked import body
from benchmarks.relay import contenders, upstream, wrk
from benchmarks.relay.cells import Cell
from benchmarks.relay.contenders import DIRECT, LITELLM, NGINX, OURS, line_up
from benchmarks.relay.figures import added, median, ratio
from benchmarks.relay.start import started
from benchmarks.relay.suite import RelaySuite, Trial

NEEDED = {"wrk": "apt install wrk", "nginx": "apt install nginx-light", "cc": "apt install gcc"}
LACKING = [name for name in NEEDED if not shutil.which(name, path="/usr/bin:/usr/sbin:/bin")]
pytestmark = pytest.mark.skipif(
    bool(LACKING), reason="; ".join(f"no {name} ({NEEDED[name]})" for name in LACKING)
)


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    with Ground(tmp_path, True, 1.0, *cores(os.sched_getaffinity(0))) as ground:
        yield ground


def test_a_gateway_and_nginx_before_the_same_vendor(ground: Ground, tmp_path: Path) -> None:
    said: list[str] = []
    vendors = upstream.start(ground)
    lined, left = line_up(ground, vendors, (OURS, NGINX), said.append)
    assert list(lined) == [DIRECT, OURS, NGINX]
    assert left == {}
    trial = Trial(ground, vendors, lined)
    trial.warm()
    of = trial.measure(Cell(4, 0.3, "plain", (OURS, DIRECT, NGINX, LITELLM), 1, "a test"))
    streamed = trial.measure(Cell(2, 4, "streamed", (OURS, NGINX), 1, "a test"))
    assert trial.wrong == {}

    # The gateway works for each request, and nobody works for the direct way.
    assert median(of, OURS, "rate") > 100
    assert 20 < median(of, OURS, "cpu_us") < 10_000
    assert median(of, DIRECT, "cpu_us") == 0
    assert 0 <= median(of, OURS, "others") < 1
    beside = ratio(of, NGINX)
    assert beside is not None
    assert 0 < beside < 1
    assert added(of, "p50", OURS, DIRECT) > 0
    assert ratio(of, LITELLM) is None
    # Streams came whole to both, and are longer than an answer.
    answers = [median(streamed, who, "answer") for who in (OURS, NGINX)]
    assert answers[0] == pytest.approx(answers[1], rel=0.2)
    assert min(answers) > upstream.CHUNKS * 100

    check = trial.check(1)
    assert 0.3 < check[0]["own"]["rate"] / check[0]["wrk"]["rate"] < 3
    records = (ground.folder / "gateway-1" / "state" / "audit").glob("*.jsonl")
    assert any(b'"kind":"request"' in file.read_bytes() for file in records)


def test_the_start_is_told_with_what_was_imported(ground: Ground) -> None:
    told = started(ground, starts=1)
    assert 0.1 < told["seconds"][0] < 60
    assert 20e6 < told["resident"][0] < 500e6
    assert told["imports"]["modules"] > 300
    assert told["imports"]["unwanted"] == []
    assert "gateway" in told["imports"]["longest_ms"]


def test_answers_that_are_no_good_are_no_figures(ground: Ground, tmp_path: Path) -> None:
    port = free_port()
    refusing = f"server {{ listen 127.0.0.1:{port}; location / {{ return 503; }} }}"
    upstream.nginx(ground, refusing, ground.load_core, "refusing", port)
    file = tmp_path / "body.json"
    file.write_bytes(body("m", 0.3, stream=False))
    with pytest.raises(wrk.Failed, match="refused"):
        wrk.put_under(ground, f"http://127.0.0.1:{port}/v1", file, {}, clients=1, seconds=1)


def test_a_peer_that_is_not_installed_is_left_out_with_a_word(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contenders, "ROOT", ground.folder)
    monkeypatch.setenv("PATH", "/nonexistent")
    lined, left = line_up(ground, upstream.Upstream(1, 2), (LITELLM,), lambda line: None)
    assert list(lined) == [DIRECT]
    assert left == {LITELLM: "make bench-peers installs it"}


def test_a_peer_of_another_python_says_so(tmp_path: Path) -> None:
    """Its version is that of its package; its Python stands beside it where it is not ours."""
    mine = Path(sys.executable)
    assert contenders._version(mine, "pytest") == pytest.__version__
    assert machine.python_of(mine) == machine.python() == machine.facts()["python"]
    other = tmp_path / "python"
    other.write_text(f'#!/bin/sh\n[ $# = 4 ] && echo "3.9.2 (its own)" || exec {mine} "$@"\n')
    other.chmod(0o755)
    told = contenders._version(tmp_path / "pytest", "pytest")
    assert told == f"{pytest.__version__}, Python 3.9.2 (its own)"


def test_what_was_found_is_told(ground: Ground, tmp_path: Path) -> None:
    figures = {"p50": 2.0, "p95": 3.0, "p99": 4.0, "longest": 5.0, "answer": 400.0, "requests": 9}
    figures |= {"others": 0.02}
    rounds = {
        OURS: [{**figures, "rate": rate, "cpu_us": 250.0, "busy": 0.99} for rate in (3e3, 4e3)],
        DIRECT: [{**figures, "rate": 6e4, "p50": 0.1, "cpu_us": 0.0, "busy": 0.0}] * 2,
        NGINX: [{**figures, "rate": rate, "cpu_us": 40.0, "busy": 0.9} for rate in (2e4, 1e4)],
    }
    cells = [
        {"name": name, "clients": n, "kilobytes": kb, "kind": "plain", "why": "", "rounds": rounds}
        for name, n, kb in (("plain-1x0.3", 1, 0.3), ("plain-32x0.3", 32, 0.3))
    ]
    suite = RelaySuite()
    found = {
        "cells": [*cells, {**cells[1], "name": "plain-32x300", "kilobytes": 300}],
        "start": {
            "seconds": [1.0, 2.0, 1.2],
            "resident": [9e7, 9e7, 9e7],
            "imports": {"modules": 900, "unwanted": ["litellm"], "ms": 800.0, "longest_ms": {}},
        },
        "check": [{"own": {**figures, "rate": 98.0, "busy": 0.2}, "wrk": {**figures, "rate": 1e2}}],
        "left_out": {LITELLM: "make bench-peers installs it"},
        "contenders": {
            who: {"version": "1.0", "ready_s": 1.0, "resident": 9e7, "peak": 1e8}
            for who in (OURS, NGINX)
        },
    }
    goals = {goal.what: goal for goal in suite.goals(found)}
    rate = goals["plain relay, 32 clients, 0.3 KB"]
    assert (rate.got, rate.ratio, rate.met) == ("3,500 requests/s", 0.7, False)
    assert rate.holds_back == "processor time: 250 µs a request, where 200 are wanted"
    assert goals["added latency, 1 client, p50"].got == "1.90 ms"
    assert goals["added latency, 1 client, p99"].got == "0.00 ms"
    assert goals["added latency, 1 client, p99"].met
    # Each round is compared with itself: 3/20 and 4/10.
    assert goals["300 KB prompts, 32 clients, beside nginx"].got == "0.28 ×"
    assert goals["the same, beside litellm"].met is None
    assert goals["the same, beside litellm"].holds_back == "make bench-peers installs it"
    assert goals["start to `readyz`, no local model"].got == "1.20 s"
    assert not goals["neither `litellm` nor `llama_cpp` imported"].met
    page = suite.markdown(found)
    assert "| nginx 1.0 | 0.28 | 15,000 (10,000 to 20,000) |" in page
    assert "wrk agree: the rates are as 0.98 to 1" in page
    assert "Disturbed" not in page
    assert "- litellm was left out: make bench-peers installs it" in page
