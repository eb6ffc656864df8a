"""A gateway in a given arrangement: all on or off, so many rules, targets, keys and workers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from benchmarks.ground import Ground
from benchmarks.policy.made import policy_files
from benchmarks.processes import Process
from gateway.access.keys import Limits, make
from gateway.access.repository import FILE, SqliteKeys
from gateway.domain.decision import Labels
from tests.end_to_end.running import RunningGateway

MODEL = "gpt-4o"
ENOUGH = 10**9
LIMITS = Limits(
    requests_per_minute=ENOUGH, tokens_per_minute=ENOUGH, concurrent=10_000, budget=10**14
)
"""All that a key can be limited by, and none that is ever reached: what is counted costs."""
OFF: Mapping[str, Any] = {
    "audit": {"fsync": "never", "checkpoints": {"every": 1_000_000, "seconds": 86_400}},
    "telemetry": {"logs": {"requests": "none"}},
}
"""As much as can be switched off: the audit log is always written, metrics always counted."""


@dataclass(frozen=True, slots=True)
class Arrangement:
    """``on``: key check with all limits, audit and metrics as they come; else no key and as little
    as can be. ``targets`` are those of ``MODEL``, each of a channel of its own at the same vendor,
    the first of which serves. ``rules`` of the policy are those of ``benchmarks.policy.made``.
    ``sections`` of ``gateway.yaml`` are laid over those that are made here.
    """

    on: bool = True
    rules: int = 1
    targets: int = 1
    keys: int = 1
    workers: int = 1
    sections: Mapping[str, Any] = field(default_factory=dict)

    def configuration(self, vendor: str) -> str:
        """``gateway.yaml``, with the vendor at that URL (with its ``/v1``)."""
        names = ["openai", *(f"openai-{number}" for number in range(2, self.targets + 1))]
        channel = {"vendor": "openai", "kind": "openai", "base_url": vendor}
        whole: dict[str, Any] = {
            "channels": {name: channel | {"api_key": "${VENDOR_KEY}"} for name in names},
            "models": {MODEL: {"targets": [f"{name}/{MODEL}" for name in names]}},
            "state": {"dir": "state"},
            **({} if self.on else OFF),
        }
        for section, fields in self.sections.items():
            whole[section] = whole.get(section, {}) | fields
        return str(yaml.safe_dump(whole, sort_keys=False))


@dataclass(frozen=True, slots=True)
class Gateway:
    """One that runs. ``keys`` are as they are written, none where none are checked."""

    running: RunningGateway
    process: Process
    keys: tuple[str, ...]

    @property
    def url(self) -> str:
        return self.running.url

    @property
    def port(self) -> int:
        return self.running.port

    @property
    def key(self) -> str:
        """The last that was made, which takes longest to find where they are looked through."""
        return self.keys[-1] if self.keys else ""


def start(
    ground: Ground,
    arrangement: Arrangement,
    vendor: str,
    *,
    name: str = "gateway",
    core: int | None = None,
    everywhere: bool = False,
) -> Gateway:
    """Start one in front of the vendor's URL, on the server's core, on another or on all, and wait
    until it is ready. Its files are in a folder of that name; it ends with the ground.
    """
    own = ground.server_core if core is None else core
    folder = ground.folder / name
    first, *others = policy_files(arrangement.rules).items()
    running = RunningGateway(
        folder,
        arrangement.configuration(vendor),
        policy=first[1],
        flags=("--workers", str(arrangement.workers)),
        popen=ground.popen(None if everywhere else own),
        started=ground.adopt,
    )
    for file, text in others:
        (running.policies / file).write_text(text)
    keys = make_keys(folder / "state", arrangement.keys) if arrangement.on else ()
    running.start()
    process = ground.started[-1]
    process.ready_after = running.ready_after
    return Gateway(running, process, keys)


def make_keys(state: Path, count: int) -> tuple[str, ...]:
    """Keys with all limits, written into the store as the gateway itself does it."""
    now = datetime.now(UTC)
    labels = Labels(team="bench")
    made = [make(f"bench-{n}", now, limits=LIMITS, labels=labels) for n in range(count)]
    SqliteKeys(state / FILE).add(*(key for _, key in made))
    return tuple(written for written, _ in made)
