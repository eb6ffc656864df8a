"""The vendor catalog: vendors, and the families that tell a model's developer by its name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from gateway.domain.identity import SELF, UNKNOWN

_COUNTRY = re.compile(r"[A-Z]{2}\Z")
_KINDS = frozenset({"developer", "cloud", "aggregator"})


@dataclass(frozen=True, slots=True)
class Vendor:
    """One vendor. ``home`` is ISO 3166-1 alpha-2; ``parents`` are vendor ids; ``kind`` is what it
    does: ``developer`` trains models, ``cloud`` serves them, ``aggregator`` sends on to others.
    ``checked`` says whether the page of ``source`` was read against the row.
    """

    id: str
    name: str
    aliases: tuple[str, ...]
    home: str
    parents: tuple[str, ...]
    kind: frozenset[str]
    source: str
    retrieved: date
    checked: bool = False


@dataclass(frozen=True, slots=True)
class Family:
    """Model names of one developer. ``tokens`` are a prefix of the name; where ``derived``, others
    may stand between the first and the rest; where ``exact``, they are the whole name.
    """

    tokens: tuple[str, ...]
    developer: str
    lineage: tuple[str, ...] = ()
    derived: bool = False
    exact: bool = False

    def fits(self, tokens: Sequence[str]) -> bool:
        """Whether a name, cut into lower-case tokens, is of this family."""
        if self.exact:
            return tuple(tokens) == self.tokens
        if not self.derived:
            return tuple(tokens[: len(self.tokens)]) == self.tokens
        if tuple(tokens[:1]) != self.tokens[:1]:
            return False
        rest = iter(tokens)
        return all(token in rest for token in self.tokens)


class Catalog:
    """All vendors and families, indexed. Vendor ``self`` is the operator and always known."""

    def __init__(
        self,
        version: str,
        vendors: Iterable[Vendor],
        families: Iterable[Family],
        repackers: Iterable[str] = (),
        regions: Mapping[str, str] | None = None,
    ) -> None:
        self.version = version
        self._vendors = {vendor.id: vendor for vendor in vendors}
        self._words = {alias: v.id for v in self._vendors.values() for alias in v.aliases}
        self._words |= {id_: id_ for id_ in self._vendors}
        # The most specific first: derived models, then the longest prefix.
        self._families = tuple(
            sorted(families, key=lambda f: (not f.derived, -len(f.tokens), f.tokens))
        )
        # Whatever its kind, a family has the first token of the names that are of it.
        self._by_first: dict[str, list[Family]] = {}
        for family in self._families:
            self._by_first.setdefault(next(iter(family.tokens), ""), []).append(family)
        self._repackers = frozenset(repackers)
        self._regions = dict(regions or {})
        self._check()

    @classmethod
    def from_mapping(cls, data: Mapping[str, Any]) -> Catalog:
        """From the parsed ``catalog.toml``. Raises ``ValueError`` that names the row."""
        try:
            vendors = [_vendor(row) for row in data["vendor"]]
            families = [_family(row, derived=False) for row in data["family"]]
            families += [_family(row, derived=True) for row in data["derived"]]
            version = str(data["version"])
            repackers = [str(word).lower() for word in data.get("repackers", ())]
            regions = {str(key): str(value) for key, value in data.get("region", {}).items()}
        except (KeyError, TypeError) as error:
            raise ValueError(f"the vendor catalog lacks {error}") from error
        ids = [vendor.id for vendor in vendors]
        doubles = sorted({id_ for id_ in ids if ids.count(id_) > 1})
        if doubles:
            raise ValueError(f"the vendor catalog has two rows of {', '.join(doubles)}")
        return cls(version, vendors, families, repackers, regions)

    @property
    def ids(self) -> tuple[str, ...]:
        return (*self._vendors, SELF)

    @property
    def families(self) -> tuple[Family, ...]:
        return self._families

    def vendor(self, id: str) -> Vendor | None:
        return self._vendors.get(id)

    def canonical(self, word: str) -> str | None:
        """The vendor id for an id or alias; exact but for case."""
        return self._words.get(word.lower())

    def nearest(self, word: str) -> str | None:
        """The vendor id whose id or alias is most like a mistyped word."""
        near = difflib.get_close_matches(word.lower(), self._words, n=1)
        return self._words[near[0]] if near else None

    def family(self, tokens: Sequence[str]) -> Family | None:
        """The family of a model name that was cut into tokens."""
        candidates = self._by_first.get(tokens[0], ()) if tokens else ()
        return next((family for family in candidates if family.fits(tokens)), None)

    def trains(self, id: str) -> bool:
        """Whether a vendor makes models of its own, so that its name before one means something."""
        vendor = self._vendors.get(id)
        return vendor is not None and "developer" in vendor.kind

    def repacks(self, publisher: str) -> bool:
        """Whether a publisher only puts others' weights into other containers."""
        return publisher.lower() in self._repackers

    def served_in(self, region: str) -> frozenset[str]:
        """The country of a serving region, where it is known: by the region's full name, by the
        first of its words (all of ``us-…``), or because it is a country's code itself.
        """
        region = region.lower()
        country = self._regions.get(region) or self._regions.get(region.partition("-")[0])
        if country is None and len(region) == 2 and region.isalpha():
            country = region.upper()
        return frozenset() if country is None else frozenset({country})

    def jurisdictions(self, id: str) -> frozenset[str]:
        """The home countries of a vendor and of all its parents."""
        found: set[str] = set()
        seen: set[str] = set()
        waiting = [id]
        while waiting:
            vendor = self._vendors.get(waiting.pop())
            if vendor is not None and vendor.id not in seen:
                seen.add(vendor.id)
                found.add(vendor.home)
                waiting.extend(vendor.parents)
        return frozenset(found)

    def _check(self) -> None:
        for reserved in (SELF, UNKNOWN):
            if reserved in self._words:
                raise ValueError(f"the vendor catalog may not name {reserved!r}")
        words = [word for v in self._vendors.values() for word in {v.id, *v.aliases}]
        doubles = sorted({word for word in words if words.count(word) > 1})
        if doubles:
            raise ValueError(f"the vendor catalog uses one word for two vendors: {doubles}")
        odd = sorted(v.id for v in self._vendors.values() if not _COUNTRY.match(v.home))
        if odd:
            raise ValueError(f"the vendor catalog has a home that is no country's code: {odd}")
        strange = sorted(v.id for v in self._vendors.values() if not v.kind or v.kind - _KINDS)
        if strange:
            raise ValueError(f"the vendor catalog has a kind that is none of its own: {strange}")
        if any(not family.tokens for family in self._families):
            raise ValueError("the vendor catalog has a family without tokens")
        named = [parent for vendor in self._vendors.values() for parent in vendor.parents]
        named += [v for family in self._families for v in (family.developer, *family.lineage)]
        strangers = sorted(set(named) - set(self._vendors))
        if strangers:
            raise ValueError(f"the vendor catalog names vendors without a row: {strangers}")


def _vendor(row: Mapping[str, Any]) -> Vendor:
    return Vendor(
        id=row["id"],
        name=row["name"],
        aliases=tuple(row["aliases"]),
        home=row["home"],
        parents=tuple(row["parents"]),
        kind=frozenset(row["kind"]),
        source=row["source"],
        retrieved=row["retrieved"],
        checked=bool(row.get("checked", False)),
    )


def _family(row: Mapping[str, Any], *, derived: bool) -> Family:
    return Family(
        tokens=tuple(row["tokens"]),
        developer=row["developer"],
        lineage=tuple(row.get("lineage", ())),
        derived=derived,
        exact=bool(row.get("exact", False)),
    )
