"""The local engine beside llama.cpp's own server, in one run on one machine.

    python -m benchmarks.local --llama-server PATH     (or: --xllamacpp PYTHON)

The suite ``local`` of ``make bench`` with more and longer loads. Prints a table with the goals,
and writes ``local.json`` and ``local.svg``. Without a peer only our own figures are told.
``--quick`` is for seeing that it works, in under 90 s where no one else computes.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from dataclasses import replace
from pathlib import Path

from benchmarks.ground import Ground, cores
from benchmarks.local.servers import Size
from benchmarks.local.suite import THOROUGH, LocalSuite


def main() -> None:
    options = _options()
    extent = THOROUGH
    if options.rounds is not None:
        extent = replace(extent, rounds=options.rounds)
    size = Size(options.slots, options.context, options.threads, options.waiting)
    suite = LocalSuite(extent, tuple(options.clients), size)
    given = {"llama-server": options.llama_server, "xllamacpp": options.xllamacpp}
    programs = {name: path for name, path in given.items() if path is not None}
    usable = frozenset(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        ground = Ground(Path(folder), options.quick, 0.0, *cores(usable), programs, usable)
        with ground:
            found = suite.run(ground)
    print()
    print(suite.markdown(found))
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "local.json").write_text(json.dumps(found, indent=1) + "\n")
    suite.plots(found, options.out)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.local", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--llama-server", type=Path, help="a binary, best of the same llama.cpp")
    parser.add_argument("--xllamacpp", type=Path, help="a Python that has the package xllamacpp")
    parser.add_argument("--slots", type=int, default=16)
    parser.add_argument("--context", type=int, default=2048, help="tokens for each slot")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4, 16, 64], help="the loads")
    parser.add_argument(
        "--waiting",
        choices=["active", "passive"],
        help="OMP_WAIT_POLICY for all servers; without it each has its own default",
    )
    parser.add_argument("--rounds", type=int, help=f"instead of {THOROUGH.rounds}")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("var/benchmarks"))
    options = parser.parse_args()
    if options.slots > 250:
        parser.error("--slots: llama.cpp takes 256 sequences at most")
    return options


if __name__ == "__main__":
    main()
