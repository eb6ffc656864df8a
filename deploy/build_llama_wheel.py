"""Build the llama-cpp-python wheel once, and keep it.

Prints the path of the wheel as the last line of standard output and its progress to standard
error. The source is downloaded by the hash in ``requirements/llama.txt``; build tools come from
the environment that runs this script (``requirements/build.txt``).

A wheel is kept under ``$GATEWAY_WHEEL_CACHE`` (default ``~/.cache/sovereign-gateway/wheels``) in a
folder whose name depends on all that decides what is in it: the source's hash, ``CMAKE_ARGS``, the
platform, and, since the build is for the processor at hand unless ``GGML_NATIVE=OFF`` is given, the
processor's features.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

REQUIREMENT = Path(__file__).resolve().parent.parent / "requirements" / "llama.txt"
STEP = re.compile(r"\[(\d+)/(\d+)\]")
EVERY_SECONDS = 10.0


def main() -> int:
    folder = cache_folder() / cache_key()
    wheel = kept_wheel(folder)
    if wheel is None:
        missing = [name for name in ("cc", "c++") if shutil.which(os.environ.get("CC", name)) is None]
        if missing:
            say("a C and a C++ compiler are needed (Debian: apt install build-essential)")
            return 1
        wheel = build(folder)
        if wheel is None:
            return 1
    else:
        say(f"using the kept llama-cpp-python wheel in {folder}")
    print(wheel)
    return 0


def cache_folder() -> Path:
    named = os.environ.get("GATEWAY_WHEEL_CACHE")
    if named:
        return Path(named).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "sovereign-gateway" / "wheels"


def cache_key() -> str:
    arguments = os.environ.get("CMAKE_ARGS", "")
    parts = [REQUIREMENT.read_text("utf-8"), arguments, sysconfig.get_platform()]
    if "GGML_NATIVE=OFF" not in arguments:
        parts.append(processor())
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:20]


def processor() -> str:
    """What ``-march=native`` looks at, as far as it can be read without a compiler."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return sysconfig.get_platform()
    wanted = ("flags", "Features", "model name", "CPU part")
    return "\n".join(sorted({line for line in lines if line.startswith(wanted)}))


def kept_wheel(folder: Path) -> Path | None:
    """A wheel that is whole: its hash is kept beside it."""
    for wheel in folder.glob("*.whl"):
        recorded = wheel.with_suffix(".sha256")
        if recorded.is_file() and recorded.read_text("ascii") == digest(wheel):
            return wheel
    return None


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def build(folder: Path) -> Path | None:
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "build.log"
    say("building llama.cpp from source: 3 to 10 minutes on two cores, once")
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        command = [
            *(sys.executable, "-m", "pip", "wheel", "--verbose", "--disable-pip-version-check"),
            *("--require-hashes", "--no-deps", "--no-build-isolation", "--no-cache-dir"),
            *("--wheel-dir", scratch, "--requirement", str(REQUIREMENT)),
        ]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        )
        with log.open("w", encoding="utf-8") as kept:
            follow(kept_lines(process, kept))
        if process.wait() != 0:
            say("the build failed; its last lines were:")
            say("".join(log.read_text("utf-8").splitlines(keepends=True)[-30:]))
            say(f"all of it is in {log}")
            return None
        (built,) = Path(scratch).glob("*.whl")
        wheel = folder / built.name
        built.replace(wheel)
    wheel.with_suffix(".sha256").write_text(digest(wheel), "ascii")
    return wheel


def kept_lines(process: subprocess.Popen[str], kept: TextIO) -> Iterator[str]:
    assert process.stdout is not None
    for line in process.stdout:
        kept.write(line)
        yield line


def follow(lines: Iterator[str]) -> None:
    """One line of progress every few seconds, by the steps that ninja counts."""
    began = time.monotonic()
    told = began
    for line in lines:
        now = time.monotonic()
        step = STEP.search(line)
        if step is not None and now - told >= EVERY_SECONDS:
            told = now
            done, total = int(step.group(1)), int(step.group(2))
            say(f"[{100 * done // total:3d}%] building llama.cpp, {now - began:.0f} s")
    say(f"built in {time.monotonic() - began:.0f} s")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
