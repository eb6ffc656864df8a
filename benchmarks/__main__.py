"""All benchmarks: what the gateway costs, next to what people would use instead.

    python -m benchmarks
    python -m benchmarks --only policy scale
    python -m benchmarks --quick

Starts all that it needs and ends it. Writes results/<date>.json with every figure, plots beside it,
and docs/benchmarks.md anew. With --only, what today's results have of other suites stays; --quick
is for seeing that it works, and writes into build/benchmarks and no page.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.ground import ROOT, Ground, cores
from benchmarks.machine import facts, load_average
from benchmarks.page import PAGE, RESULTS, page
from benchmarks.suite import Suite
from benchmarks.suites import SUITES

SECONDS, QUICK_SECONDS = 3.0, 0.4


def main(words: Sequence[str] | None = None, suites: Sequence[Suite] = SUITES) -> int:
    """0, or 1 where a suite failed."""
    options = _options(words, [suite.name for suite in suites])
    now = datetime.now(UTC)
    path = options.out / f"{now:%Y-%m-%d}.json"
    results: dict[str, Any] = {"began": now.isoformat(timespec="seconds"), "suites": {}}
    if options.only and path.exists():
        results = json.loads(path.read_text())
    results["machine"] = facts()
    usable = frozenset(os.sched_getaffinity(0))
    server, load = cores(usable)
    if server == load:
        _say("one core for all: what loads the gateway takes from it")
    # What is not told otherwise stays off the core of what is measured.
    os.sched_setaffinity(0, {load})
    chosen = [suite for suite in suites if not options.only or suite.name in options.only]
    for number, suite in enumerate(chosen, 1):
        _say(f"[{number}/{len(chosen)}] {suite.name}: {suite.title}")
        told = _run(suite, options, usable, options.out / path.stem)
        results["suites"][suite.name] = told
        word = "FAILED" if "error" in told else "done"
        _say(f"[{number}/{len(chosen)}] {suite.name}: {word} in {told['took']:.0f} s")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    text = page(results, path, suites)
    if options.out == RESULTS:
        PAGE.write_text(text)
        _say(f"written: {path.relative_to(ROOT)} and {PAGE.relative_to(ROOT)}")
    else:
        print(text)
        _say(f"written: {path}")
    return int(any("error" in results["suites"][suite.name] for suite in chosen))


def _run(
    suite: Suite, options: argparse.Namespace, usable: frozenset[int], plots: Path
) -> dict[str, Any]:
    """What the results hold of a suite: ``found`` and ``plots``, or the ``error``."""
    told: dict[str, Any] = {
        "began": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": facts()["commit"],
        "load_before": load_average(),
        "seconds": options.seconds,
    }
    server, load = cores(usable)
    began = time.perf_counter()
    try:
        with tempfile.TemporaryDirectory(prefix="bench-") as name:
            ground = Ground(
                Path(name), options.quick, options.seconds, server, load, options.peers, usable
            )
            with ground:
                told["found"] = suite.run(ground)
        plots.mkdir(parents=True, exist_ok=True)
        drawn = suite.plots(told["found"], plots)
        told["plots"] = [str(path.relative_to(plots.parent)) for path in drawn]
    except Exception as error:  # noqa: BLE001 - whatever it is, the other suites have their turn
        traceback.print_exc()
        told = {key: value for key, value in told.items() if key != "found"}
        told["error"] = f"{type(error).__name__}: {error}"
    told["took"] = round(time.perf_counter() - began, 1)
    return told


def _options(words: Sequence[str] | None, names: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--only", nargs="+", choices=names, metavar="SUITE", help=", ".join(names))
    add("--quick", action="store_true", help="see that it works")
    add("--seconds", type=float, help=f"of each load  [default: {SECONDS:.0f}]")
    add("--out", type=Path, help="a folder for the results; the page is then only printed")
    add(
        "--peers",
        nargs="+",
        type=_peer,
        default=[],
        metavar="NAME=PATH",
        help="programs to compare with that are not on the path, such as vllm-router, llama-server",
    )
    options = parser.parse_args(words)
    options.peers = dict(options.peers)
    options.seconds = options.seconds or (QUICK_SECONDS if options.quick else SECONDS)
    options.out = options.out or (ROOT / "build" / "benchmarks" if options.quick else RESULTS)
    return options


def _peer(word: str) -> tuple[str, Path]:
    name, _, path = word.partition("=")
    if not Path(path).is_file():
        raise argparse.ArgumentTypeError(f"{word!r} is no NAME=PATH of a file that is there")
    return name, Path(path).absolute()


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _ended(*_: object) -> None:
    """All that was started is ended, as where a suite raises."""
    sys.exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _ended)
    sys.exit(main())
