"""Build the llama-cpp-python wheel once, and keep it.

Prints the path of the wheel as the last line of standard output and its progress to standard
error. With ``--check`` it builds nothing and only says whether it could: a machine without a
compiler learns that before anything is downloaded. The source is downloaded by the hash in
``requirements/llama.txt``; build tools come from the environment that runs this script
(``requirements/build.txt``).

A wheel is kept under ``$GATEWAY_WHEEL_CACHE`` (default ``~/.cache/sovereign-gateway/wheels``) in a
folder whose name depends on all that decides what is in it: the source's hash, ``CMAKE_ARGS``, the
compilers and their flags, the platform and its C library, and, since the build is for the processor
at hand unless ``GGML_NATIVE=OFF`` is given, the processor's features.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from pathlib import Path
from typing import TextIO

REQUIREMENT = Path(__file__).resolve().parent.parent / "requirements" / "llama.txt"
STEP = re.compile(r"\[(\d+)/(\d+)\]")
EVERY_SECONDS = 10.0
TAIL_LINES = 30
COMPILERS = {"CC": ("cc", "gcc", "clang"), "CXX": ("c++", "g++", "clang++")}
DECIDING = ("CMAKE_ARGS", "CC", "CXX", "CFLAGS", "CXXFLAGS", "LDFLAGS")

NO_AMX = "-mno-amx-tile -mno-amx-int8 -mno-amx-bf16"
"""What a build for a processor with AMX is given. GCC 12, Debian 12's, takes llama.cpp's tile
configuration for unread and drops most of it, so that the first AMX instruction ends the process
with a segmentation fault (llama.cpp's issue 20824 and pull request 26954). AVX-512 stays."""


def main(arguments: list[str]) -> int:
    folder = cache_folder() / cache_key()
    wheel = kept_wheel(folder)
    if wheel is None and not compilers_found():
        say(
            "llama.cpp is built from source: a C and a C++ compiler are needed\n"
            "(Debian: apt install build-essential)"
        )
        return 1
    if "--check" in arguments:
        return 0
    if wheel is None:
        try:
            wheel = build(folder)
        except OSError as error:
            say(f"the wheel cache cannot be written: {error} (GATEWAY_WHEEL_CACHE names another)")
    else:
        say(f"using the kept llama-cpp-python wheel in {folder}")
    if wheel is None:
        return 1
    print(wheel)
    return 0


def cache_folder() -> Path:
    named = os.environ.get("GATEWAY_WHEEL_CACHE")
    if named:
        return Path(named).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "sovereign-gateway" / "wheels"


def cache_key() -> str:
    parts = [REQUIREMENT.read_text("utf-8"), sysconfig.get_platform(), *platform.libc_ver()]
    environ = build_environment()
    parts += [f"{name}={environ.get(name, '')}" for name in DECIDING]
    if for_this_processor():
        parts.append(processor())
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:20]


def for_this_processor() -> bool:
    return "GGML_NATIVE=OFF" not in os.environ.get("CMAKE_ARGS", "").upper()


def build_environment() -> dict[str, str]:
    environ = dict(os.environ)
    if for_this_processor() and "amx_tile" in processor().split():
        for name in ("CFLAGS", "CXXFLAGS"):
            environ[name] = f"{environ.get(name, '')} {NO_AMX}".strip()
    return environ


def processor() -> str:
    """What ``-march=native`` looks at, as far as it can be read without a compiler."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor()
    wanted = ("flags", "Features", "model name", "CPU part")
    return "\n".join(sorted({line for line in lines if line.startswith(wanted)}))


def compilers_found() -> bool:
    """What CMake looks for: the command that CC or CXX names, or else the usual ones."""
    for variable, usual in COMPILERS.items():
        named = shlex.split(os.environ.get(variable, ""))
        if not any(shutil.which(name) for name in named[:1] or usual):
            return False
    return True


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
    say(f"building llama.cpp from source: 3 to 10 minutes on two cores, once (log: {log})")
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        command = [
            *(sys.executable, "-m", "pip", "wheel", "--verbose", "--disable-pip-version-check"),
            *("--require-hashes", "--no-deps", "--no-build-isolation", "--no-cache-dir"),
            *("--wheel-dir", scratch, "--requirement", str(REQUIREMENT)),
        ]
        with log.open("w", encoding="utf-8") as kept:
            status = run(command, kept)
        if status != 0:
            say("the build failed; its last lines were:")
            say("\n".join(log.read_text("utf-8").splitlines()[-TAIL_LINES:]))
            say(f"all of it is in {log}")
            return None
        (built,) = Path(scratch).glob("*.whl")
        wheel = folder / built.name
        built.replace(wheel)
    wheel.with_suffix(".sha256").write_text(digest(wheel), "ascii")
    return wheel


def run(command: list[str], log: TextIO) -> int:
    """Run to the end, with a line of progress every few seconds whether or not the build speaks."""
    progress = Progress()
    process = subprocess.Popen(
        command,
        env=build_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    reader = threading.Thread(target=progress.follow, args=(process.stdout, log), daemon=True)
    reader.start()
    while True:
        try:
            status = process.wait(timeout=EVERY_SECONDS)
            break
        except subprocess.TimeoutExpired:
            say(progress.line())
    reader.join()
    if status == 0:
        say(f"[100%] built llama.cpp in {progress.seconds():.0f} s")
    return status


class Progress:
    """How far the build is, by the steps that ninja counts."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.percent: int | None = None

    def follow(self, output: TextIO, log: TextIO) -> None:
        for line in output:
            log.write(line)
            step = STEP.search(line)
            if step is not None:
                done, total = int(step.group(1)), int(step.group(2))
                self.percent = 100 * done // max(total, 1)

    def seconds(self) -> float:
        return time.monotonic() - self.began

    def line(self) -> str:
        if self.percent is None:
            return f"[  0%] downloading and configuring llama.cpp, {self.seconds():.0f} s"
        return f"[{self.percent:3d}%] building llama.cpp, {self.seconds():.0f} s"


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
