"""A list of one's own as CSV, for what is published in no form that is known here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from gateway.vendors.published.rows import (
    Alias,
    Identifier,
    Item,
    Listed,
    Scheme,
    day,
    identifier,
    plain,
    web_address,
)
from gateway.vendors.published.tables import records

REQUIRED = ("id", "name", "authority", "scope", "source_url")
COLUMNS = (
    *REQUIRED,
    "kind",
    "aliases",
    "weak_aliases",
    "uei",
    "cage",
    "lei",
    "statute",
    "effective",
    "ends",
    "note",
)
"""The first row names the columns: the five that are required, and any of the others."""


def read(chunks: Iterable[bytes]) -> Iterator[Item]:
    """Dates are ``2026-03-05``; ``aliases``, ``weak_aliases`` and ``scope`` are parted by ``;``."""
    return records(chunks, _listed, required=REQUIRED, known=COLUMNS)


def _listed(line: int, row: Mapping[str, str]) -> Listed:
    for key in REQUIRED:
        if not plain(row[key]):
            raise ValueError(f"a row without {key!r}")
    address = web_address(row["source_url"], "")
    if not address:
        raise ValueError("'source_url' is no http:// or https:// URL")
    aliases = [Alias(name, True) for name in _parts(row.get("aliases", ""))]
    aliases += [Alias(name, False) for name in _parts(row.get("weak_aliases", ""))]
    return Listed(
        line=line,
        id=plain(row["id"]),
        name=plain(row["name"]),
        authority=plain(row["authority"]),
        source_url=address,
        kind=plain(row.get("kind", "")).lower() or "entity",
        aliases=tuple(aliases),
        identifiers=frozenset(_number(scheme, row[scheme]) for scheme in Scheme if row.get(scheme)),
        scope=_parts(row["scope"]),
        statute=plain(row.get("statute", "")),
        start=day(row.get("effective", ""), "%Y-%m-%d"),
        end=day(row.get("ends", ""), "%Y-%m-%d"),
        note=plain(row.get("note", "")),
    )


def _number(scheme: Scheme, text: str) -> Identifier:
    found = identifier(scheme, text)
    if found is None:
        raise ValueError(f"{text[:40]!r} is no {scheme.upper()}")
    return found


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part for part in map(plain, text.split(";")) if part)
