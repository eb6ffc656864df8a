"""Certain rows of a published list → designations that a person may put into force."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import chain, count

from gateway.vendors.designations import Designation, Status, StatusChange
from gateway.vendors.published.rows import Listed


@dataclass(frozen=True, slots=True)
class Certain:
    """A row that is about one vendor, and what agreed."""

    listed: Listed
    vendor: str
    reason: str


@dataclass(frozen=True, slots=True)
class Source:
    """The file that was read: ``format`` as the command names it, and when."""

    format: str
    sha256: str
    published: date
    retrieved: date


def propose(
    found: Iterable[Certain], source: Source, since: Mapping[str, date]
) -> tuple[Designation, ...]:
    """One designation a row, sorted by id; a row that stands twice in the list gives one.

    Ids are made of the format, the list's own number and the vendor, so that the next import of the
    list gives the same ones. ``since`` has the day on which an id that is in force already began:
    it stays, where the list has no date of its own.
    """
    proposed: dict[str, Designation] = {}
    for certain in found:
        first = _slug(f"{source.format}-{certain.listed.id}-{certain.vendor}")
        for id in chain((first,), (f"{first}-{number}" for number in count(2))):
            fact = _designation(id, certain, source, since.get(id))
            if proposed.setdefault(id, fact) == fact:
                break
    return tuple(proposed[id] for id in sorted(proposed))


def _designation(id: str, certain: Certain, source: Source, since: date | None) -> Designation:
    listed = certain.listed
    start = listed.start or since or source.published
    notes = [f"Listed as {listed.name!r}: {certain.reason}.", listed.note]
    if listed.start is None:
        notes.append("The list has no date for it: in force from the list that showed it first.")
    return Designation(
        id=id,
        vendor=certain.vendor,
        authority=listed.authority,
        scope=frozenset(listed.scope),
        history=tuple(_history(listed, start, source)),
        source_url=listed.source_url,
        retrieved=source.retrieved,
        statute=listed.statute,
        effective=start,
        sha256=source.sha256,
        note=" ".join(filter(None, notes)),
    )


def _history(listed: Listed, start: date, source: Source) -> Iterable[StatusChange]:
    if start > source.retrieved:
        announced = min(source.published, source.retrieved)
        yield StatusChange(_midnight(announced), Status.ANNOUNCED, listed.source_url)
    yield StatusChange(_midnight(start), Status.IN_FORCE, listed.source_url)
    if listed.end is not None and listed.end >= start:
        # It still holds on its last day.
        after = _midnight(listed.end + timedelta(days=1))
        yield StatusChange(after, Status.EXPIRED, listed.source_url, "The end that the list gives.")


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
