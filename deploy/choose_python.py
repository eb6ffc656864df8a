"""Which Python ``make setup`` makes its virtual environment with.

Prints a command: the first of ``CANDIDATES`` that is new enough, can make a virtual environment and
is not known to be slow (``gateway/processes/interpreter.py``), or else the least slow one, or else
``python3``, of which ``make`` then says what it lacks. Where that is not the path's ``python3``,
and where it is slow, one line on standard error says so. ``make PYTHON=...`` does not ask.

Runs under any Python from 3.8 on.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CANDIDATES = ("python3", "/usr/bin/python3", "python3.13", "python3.12", "python3.11")
"""In this order: where ``python3`` is somebody's own build (pyenv, asdf), the distribution's is not
on the path; where it is too old (Ubuntu 22.04, RHEL 9, macOS), a newer one goes by its number.
"""
USABLE = """
import sys, venv, ensurepip
sys.exit(sys.version_info < (3, 11))
"""
INTERPRETER = Path(__file__).resolve().parent.parent / "gateway" / "processes" / "interpreter.py"
RANK = {"PLAIN": 1, "DEBUG": 2}
"""How slow a build is; any other is not known to be."""
UNUSABLE = 3
SECONDS = 30.0
WHY = {
    1: "was built without optimisations, which takes a tenth more of the processor per request",
    2: "was built for debugging, and is far slower",
    UNUSABLE: "is not there, is older than 3.11 or cannot make a virtual environment",
}


def main() -> None:
    ranks = {}
    for candidate in CANDIDATES:
        ranks[candidate] = rank(candidate)
        if ranks[candidate] == 0:
            break
    # Of equals the first.
    best = min(ranks, key=ranks.__getitem__)
    if best != CANDIDATES[0]:
        say(f"taking {best}: {CANDIDATES[0]} {WHY[ranks[CANDIDATES[0]]]} (PYTHON=... says another)")
    elif ranks[best] in RANK.values():
        say(f"{best} {WHY[ranks[best]]}: docs/install.md says which to take")
    print(best)


def rank(candidate: str) -> int:
    """0 where nothing is wrong with it, ``UNUSABLE`` at most."""
    if asked(candidate, "-c", USABLE) is None:
        return UNUSABLE
    built = asked(candidate, str(INTERPRETER))
    return UNUSABLE if built is None else RANK.get(built, 0)


def asked(candidate: str, *words: str) -> str | None:
    """What it prints, or ``None`` where it fails. ``-I``: nothing of this folder or of variables
    is imported.
    """
    try:
        done = subprocess.run(
            [candidate, "-I", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode().strip() if done.returncode == 0 else None


def say(line: str) -> None:
    print(line, file=sys.stderr)


if __name__ == "__main__":
    main()
