"""Which legal persons a vendor of the catalog is: names, numbers of registers, parents.

Only this table lets a row of a published list become a proposed designation, and only with the rows
of it that somebody checked against their source.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from gateway.vendors.catalog import Catalog
from gateway.vendors.names import normalized
from gateway.vendors.published.rows import Identifier, Scheme, identifier

_KEYS = frozenset(
    {"vendor", "legal_names", "parents", "source", "retrieved", "checked", "note", *Scheme}
)


@dataclass(frozen=True, slots=True)
class LegalIdentity:
    """One row. ``parents`` are legal names of who owns it; ``checked`` says whether somebody read
    ``source`` for this row on the day ``retrieved``.
    """

    vendor: str
    legal_names: tuple[str, ...]
    identifiers: frozenset[Identifier]
    parents: tuple[str, ...]
    source: str
    retrieved: date
    checked: bool
    note: str = ""


class IdentityTable:
    """All rows. Raises ``ValueError`` where two vendors claim one name or one number."""

    def __init__(self, rows: Iterable[LegalIdentity]) -> None:
        self.rows = tuple(rows)
        claims: dict[object, str] = {}
        for row in self.rows:
            names = {normalized(name) for name in row.legal_names}
            for claim in (*names, *row.identifiers):
                if claims.setdefault(claim, row.vendor) != row.vendor:
                    raise ValueError(
                        f"the identity table gives {claim} to {claims[claim]} and to {row.vendor}"
                    )

    @classmethod
    def from_mapping(cls, data: Mapping[str, Any], catalog: Catalog) -> IdentityTable:
        """From the parsed ``identities.toml``. Raises ``ValueError`` that names the row."""
        return cls(_row(number, entry, catalog) for number, entry in enumerate(data["identity"], 1))

    def of(self, vendor: str) -> tuple[LegalIdentity, ...]:
        """The rows of one vendor."""
        return tuple(row for row in self.rows if row.vendor == vendor)


def _row(number: int, entry: Mapping[str, Any], catalog: Catalog) -> LegalIdentity:
    where = f"row {number} of the identity table"
    strange = sorted(set(entry) - _KEYS)
    if strange:
        raise ValueError(f"{where} has unknown keys: {', '.join(strange)}")
    try:
        row = LegalIdentity(
            vendor=entry["vendor"],
            legal_names=tuple(entry["legal_names"]),
            identifiers=frozenset(_numbers(where, entry)),
            parents=tuple(entry.get("parents", ())),
            source=entry["source"],
            retrieved=entry["retrieved"],
            checked=entry["checked"],
            note=entry.get("note", ""),
        )
    except KeyError as error:
        raise ValueError(f"{where} lacks {error}") from None
    if catalog.vendor(row.vendor) is None:
        raise ValueError(f"{where} names {row.vendor!r}, which is no vendor of the catalog")
    if not row.legal_names or not all(normalized(n) for n in (*row.legal_names, *row.parents)):
        raise ValueError(f"{where} has an empty name")
    if not row.source.startswith(("http://", "https://")):
        raise ValueError(f"{where} has a source that is no URL")
    return row


def _numbers(where: str, entry: Mapping[str, Any]) -> Iterable[Identifier]:
    for scheme in Scheme:
        for text in entry.get(scheme, ()):
            found = identifier(scheme, text)
            if found is None:
                raise ValueError(f"{where} has a {scheme.upper()} that is none: {text!r}")
            yield found
