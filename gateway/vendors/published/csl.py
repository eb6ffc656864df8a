"""The US Consolidated Screening List, as JSON and as CSV (International Trade Administration).

Neither says how sure an alias is: ``alt_names`` are aliases of unknown strength.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from typing import Any

from gateway.vendors.published.json_stream import entries
from gateway.vendors.published.rows import (
    Alias,
    Identifier,
    Item,
    Listed,
    Malformed,
    Published,
    UnreadableList,
    day,
    labelled,
    plain,
    web_address,
)
from gateway.vendors.published.tables import records

PAGE = "https://www.trade.gov/consolidated-screening-list"
_REQUIRED = ("source", "name", "type", "programs", "alt_names", "start_date", "end_date")


def read_json(chunks: Iterable[bytes]) -> Iterator[Item]:
    """``{"results": [{…}]}``; with ``sources_used``, the newest of its dates is the list's."""
    seen = False
    newest: date | None = None
    for line, key, entry in entries(chunks):
        if key == "sources_used":
            newest = max(filter(None, (newest, _updated(entry))), default=None)
        if key != "results":
            continue
        seen = True
        try:
            yield _listed(line, _texts(entry), _json_aliases(entry), _json_identifiers(entry))
        except ValueError as error:
            yield Malformed(line, str(error))
    if not seen:
        raise UnreadableList(1, "not the Consolidated Screening List: it has no 'results'")
    if newest is not None:
        yield Published(newest)


def read_csv(chunks: Iterable[bytes]) -> Iterator[Item]:
    """``_id,source,entity_number,type,programs,name,…``: columns by name, in any order. Lists
    within a field are parted by semicolons.
    """

    def listed(line: int, row: Mapping[str, str]) -> Listed:
        aliases = tuple(Alias(name, None) for name in _parts(row["alt_names"]))
        return _listed(line, row, aliases, _csv_identifiers(row.get("ids", "")))

    return records(chunks, listed, required=_REQUIRED)


def _listed(
    line: int,
    row: Mapping[str, str],
    aliases: tuple[Alias, ...],
    identifiers: frozenset[Identifier],
) -> Listed:
    name, source = plain(row.get("name", "")), plain(row.get("source", ""))
    if not name or not source:
        raise ValueError("a row without a name" if not name else "a row without a source")
    number = row.get("id") or row.get("_id") or row.get("entity_number") or name
    address = row.get("source_list_url") or row.get("source_information_url") or ""
    said = (row.get(key, "") for key in ("federal_register_notice", "license_requirement"))
    return Listed(
        line=line,
        id=plain(number),
        name=name,
        authority=source,
        source_url=web_address(address, PAGE),
        kind=plain(row.get("type", "")).lower() or "entity",
        aliases=aliases,
        identifiers=identifiers,
        scope=(_abbreviation(source), *_parts(row.get("programs", ""))),
        start=day(row.get("start_date", ""), "%Y-%m-%d"),
        end=day(row.get("end_date", ""), "%Y-%m-%d"),
        note=plain("; ".join(part for part in said if part)),
    )


def _abbreviation(source: str) -> str:
    """The short name of the list that an entry comes from: ``(EL)`` in its long one."""
    found = re.search(r"\(([A-Z-]{2,8})(?: List)?\)", source)
    return found.group(1) if found else source


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part for part in map(plain, text.split(";")) if part)


def _texts(entry: Any) -> dict[str, str]:
    """The fields of a JSON entry as the CSV has them; what is no text and no list is none."""
    if not isinstance(entry, dict):
        raise ValueError("an entry that is no object")
    found = {key: value for key, value in entry.items() if isinstance(value, str)}
    programs = entry.get("programs")
    if isinstance(programs, list):
        found["programs"] = ";".join(part for part in programs if isinstance(part, str))
    return found


def _json_aliases(entry: Mapping[str, Any]) -> tuple[Alias, ...]:
    names = entry.get("alt_names") or ()
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise ValueError("'alt_names' is no list of names")
    return tuple(Alias(plain(name), None) for name in names if plain(name))


def _json_identifiers(entry: Mapping[str, Any]) -> frozenset[Identifier]:
    ids = entry.get("ids") or ()
    if not isinstance(ids, list | tuple) or not all(isinstance(id, dict) for id in ids):
        raise ValueError("'ids' is no list of objects")
    found = (labelled(str(id.get("type", "")), str(id.get("number", ""))) for id in ids)
    return frozenset(filter(None, found))


def _csv_identifiers(text: str) -> frozenset[Identifier]:
    """``GB, 01074897, Company Number; …``: in which order the three stand is not relied on."""
    found = (
        labelled(part, word) for part in _parts(text) for word in re.split(r"[,:\s]+", part) if word
    )
    return frozenset(filter(None, found))


def _updated(entry: Any) -> date | None:
    text = entry.get("source_last_updated") if isinstance(entry, dict) else None
    try:
        return datetime.fromisoformat(text).date() if isinstance(text, str) else None
    except ValueError:
        return None
