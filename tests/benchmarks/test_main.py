"""`python -m benchmarks`: suites one after the other, their results and the page of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks import plot
from benchmarks.__main__ import main
from benchmarks.ground import ROOT, Ground
from benchmarks.page import PAGE, RESULTS, page
from benchmarks.policy.suite import PolicySuite
from benchmarks.processes import family
from benchmarks.suite import Goal
from benchmarks.suites import SUITES


class Small:
    """Finds the folder that it was given."""

    name = "small"
    title = "A small one"

    def run(self, ground: Ground) -> dict[str, Any]:
        return {"seconds": ground.seconds, "empty": not list(ground.folder.iterdir())}

    def markdown(self, found: dict[str, Any]) -> str:
        return f"Loads of {found['seconds']} s.\n"

    def plots(self, found: dict[str, Any], folder: Path) -> list[Path]:
        return [plot.bars(folder / "small.svg", "Small", "s", {"a load": found["seconds"]})]

    def goals(self, found: dict[str, Any]) -> Sequence[Goal]:
        return [Goal("a load", "≤ 1 s", "2 s", 0.5, False, "its seconds")]


class Broken(Small):
    name = "broken"

    def run(self, ground: Ground) -> dict[str, Any]:
        raise RuntimeError("nginx is not there: apt install nginx")


@pytest.fixture(autouse=True)
def _cores() -> Iterator[None]:
    before = os.sched_getaffinity(0)
    yield
    os.sched_setaffinity(0, before)


def _results(folder: Path) -> Any:
    (path,) = folder.glob("*.json")
    return json.loads(path.read_text())


def test_a_suite_that_fails_is_told_and_takes_no_other_down(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--out", str(tmp_path), "--seconds", "2"], [Broken(), Small()]) == 1
    told = _results(tmp_path)["suites"]
    assert told["broken"]["error"] == "RuntimeError: nginx is not there: apt install nginx"
    assert told["small"]["found"] == {"seconds": 2.0, "empty": True}
    said = capsys.readouterr()
    assert "[1/2] broken: FAILED" in said.err
    assert "Failed: RuntimeError: nginx is not there: apt install nginx" in said.out
    assert "| a load | ≤ 1 s | 2 s | 0.50 | **missed** | its seconds |" in said.out
    assert "Loads of 2.0 s." in said.out


def test_what_only_some_suites_found_stands_beside_the_others(tmp_path: Path) -> None:
    words = ["--out", str(tmp_path), "--only", "small", "--seconds"]
    assert main(["--out", str(tmp_path)], [Broken(), Small()]) == 1
    assert main([*words, "1"], [Broken(), Small()]) == 0
    told = _results(tmp_path)["suites"]
    assert "error" in told["broken"]
    assert told["small"]["found"]["seconds"] == 1.0


def test_an_unknown_suite_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--only", "smal"], [Small()])
    assert "invalid choice: 'smal' (choose from" in capsys.readouterr().err


def test_who_is_told_to_end_ends_what_was_started(tmp_path: Path) -> None:
    """The policy suite starts nothing, so it is the scale suite that is interrupted."""
    environ = {**os.environ, "TMPDIR": str(tmp_path)}
    words = ["--quick", "--only", "scale", "--out", str(tmp_path / "out")]
    command = [sys.executable, "-m", "benchmarks", *words]
    with subprocess.Popen(command, env=environ, cwd=ROOT, stderr=subprocess.DEVNULL) as process:
        until = time.monotonic() + 20
        while len(started := family(process.pid)) < 3:
            assert time.monotonic() < until
            time.sleep(0.05)
        process.terminate()
        assert process.wait(timeout=30) == 128 + signal.SIGTERM
    # One that was just being started is ended by the kernel, with who started it.
    until = time.monotonic() + 10
    while left := [pid for pid in started if Path(f"/proc/{pid}").exists()]:
        assert time.monotonic() < until, left
        time.sleep(0.05)
    assert list(tmp_path.glob("bench-*")) == []


def test_plots_are_the_same_for_the_same_figures(tmp_path: Path) -> None:
    for name in ("one", "two"):
        series = {"a": [(1.0, 2.0), (10.0, 3.0)], "b": [(1.0, 1.0), (10.0, 1.5)]}
        plot.lines(tmp_path / name, "A title", "rules", "µs", series)
    text = (tmp_path / "one").read_text()
    assert text == (tmp_path / "two").read_text()
    assert all(f">{word}<" in text for word in ("A title", "rules", "µs", "a", "b"))


def test_policy_quick(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The suite runs, and finds that more rules take longer to load."""
    assert main(["--quick", "--out", str(tmp_path)], [PolicySuite()]) == 0
    told = _results(tmp_path)["suites"]["policy"]
    few, _, many = told["found"]["rules"]
    assert (few["rules"], many["rules"]) == (1, 100)
    assert many["load_ms"] > 2 * few["load_ms"] > 0
    assert len(few["decide_us"]) == 5
    assert [(tmp_path / name).stat().st_size > 1000 for name in told["plots"]] == [True, True]
    assert "| rules | a decision, µs |" in capsys.readouterr().out


def test_the_page_is_that_of_the_newest_results() -> None:
    """`make docs` writes it anew; without results there is none."""
    found = sorted(RESULTS.glob("*.json"))
    pages = [page(json.loads(path.read_text()), path) for path in found[-1:]]
    assert [path.read_text() for path in (PAGE,) if path.exists()] == pages


def test_all_plots_of_the_page_are_there() -> None:
    told = [json.loads(path.read_text())["suites"] for path in RESULTS.glob("*.json")]
    suites = [(name, suite) for one in told for name, suite in one.items()]
    assert {name for name, _ in suites} <= {suite.name for suite in SUITES}
    named = [RESULTS / plot for _, suite in suites for plot in suite.get("plots", ())]
    assert [plot for plot in named if not plot.is_file()] == []
