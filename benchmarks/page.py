"""docs/benchmarks.md, rendered from the newest of benchmarks/results.

    python -m benchmarks.page

Measures nothing and needs nothing that only benchmarks need, so that tests can hold the page
against the results.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.ground import ROOT
from benchmarks.suite import Goal, Suite
from benchmarks.suites import SUITES

PAGE = ROOT / "docs" / "benchmarks.md"
RESULTS = ROOT / "benchmarks" / "results"
HEAD = """\
# Benchmarks

<!-- Written by `make bench`, and from its results by `make docs`. -->

`make bench` measures all of this in under 15 minutes on two cores, and writes it here: what the
gateway costs, next to what people would use instead. Ratios hold from one machine to another,
figures do not.
"""


def newest() -> Path:
    """The results that the page is made from. Raises FileNotFoundError where there are none."""
    found = sorted(RESULTS.glob("*.json"))
    if not found:
        raise FileNotFoundError("benchmarks/results has no results: make bench")
    return found[-1]


def page(results: Mapping[str, Any], path: Path, suites: Sequence[Suite] = SUITES) -> str:
    """The page of these results, which are at ``path``."""
    parts = [HEAD, _goals(results, suites), *_parts(results, path, suites)]
    return "\n".join([*parts, _machine(results, path)])


def _goals(results: Mapping[str, Any], suites: Sequence[Suite]) -> str:
    goals = [
        goal
        for suite in suites
        if (told := results["suites"].get(suite.name)) is not None and "found" in told
        for goal in suite.goals(told["found"])
    ]
    if not goals:
        return ""
    rows = [
        "## Goals\n",
        "| what | at least | got | got ÷ wanted | | what holds it back |",
        "|---|---|---|---|---|---|",
        *map(_row, goals),
    ]
    return "\n".join(rows) + "\n"


def _row(goal: Goal) -> str:
    ratio = "" if goal.ratio is None else f"{goal.ratio:.2f}"
    met = {True: "met", False: "**missed**", None: "not measured"}[goal.met]
    return f"| {goal.what} | {goal.wanted} | {goal.got} | {ratio} | {met} | {goal.holds_back} |"


def _parts(results: Mapping[str, Any], path: Path, suites: Sequence[Suite]) -> Iterator[str]:
    for suite in suites:
        told = results["suites"].get(suite.name)
        if told is None:
            continue
        yield f"## {suite.title}\n"
        if "error" in told:
            yield f"Failed: {told['error'].splitlines()[0]}\n"
            continue
        yield suite.markdown(told["found"])
        for plot in told["plots"]:
            yield f"![{Path(plot).stem}]({_link(path.parent / plot)})\n"


def _machine(results: Mapping[str, Any], path: Path) -> str:
    machine = results["machine"]
    lines = [
        "## The machine\n",
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory'] / 2**30:.0f} GiB, Linux "
        f"{machine['kernel']}, Python {machine['python']}, gateway {machine['gateway']}; peers in "
        "Python have the same one where their version does not say another. "
        f"Every figure, with its rounds: [{path.name}]({_link(path)}).\n",
        "| suite | began (UTC) | took | load of the machine before | commit |",
        "|---|---|---|---|---|",
    ]
    for name, told in results["suites"].items():
        lines.append(
            f"| `{name}` | {told['began'][:19]} | {told['took']:.0f} s | {told['load_before']:.2f} "
            f"| {told['commit'] or ''} |"
        )
    return "\n".join(lines) + "\n"


def _link(path: Path) -> str:
    """From the page."""
    return os.path.relpath(path, PAGE.parent)


if __name__ == "__main__":
    at = newest()
    PAGE.write_text(page(json.loads(at.read_text()), at))
