"""Designations: facts that somebody published about a vendor. They decide nothing by themselves."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from itertools import pairwise


class Status(StrEnum):
    """What had become of a designation at a time. No legal conclusion is drawn from it."""

    ANNOUNCED = "announced"
    IN_FORCE = "in_force"
    STAYED = "stayed"
    ENJOINED = "enjoined"
    VACATED = "vacated"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class StatusChange:
    """From ``at`` on (inclusive), until the next change; ``source_url`` is where to read it."""

    at: datetime
    status: Status
    source_url: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Span:
    """From ``start`` (inclusive) until ``end`` (exclusive; ``None``: no end is known)."""

    start: datetime
    end: datetime | None

    def covers(self, now: datetime) -> bool:
        return self.start <= now and (self.end is None or now < self.end)


@dataclass(frozen=True, slots=True)
class Designation:
    """One published fact, with its history, so that it can be told as of any day.

    ``vendor`` is an id of the catalog, ``scope`` the words of whoever wrote it down (``federal``),
    ``history`` its changes in the order of time. ``retrieved`` and ``sha256`` tell what was read;
    ``source`` is where the designation stands in our own files and decides nothing.
    """

    id: str
    vendor: str
    authority: str
    scope: frozenset[str]
    history: tuple[StatusChange, ...]
    source_url: str
    retrieved: date
    statute: str = ""
    announced: date | None = None
    effective: date | None = None
    phase_out_until: date | None = None
    sha256: str | None = None
    note: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        if not self.id or not self.vendor:
            raise ValueError("a designation needs an id and a vendor")
        if not self.history:
            raise ValueError("a designation needs at least one dated status")
        times = [change.at for change in self.history]
        if any(at.tzinfo is None for at in times):
            raise ValueError("a date needs a zone")
        if any(later <= earlier for earlier, later in pairwise(times)):
            raise ValueError("the history must be in the order of time, one status a moment")

    def status_at(self, now: datetime) -> Status | None:
        """The status as of ``now``; ``None`` before its first."""
        held = None
        for change in self.history:
            if change.at > now:
                break
            held = change.status
        return held

    def spans(self, statuses: Collection[Status]) -> Iterator[Span]:
        """When its status was, is and will be one of ``statuses``, in the order of time."""
        ends: list[datetime | None] = [change.at for change in self.history[1:]]
        for change, end in zip(self.history, [*ends, None], strict=True):
            if change.status in statuses:
                yield Span(change.at, end)
