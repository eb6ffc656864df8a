"""The vendor and the client of many streams: what they count and how they time it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.ground import Ground, cores
from benchmarks.streams.flood import Asked, NoCompiler, compiled, run_client, start_vendor
from benchmarks.streams.suite import StreamsSuite
from tests.simulators.vendor import VendorSimulator

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with Ground(
        tmp_path_factory.mktemp("ground"), True, 1.0, *cores(os.sched_getaffinity(0))
    ) as ground:
        yield ground


@pytest.fixture(scope="module")
def program(ground: Ground) -> Path:
    return compiled(ground)


def client(program: Path, port: int, chunks: int, *, streams: int = 1) -> dict[str, Any]:
    """What it says last, of an answer of so many chunks."""
    asked = {"port": port, "streams": streams, "chunks": chunks, "ramp-ms": 0, "seconds": 3}
    words = [f"--{name}={value}" for name, value in asked.items()]
    done = subprocess.run(
        [program, "client", *words], capture_output=True, text=True, timeout=20, check=True
    )
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def test_five_streams_come_whole_and_in_time(ground: Ground, program: Path) -> None:
    """Each chunk is there once, at its pace, and the moments are told in which others can look."""
    vendor = start_vendor(ground, program)
    moments: list[str] = []
    asked = Asked(vendor.port, "m", 5, 1.0)
    began = time.monotonic()
    told = run_client(ground, program, asked, lambda moment, _: moments.append(moment))
    took = time.monotonic() - began
    assert told["streams"] == {"asked": 5, "ok": 5, "failed": {}}
    assert told["chunks"] == {"wanted": 5 * asked.chunks, "received": 5 * asked.chunks}
    assert moments == ["open", "ended"]
    # One second with all open, at 20 a second.
    assert 5 * 19 <= told["delay_us"]["count"] <= 5 * asked.chunks
    delay = told["delay_us"]
    assert 0 < delay["p50"] <= delay["p95"] <= delay["p99"] <= delay["max"] < 1_000_000
    assert told["first_us"]["count"] == 5
    assert (asked.chunks - 1) / 20 <= took < 10
    ground.end(vendor.process)


def test_percentiles_are_nearest_ranks(program: Path) -> None:
    """Of chunks that were made 10 ms apart and come all at once, the last one first."""
    with VendorSimulator() as vendor:
        made = time.monotonic_ns() // 1000
        words = [f"{number}:{made - number * 10_000};" for number in range(101)]
        vendor.behave("answer", words=words)
        late = client(program, vendor.port, 101)["delay_us"]
    assert late["count"] == 101
    passed = late["p50"] - 500_000
    assert 0 < passed < 1_000_000
    for rank, value in {
        "p95": 950_000,
        "p99": 990_000,
        "p999": 1_000_000,
        "max": 1_000_000,
    }.items():
        assert late[rank] == pytest.approx(value + passed, abs=50_000)


@pytest.mark.parametrize(
    ("behaviour", "options", "kind"),
    [
        ("answer", {"words": ("0:1;", "2:1;")}, "lost"),
        ("answer", {"words": ("0:1;", "1:1;")}, "lost"),
        ("503", {}, "status_503"),
        ("error_event", {"words": ("0:1;", "1:1;", "2:1;")}, "error_event"),
        ("break_off", {"words": ("0:1;", "1:1;", "2:1;")}, "cut"),
        ("missing_done", {"words": ("0:1;", "1:1;", "2:1;")}, "no_end"),
        ("empty", {}, "not_a_stream"),
        ("stall_mid_stream", {"words": ("0:1;", "1:1;", "2:1;")}, "late"),
        ("refuse", {}, "no_connection"),
    ],
)
def test_what_is_not_whole_is_told_by_kind(
    program: Path, behaviour: str, options: dict[str, Any], kind: str
) -> None:
    with VendorSimulator() as vendor:
        vendor.behave(behaviour, **options)
        told = client(program, vendor.port, 3)
    assert told["streams"] == {"asked": 1, "ok": 0, "failed": {kind: 1}}


def test_chunks_that_are_cut_anywhere_are_put_together(program: Path) -> None:
    with VendorSimulator() as vendor:
        vendor.behave("drip", words=("0:1;", "1:1;", "2:1;"))
        told = client(program, vendor.port, 3)
    assert told["streams"] == {"asked": 1, "ok": 1, "failed": {}}


def test_without_a_compiler_it_is_left_out_with_a_word(tmp_path: Path) -> None:
    broken = tmp_path / "cc"
    broken.write_text("#!/bin/sh\necho no such compiler >&2\nexit 1\n")
    broken.chmod(0o755)
    ground = Ground(tmp_path, True, 1.0, *cores(os.sched_getaffinity(0)), given={"cc": broken})
    with pytest.raises(NoCompiler, match="no such compiler"):
        compiled(ground)
    suite = StreamsSuite()
    found = suite.run(ground)
    assert suite.markdown(found).startswith("Left out: ")
    assert [goal.met for goal in suite.goals(found)] == [None]
    assert suite.plots(found, tmp_path) == []


def test_goals_are_held_against_what_was_found() -> None:
    """Delay is what comes on top of the direct way, and each goal stands by itself."""
    full: dict[str, Any] = {
        "streams": 1000, "seconds": 60.0, "ok": 999, "failed": {"cut": 1}, "said": "nothing",
        "wanted": 1_200_000, "received": 1_199_000, "cpu_us": 48.0, "core": 0.97, "load_core": 0.4,
        "delay_us": {"count": 9, "p50": 900, "p95": 9_000, "p99": 31_000, "max": 50_000},
        "direct_us": {"count": 9, "p50": 100, "p95": 300, "p99": 1_000, "max": 2_000},
        "memory": 45_000.0,
    }  # fmt: skip
    fewer = {
        **full,
        "streams": 500,
        "ok": 500,
        "failed": {},
        "delay_us": {**full["delay_us"], "p99": 20_000},
    }
    found = {"rate": 20, "full": full, "curve": [fewer]}
    suite = StreamsSuite()
    lost, late, memory = suite.goals(found)
    assert (lost.met, lost.holds_back) == (False, "1 × cut")
    assert (late.met, late.got) == (False, "30.0 ms")
    assert late.holds_back.startswith("48 µs of CPU a chunk: 97% of the gateway's core")
    assert memory.met
    assert memory.ratio == pytest.approx(60 / 45)
    assert "within 25 ms: 500." in suite.markdown(found)
