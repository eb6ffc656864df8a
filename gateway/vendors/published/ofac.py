"""The lists of the US Office of Foreign Assets Control: the plain XML and the classic CSV.

SDN.XML and SDN.CSV have one shape with CONSOLIDATED.XML and CONS_PRIM.CSV. Which of the two a
file is, its first character says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain

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
)
from gateway.vendors.published.tables import rows
from gateway.vendors.published.xml_stream import Element, elements

PAGE = "https://sanctionslist.ofac.treas.gov/Home/SdnList"
AUTHORITY = "Office of Foreign Assets Control, US Department of the Treasury"
COLUMNS = 12
_NOTHING = "-0-"


def read(chunks: Iterable[bytes]) -> Iterator[Item]:
    """Either of the two forms."""
    chunks = iter(chunks)
    first = next(chunks, b"")
    start = first.removeprefix(b"\xef\xbb\xbf").lstrip()
    whole = chain((first,), chunks)
    return _read_xml(whole) if start.startswith(b"<") else _read_csv(whole)


def _read_xml(chunks: Iterable[bytes]) -> Iterator[Item]:
    # publshInformation: so it is spelt in the published schema.
    for element in elements(chunks, root="sdnList", wanted=("publshInformation", "sdnEntry")):
        try:
            yield _about(element) if element.name == "publshInformation" else _entry(element)
        except ValueError as error:
            yield Malformed(element.line, str(error))


def _about(element: Element) -> Published:
    published = day(element.text_of("Publish_Date"), "%m/%d/%Y", "%Y-%m-%d")
    if published is None:
        raise ValueError("no Publish_Date")
    count = element.text_of("Record_Count")
    return Published(published, int(count) if count.isascii() and count.isdecimal() else None)


def _entry(element: Element) -> Listed:
    return _listed(
        element.line,
        uid=element.text_of("uid"),
        name=_name(element),
        kind=element.text_of("sdnType").lower() or "entity",
        aliases=tuple(
            Alias(_name(aka), {"strong": True, "weak": False}.get(aka.text_of("category").lower()))
            for aka in element.all_of("akaList", "aka")
            if _name(aka)
        ),
        identifiers=frozenset(
            filter(
                None,
                (
                    labelled(id.text_of("idType"), id.text_of("idNumber"))
                    for id in element.all_of("idList", "id")
                ),
            )
        ),
        scope=tuple(p.text for p in element.all_of("programList", "program") if p.text),
        note=element.text_of("remarks"),
    )


def _name(element: Element) -> str:
    last, first = plain(element.text_of("lastName")), plain(element.text_of("firstName"))
    return f"{last}, {first}" if last and first else last or first


def _read_csv(chunks: Iterable[bytes]) -> Iterator[Item]:
    """Twelve columns without a heading; ``-0-`` is nothing, and so is the type of an entity."""
    wrong = 0
    right = 0
    for row in rows(chunks):
        if isinstance(row, Malformed):
            yield row
            continue
        fields = tuple("" if field == _NOTHING else field for field in row.fields)
        if len(fields) != COLUMNS:
            wrong += 1
            if not right and wrong > COLUMNS:
                raise UnreadableList(
                    1, f"not SDN.CSV: it has {COLUMNS} columns and no heading, or is SDN.XML"
                )
            yield Malformed(row.line, f"{len(fields)} fields where SDN.CSV has {COLUMNS}")
            continue
        right += 1
        try:
            yield _listed(
                row.line,
                uid=fields[0],
                name=fields[1],
                kind=fields[2].lower() or "entity",
                # Several stand in one field, as ``CUBA] [SDGT``.
                scope=tuple(filter(None, re.split(r"[\[\]\s]+", fields[3]))),
                note=fields[11],
            )
        except ValueError as error:
            yield Malformed(row.line, str(error))


def _listed(
    line: int,
    *,
    uid: str,
    name: str,
    kind: str,
    scope: tuple[str, ...],
    note: str,
    aliases: tuple[Alias, ...] = (),
    identifiers: frozenset[Identifier] = frozenset(),
) -> Listed:
    if not uid.isascii() or not uid.isdecimal():
        raise ValueError(f"{uid[:40]!r} is no number of an entry")
    if not plain(name):
        raise ValueError("an entry without a name")
    return Listed(
        line=line,
        id=uid,
        name=plain(name),
        authority=AUTHORITY,
        source_url=PAGE,
        kind=kind,
        aliases=aliases,
        identifiers=identifiers,
        scope=tuple(map(plain, scope)),
        note=plain(note),
    )
