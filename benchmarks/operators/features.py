"""What can be on or off."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.gateway import MODEL, Arrangement
from tests.end_to_end.running import RunningGateway

Sections = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Feature:
    """``on`` and ``off`` are sections of the configuration. ``check`` is given what the vendor has
    seen: what is on did something, or it would be cheap indeed.
    """

    check: Callable[[RunningGateway, Mapping[str, int]], None]
    on: Callable[[str], Sections] = field(default=lambda vendor: {})
    off: Sections = field(default_factory=dict)


def _keys(gateway: RunningGateway, _: Mapping[str, int]) -> None:
    """Nobody is answered without one any more."""
    assert gateway.ask(MODEL)[0] == 401
    assert gateway.last_record()["status"] == 401


def _audit(gateway: RunningGateway, _: Mapping[str, int]) -> None:
    files = sorted((gateway.folder / "state" / "audit").glob("*.jsonl"))
    kinds = [json.loads(line)["kind"] for file in files for line in file.read_text().splitlines()]
    assert kinds.count("checkpoint") > 1
    assert kinds.count("request") > 100
    assert (gateway.folder / "copies.jsonl").stat().st_size > 0
    verified = gateway.run("audit", "verify", policy=False)
    assert verified.returncode == 0, verified.stdout


def _logs(gateway: RunningGateway, _: Mapping[str, int]) -> None:
    assert len(gateway.output.read_text().splitlines()) > 100


def _metrics(gateway: RunningGateway, _: Mapping[str, int]) -> None:
    """They were scraped while it was under load, and an error there is one of the suite."""


def _otlp(_: RunningGateway, seen: Mapping[str, int]) -> None:
    assert seen["traces"] > 0
    assert seen["metrics"] > 0


def _sink(vendor: str) -> Sections:
    return {"telemetry": {"otlp": {"endpoint": vendor, "interval": 1, "locality": "sovereign"}}}


_RARELY = {"every": 1_000_000, "seconds": 86_400}
_OFTEN = {"every": 1_000, "seconds": 1, "copy_to": "copies.jsonl"}
FEATURES: Mapping[str, Feature] = {
    "keys": Feature(_keys),
    "audit": Feature(
        _audit,
        off={"audit": {"fsync": "never", "checkpoints": _RARELY}},
        on=lambda vendor: {"audit": {"fsync": "batches", "checkpoints": _OFTEN}},
    ),
    "logs": Feature(
        _logs,
        off={"telemetry": {"logs": {"requests": "none"}}},
        on=lambda vendor: {"telemetry": {"logs": {"format": "json", "requests": "all"}}},
    ),
    "metrics": Feature(_metrics),
    "otlp": Feature(_otlp, on=_sink),
}
ALL = tuple(FEATURES)


def arrangement(known: tuple[str, ...], on: tuple[str, ...], vendor: str) -> Arrangement:
    """A gateway with these features on, and all others of ``known`` off as far as they can be."""
    sections: dict[str, dict[str, Any]] = {}
    for name in known:
        feature = FEATURES[name]
        for section, fields in (feature.on(vendor) if name in on else feature.off).items():
            sections[section] = sections.get(section, {}) | dict(fields)
    return Arrangement(on="keys" in on, sections=sections)
