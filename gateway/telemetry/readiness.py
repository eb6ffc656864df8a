"""What is scraped of readiness: a few figures of the report that the main process writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

import msgspec

Samples: TypeAlias = Mapping[tuple[str, ...], float]


class CapabilityReading(msgspec.Struct, frozen=True):
    local: float


class VendorReading(msgspec.Struct, frozen=True):
    """``None`` is not known, or of no request."""

    vendor: str
    requests: int
    capability: CapabilityReading | None
    capacity: float | None
    score: float | None


class ReadinessReading(msgspec.Struct, frozen=True):
    """The part of the report that is scraped; ``all`` is for when every cloud vendor goes."""

    at: datetime
    vendors: tuple[VendorReading, ...]
    all: VendorReading

    @property
    def rows(self) -> tuple[VendorReading, ...]:
        return (*self.vendors, self.all)


def readiness(report: bytes | None) -> ReadinessReading | None:
    return None if report is None else msgspec.json.decode(report, type=ReadinessReading)


@dataclass(frozen=True, slots=True)
class OfReadiness:
    name: str
    help: str
    labels: tuple[str, ...]
    read: Callable[[ReadinessReading], Samples] = field(compare=False)


def _ratios(one: VendorReading) -> Iterator[tuple[tuple[str, str], float]]:
    shares = {
        "capability": None if one.capability is None else one.capability.local,
        "capacity": one.capacity,
        "both": one.score,
    }
    for by, share in shares.items():
        if share is not None:
            yield (one.vendor, by), share


READINESS = (
    OfReadiness(
        "gateway_readiness_ratio",
        "If a vendor were banned now: the share of the last day's requests that hung on it which "
        "local models could take (by: capability), the share of those for which they would have "
        "had the time (capacity), and of all both. vendor: (all) for all cloud vendors at once; "
        "absent where it is not known, or of no request.",
        ("vendor", "by"),
        lambda now: dict(pair for one in now.rows for pair in _ratios(one)),
    ),
    OfReadiness(
        "gateway_readiness_dependent_requests",
        "Requests of the last day that hung on a vendor.",
        ("vendor",),
        lambda now: {(one.vendor,): one.requests for one in now.rows},
    ),
    OfReadiness(
        "gateway_readiness_reckoned_timestamp_seconds",
        "When these were reckoned; their age is time() less this.",
        (),
        lambda now: {(): now.at.timestamp()},
    ),
)
