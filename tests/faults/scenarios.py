"""``python -m tests.faults.scenarios [WORD …]`` plays the table, or the rows whose name has one of
the words, and prints what came of each. The exit code is 1 where something was missed.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from tests.faults.check import attempts, problems
from tests.faults.house import Done, House
from tests.faults.row import Mode, Row
from tests.faults.table import SCENARIOS


def main(words: list[str]) -> int:
    chosen = [
        (row, mode)
        for row, mode in SCENARIOS
        if not words or any(word in f"{row.slug} {row.says}" for word in words)
    ]
    missed = 0
    with tempfile.TemporaryDirectory() as folder, House(Path(folder)) as house:
        began = time.monotonic()
        for row, mode in chosen:
            missed += _play(house, row, mode)
        seconds = time.monotonic() - began
    _say(f"{len(chosen)} scenarios in {seconds:.0f} s, {missed} missed")
    return 1 if missed else 0


def _play(house: House, row: Row, mode: Mode) -> bool:
    """Play one and print it; whether anything was missed."""
    wrong: list[str] = []
    lines: list[str] = []
    for step, done in house.play(row, mode):
        wrong += problems(house, row, mode, step, done)
        line = f"    {step.first!s:44} {_app(done):38} {attempts(done)}"
        if not lines or lines[-1] != line:
            lines.append(line)
    says = f" ({row.says})" if row.says else ""
    _say(f"{'MISSED' if wrong else 'ok':7} {mode.value:7} {row.name}{says}")
    for line in (*lines, *(f"        {problem}" for problem in wrong)):
        _say(line)
    return bool(wrong)


def _app(done: Done) -> str:
    """What the app got, in a few words."""
    got = done.got
    if got.status != 200:
        return f"{got.status} {got.code}"
    by = done.record.get("served_by") or "nobody"
    place = "local" if by.startswith("local/") else by.partition("/")[0].rpartition(".")[2]
    how = "broken" if got.broken else got.headers.get("x-gateway-failover", "")
    return f"200 {place} {how}"


def _say(line: str) -> None:
    sys.stdout.write(f"{line.rstrip()}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
