"""What can be on or off."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import yaml

from tests.end_to_end.running import RunningGateway

MODEL = "gpt-4o"
POLICY = "version: 1\ndefault: deny\nvendors: {openai: allow}\n"
ENOUGH = 10**9
VENDOR = "@VENDOR@"
"""Stands for the address of the vendor, at which the sink of telemetry is too."""


@dataclass(frozen=True, slots=True)
class Feature:
    """``on`` and ``off`` are lines of the configuration; ``commands`` are run before, where it is
    on. ``check`` is given what the vendor has seen.
    """

    check: Callable[[RunningGateway, str], None]
    on: str = ""
    off: str = ""
    commands: tuple[tuple[str, ...], ...] = ()


def _keys(gateway: RunningGateway, _: str) -> None:
    """Nobody is answered without one any more."""
    assert gateway.ask(MODEL)[0] == 401
    assert gateway.last_record()["status"] == 401


def _audit(gateway: RunningGateway, _: str) -> None:
    files = sorted((gateway.folder / "state" / "audit").glob("*.jsonl"))
    kinds = [json.loads(line)["kind"] for file in files for line in file.read_text().splitlines()]
    assert kinds.count("checkpoint") > 10
    assert kinds.count("request") > 1000
    assert (gateway.folder / "copies.jsonl").stat().st_size > 0
    verified = gateway.run("audit", "verify", policy=False)
    assert verified.returncode == 0, verified.stdout


def _logs(gateway: RunningGateway, _: str) -> None:
    assert len(gateway.output.read_text().splitlines()) > 100


def _metrics(gateway: RunningGateway, _: str) -> None:
    """The app scrapes them, and sees to it that they are there."""


def _otlp(gateway: RunningGateway, told: str) -> None:
    seen = json.loads(told)
    assert seen["traces"] > 0
    assert seen["metrics"] > 0


FEATURES = {
    "keys": Feature(
        _keys,
        commands=(
            (
                *("keys", "create", "bench", "--team", "bench", "--format", "json"),
                *("--requests-per-minute", str(ENOUGH), "--tokens-per-minute", str(ENOUGH)),
                *("--concurrent", "10000", "--budget", "100000000"),
            ),
        ),
    ),
    "audit": Feature(
        _audit,
        off="audit: {fsync: never, checkpoints: {every: 1000000, seconds: 86400}}",
        on="audit: {fsync: batches, checkpoints: {every: 1000, seconds: 1, copy_to: copies.jsonl}}",
    ),
    "logs": Feature(
        _logs,
        off="telemetry: {logs: {requests: none}}",
        on="telemetry: {logs: {format: json, requests: all}}",
    ),
    "metrics": Feature(_metrics),
    "otlp": Feature(
        _otlp,
        on=f'telemetry: {{otlp: {{endpoint: "{VENDOR}", interval: 1, locality: sovereign}}}}',
    ),
}
ALL = tuple(FEATURES)
BASE = f"""\
channels:
  openai: {{vendor: openai, kind: openai, base_url: "{VENDOR}/v1", api_key: "${{VENDOR_KEY}}"}}
models:
  {MODEL}: {{targets: [openai/{MODEL}]}}
state: {{dir: state}}
"""


@dataclass(frozen=True, slots=True)
class Arrangement:
    """A gateway with these features on, and all others of ``known`` off as far as they can be. The
    audit log is always written, and what metrics tell is always counted.
    """

    name: str
    known: tuple[str, ...]
    features: tuple[str, ...] = ()

    def configuration(self, vendor: str) -> str:
        """``gateway.yaml``, with the vendor at that address."""
        whole: dict[str, Any] = yaml.safe_load(BASE)
        for name in self.known:
            feature = FEATURES[name]
            lines = yaml.safe_load(feature.on if name in self.features else feature.off) or {}
            for section, fields in lines.items():
                whole[section] = whole.get(section, {}) | fields
        return yaml.safe_dump(whole).replace(VENDOR, vendor)
