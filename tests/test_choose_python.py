"""Which Python ``make setup`` takes, of those that are there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploy import choose_python
from gateway.processes.interpreter import Build

ROOT = Path(__file__).resolve().parent.parent
MAKE = shutil.which("make") or ""
OLD = "exit 1"
"""As one that is too old for what it is asked, or has no venv."""


def built(how: Build) -> str:
    """This Python in all but what it says of itself."""
    ask = f'case "$2" in *interpreter.py) echo {how.name}; exit;; esac'
    return f'{ask}\nexec "{sys.executable}" "$@"'


def put(folder: Path, **bodies: str) -> dict[str, str]:
    """Commands in that folder, by their names, and their paths."""
    folder.mkdir(exist_ok=True)
    for name, body in bodies.items():
        (folder / name).write_text(f"#!/bin/sh\n{body}\n")
        (folder / name).chmod(0o755)
    return {name: str(folder / name) for name in bodies}


@pytest.mark.parametrize(
    ("first", "second", "taken", "said"),
    [
        (built(Build.OPTIMISED), built(Build.OPTIMISED), "first", ""),
        (built(Build.UNKNOWN), built(Build.OPTIMISED), "first", ""),
        (built(Build.PLAIN), built(Build.DISTRIBUTION), "second", "without optimisations"),
        (built(Build.DEBUG), built(Build.PLAIN), "second", "for debugging"),
        (built(Build.PLAIN), built(Build.DEBUG), "first", "without optimisations"),
        (built(Build.PLAIN), built(Build.PLAIN), "first", "without optimisations"),
        (built(Build.PLAIN), OLD, "first", "without optimisations"),
        (OLD, built(Build.PLAIN), "second", "cannot make a virtual environment"),
        (OLD, OLD, "first", ""),
    ],
)
def test_the_least_slow_one_is_taken_and_why_is_said(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    first: str,
    second: str,
    taken: str,
    said: str,
) -> None:
    paths = put(tmp_path, first=first, second=second)
    absent = str(tmp_path / "absent")
    monkeypatch.setattr(choose_python, "CANDIDATES", (paths["first"], absent, paths["second"]))
    choose_python.main()
    printed = capsys.readouterr()
    assert printed.out == f"{paths[taken]}\n"
    assert len(printed.err.splitlines()) == bool(said)
    assert said in printed.err


def venv(folder: Path, path: str, *words: str) -> subprocess.CompletedProcess[str]:
    """``make`` of a virtual environment in that folder, and nothing in it."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    clean.pop("PYTHON", None)
    return subprocess.run(
        [MAKE, f"VENV={folder}", f"{folder}/.stamps/venv", *words],
        cwd=ROOT,
        env=clean | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def test_make_takes_what_was_chosen(tmp_path: Path) -> None:
    """Where the path's cannot be used, one that is named by its number."""
    better = f'echo "$@" >> {tmp_path}/asked\n{built(Build.OPTIMISED)}'
    script = f'case "$1" in deploy/*) exec "{sys.executable}" "$@";; esac\n{OLD}'
    bodies = {"python3": script, "python3.13": better, "python3.12": OLD, "python3.11": OLD}
    put(tmp_path / "bin", **bodies)
    done = venv(tmp_path / "venv", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    assert done.returncode == 0, done.stderr
    system = choose_python.rank("/usr/bin/python3") == 0
    chosen = "/usr/bin/python3" if system else "python3.13"
    assert done.stdout == f"making {tmp_path / 'venv'} of {chosen}\n"
    assert f"taking {chosen}: python3 is not there" in done.stderr
    assert (tmp_path / "venv" / "bin" / "python").exists()
    assert system or "-m venv" in (tmp_path / "asked").read_text()


def test_who_names_one_gets_it(tmp_path: Path) -> None:
    """Nobody else is looked at, whatever it is."""
    (named,) = put(tmp_path / "bin", mine=built(Build.DEBUG)).values()
    done = venv(tmp_path / "venv", os.environ["PATH"], f"PYTHON={named}")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"making {tmp_path / 'venv'} of {named}\n"


def test_without_any_it_is_said_what_to_install(tmp_path: Path) -> None:
    done = venv(tmp_path / "venv", str(tmp_path))
    assert done.returncode != 0
    assert "python3 is not there (Debian: apt install python3 python3-venv)" in done.stderr
    assert not (tmp_path / "venv").exists()
