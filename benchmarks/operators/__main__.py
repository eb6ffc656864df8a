"""What keys, limits, the audit log, logs, metrics and traces cost a relayed request.

    python -m benchmarks.operators
    python -m benchmarks.operators --each      (each by itself, too)

The suite ``operators`` of ``make bench`` with loads that are longer and more, printed and not kept.
``--quick`` is for seeing that it works.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from benchmarks.ground import Ground, cores
from benchmarks.operators.features import ALL
from benchmarks.operators.suite import OperatorsSuite


def main() -> None:
    options = _options()
    suite = OperatorsSuite(
        options.each,
        tuple(options.features),
        options.connections,
        options.rounds,
        options.seconds,
    )
    usable = frozenset(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        ground = Ground(Path(folder), options.quick, options.seconds, *cores(usable), cores=usable)
        with ground:
            print(suite.markdown(suite.run(ground)))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.operators",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--each", action="store_true", help="each feature by itself, too")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each load")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--features", nargs="+", choices=ALL, default=ALL)
    return parser.parse_args()


if __name__ == "__main__":
    main()
