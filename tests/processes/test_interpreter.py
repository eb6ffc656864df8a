"""How a Python was built is told by itself, and never called slow by guessing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gateway.processes import interpreter
from gateway.processes.interpreter import Build, build, told

DEBIAN = "'--enable-shared' '--prefix=/usr' '--without-ensurepip' 'CFLAGS=-g -O2'"
PYENV = "'--prefix=/home/a/.pyenv/versions/3.12.1' '--enable-shared' 'LDFLAGS=-Wl,-rpath,/home'"
UV = "'--build=x86_64-unknown-linux-gnu' '--prefix=/install' '--enable-optimizations' '--with-lto'"
MACOS = "'--enable-framework' '--enable-optimizations' '--with-lto' '--with-universal-archs=u2'"


@pytest.mark.parametrize(
    ("arguments", "prefix", "found"),
    [
        (DEBIAN, "/usr", Build.DISTRIBUTION),
        (PYENV, "/home/a/.pyenv/versions/3.12.1", Build.PLAIN),
        ("'--prefix=/opt/python'", "/opt/python", Build.PLAIN),
        (f"{PYENV} '--enable-optimizations'", "/home/a/.pyenv/versions/3.12.1", Build.OPTIMISED),
        (UV, "/home/a/.local/share/uv/python/cpython-3.12", Build.OPTIMISED),
        (MACOS, "/Library/Frameworks/Python.framework/Versions/3.13", Build.OPTIMISED),
        ("'--enable-shared' '--enable-optimizations'", "/usr", Build.OPTIMISED),
        (None, "C:\\Python313", Build.UNKNOWN),
        ("", "/opt/python", Build.UNKNOWN),
    ],
)
def test_builds_are_told_apart(arguments: str | None, prefix: str, found: Build) -> None:
    assert told("cpython", arguments, prefix, debug=False) is found
    assert found.slow is (found is Build.PLAIN)
    # Of another implementation CPython's arguments say nothing.
    assert told("pypy", arguments, prefix, debug=False) is Build.UNKNOWN


def test_a_debug_build_is_slow_whoever_made_it() -> None:
    for arguments in (DEBIAN, UV):
        assert told("cpython", arguments, "/usr", debug=True) is Build.DEBUG
    assert Build.DEBUG.slow


def test_as_a_script_it_says_the_same_of_the_python_that_runs_it() -> None:
    """Without anything of ours on its path."""
    command = [sys.executable, "-I", interpreter.__file__]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd="/")
    assert done.stdout == f"{build().name}\n"


@pytest.mark.skipif(not Path("/usr/bin/python3").exists(), reason="the system has no Python")
def test_the_distributions_own_is_not_called_slow() -> None:
    command = ["/usr/bin/python3", "-I", interpreter.__file__]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert not Build[done.stdout.strip()].slow
