"""The public extract of exclusions of the US System for Award Management (SAM.gov), as CSV."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from gateway.vendors.published.rows import (
    Item,
    Listed,
    Scheme,
    day,
    identifier,
    plain,
)
from gateway.vendors.published.tables import records

PAGE = "https://sam.gov/"
_REQUIRED = (
    "Classification",
    "Name",
    "Unique Entity ID",
    "Exclusion Program",
    "Excluding Agency",
    "Exclusion Type",
    "Additional Comments",
    "Active Date",
    "Termination Date",
    "SAM Number",
    "CAGE",
)
_ORGANISATIONS = ("firm", "special entity designation")
_FORMATS = ("%m/%d/%Y", "%Y-%m-%d")


def read(chunks: Iterable[bytes]) -> Iterator[Item]:
    """Columns by name. An exclusion without an end says ``Indefinite``."""
    return records(chunks, _listed, required=_REQUIRED)


def _listed(line: int, row: Mapping[str, str]) -> Listed:
    kind = row["Classification"].lower()
    parts = (row.get(key, "") for key in ("Last", "First", "Middle"))
    name = plain(row["Name"]) or plain(" ".join(part for part in parts if part))
    number = plain(row["SAM Number"])
    if not kind or not name or not number:
        raise ValueError("a row without a classification, name or SAM number")
    agency = plain(row["Excluding Agency"])
    numbers = (
        identifier(Scheme.UEI, row["Unique Entity ID"]),
        identifier(Scheme.CAGE, row["CAGE"]),
    )
    ends = row["Termination Date"]
    return Listed(
        line=line,
        id=number,
        name=name,
        authority=f"{agency} (SAM.gov exclusions)" if agency else "SAM.gov exclusions",
        source_url=PAGE,
        kind="entity" if kind in _ORGANISATIONS else kind,
        identifiers=frozenset(filter(None, numbers)),
        scope=("SAM", plain(row["Exclusion Program"]) or "Reciprocal"),
        start=day(row["Active Date"], *_FORMATS),
        end=None if ends.lower() == "indefinite" else day(ends, *_FORMATS),
        note=plain(f"{row['Exclusion Type']}. {row['Additional Comments']}"),
    )
