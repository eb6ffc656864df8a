"""What every published list is read into: its rows, what was wrong with others, and its date.

A reader is a function from the chunks of a file to these, in the order of the file. It keeps one
row at a time in memory and raises ``UnreadableList`` where the file as a whole is not the list.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import TypeAlias
from urllib.parse import urlsplit

MAX_TEXT = 2000
"""Characters that are kept of one field; no name and no remark of these lists is as long."""

_LEI = re.compile(r"[0-9A-Z]{18}[0-9]{2}\Z")
_UEI = re.compile(r"[1-9A-HJ-NP-Z][0-9A-HJ-NP-Z]{11}\Z")
_CAGE = re.compile(r"[0-9A-HJ-NP-Z]{5}\Z")


class Scheme(StrEnum):
    """Registers whose numbers stand for one legal person each."""

    UEI = "uei"
    CAGE = "cage"
    LEI = "lei"


@dataclass(frozen=True, slots=True)
class Identifier:
    """A number of a register, in capitals and without blanks."""

    scheme: Scheme
    value: str

    def __str__(self) -> str:
        return f"{self.scheme} {self.value}"


@dataclass(frozen=True, slots=True)
class Alias:
    """Another name. ``strong`` is ``None`` where the list does not say how sure it is."""

    name: str
    strong: bool | None


@dataclass(frozen=True, slots=True)
class Listed:
    """One row. ``line`` is where it begins, ``id`` the list's own number for it, ``kind`` is
    ``entity``, or ``individual``, ``vessel``, ``aircraft`` as the list says; ``scope`` the list's
    short name and programs. ``start`` and ``end`` are the first and the last day that it holds,
    where the list has them.
    """

    line: int
    id: str
    name: str
    authority: str
    source_url: str
    kind: str = "entity"
    aliases: tuple[Alias, ...] = ()
    identifiers: frozenset[Identifier] = frozenset()
    scope: tuple[str, ...] = ()
    statute: str = ""
    start: date | None = None
    end: date | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Malformed:
    """A row that cannot be understood: counted and told, never passed over in silence."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Published:
    """What a list says of itself: the day it was published, and how many rows it has."""

    on: date
    rows: int | None = None


Item: TypeAlias = Listed | Malformed | Published
Reader: TypeAlias = Callable[[Iterable[bytes]], Iterator[Item]]


class UnreadableList(ValueError):
    """The file is not the list that it was said to be; ``line`` counts from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


def plain(text: str) -> str:
    """One line without control characters, of at most ``MAX_TEXT`` characters."""
    shown = "".join(" " if unicodedata.category(c).startswith("C") else c for c in text)
    return " ".join(shown.split())[:MAX_TEXT]


def day(text: str, *formats: str) -> date | None:
    """A date in one of the formats of ``strptime``; nothing where there is no text.

    Raises ValueError that names the text.
    """
    if not text:
        return None
    for format in formats:
        try:
            return datetime.strptime(text, format).date()  # noqa: DTZ007 (a day has no zone)
        except ValueError:
            continue
    raise ValueError(f"{text[:40]!r} is not a date")


def identifier(scheme: Scheme, text: str) -> Identifier | None:
    """The number if it has the form of its register (an LEI with its check digits)."""
    value = "".join(text.split()).upper()
    pattern = {Scheme.LEI: _LEI, Scheme.UEI: _UEI, Scheme.CAGE: _CAGE}[scheme]
    if not pattern.match(value):
        return None
    if scheme is Scheme.LEI and int("".join(str(int(c, 36)) for c in value)) % 97 != 1:
        return None
    return Identifier(scheme, value)


def labelled(label: str, text: str) -> Identifier | None:
    """A number whose register the list names in its own words."""
    words = set(re.findall(r"[a-z]+", label.lower()))
    if "lei" in words or {"legal", "entity"} <= words:
        return identifier(Scheme.LEI, text)
    if "uei" in words or {"unique", "entity"} <= words:
        return identifier(Scheme.UEI, text)
    return identifier(Scheme.CAGE, text) if "cage" in words else None


def web_address(text: str, otherwise: str) -> str:
    """A URL of the list if it is one, else the page where the list itself is."""
    found = plain(text)
    try:
        parts = urlsplit(found)
        host = parts.hostname
    except ValueError:
        return otherwise
    return found if parts.scheme in ("http", "https") and host else otherwise
