"""wrk as the load: a process of one thread on the load's core."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.ground import Ground

LUA = Path(__file__).with_name("post.lua")
TIMEOUT = 30
"""Seconds for an answer; LiteLLM with 32 clients and large prompts needs some."""


class NoWrk(RuntimeError):
    """It is not there."""


class Failed(RuntimeError):
    """Answers that were no good are no figures."""


@dataclass(frozen=True, slots=True)
class Shot:
    """One load: rates a second, times in milliseconds; ``answer`` is the bytes of an answer."""

    requests: int
    seconds: float
    p50: float
    p95: float
    p99: float
    longest: float
    answer: float

    @property
    def rate(self) -> float:
        return self.requests / self.seconds


def found(ground: Ground) -> Path:
    """Its program. Raises ``NoWrk``."""
    program = ground.program("wrk")
    if program is None:
        raise NoWrk("wrk is not installed (Debian: apt install wrk)")
    return program


def put_under(
    ground: Ground,
    url: str,
    body: Path,
    headers: Mapping[str, str],
    *,
    clients: int,
    seconds: int,
) -> Shot:
    """Closed loop: each client sends its next request when its last is answered. Raises ``Failed``
    where any was not answered with a 200.
    """
    lines = ground.folder / "headers"
    lines.touch(mode=0o600)
    lines.write_text("".join(f"{name}: {value}\n" for name, value in headers.items()))
    command = [str(found(ground)), "-t1", f"-c{clients}", f"-d{seconds}s"]
    command += ["--timeout", f"{TIMEOUT}s", "-s", str(LUA), f"{url}/chat/completions"]
    start = ground.popen(ground.load_core)
    environment = {**os.environ, "BODY": str(body), "HEADERS": str(lines)}
    popen = start(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment)
    process = ground.adopt(popen)
    try:
        said = popen.communicate(timeout=seconds + 2 * TIMEOUT)[0].decode(errors="replace")
    finally:
        ground.end(process)
    try:
        told: dict[str, Any] = json.loads(said.strip().rpartition("\n")[2])
    except ValueError:
        raise Failed(f"wrk at {url}: {said[-500:]}") from None
    return _shot(told, url)


def _shot(told: dict[str, Any], url: str) -> Shot:
    wrong = {kind: told[kind] for kind in ("refused", "broken", "late") if told[kind]}
    if wrong or not told["requests"]:
        raise Failed(f"{url}: {wrong or 'nothing'} beside {told['requests']} good answers")
    return Shot(
        told["requests"],
        told["us"] / 1e6,
        told["p50"] / 1e3,
        told["p95"] / 1e3,
        told["p99"] / 1e3,
        told["max"] / 1e3,
        told["bytes"] / told["requests"],
    )
