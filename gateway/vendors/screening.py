"""Rows of published lists against the vendors of the catalog: certain, in doubt, or nothing.

Certain is only what a checked row of the identity table says to the letter: a number of a register,
or the whole legal name, of an organisation. All else that is alike is for a person to look at.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from gateway.vendors.catalog import Catalog
from gateway.vendors.identity_table import IdentityTable
from gateway.vendors.names import contains, normalized, shortened
from gateway.vendors.published.rows import Identifier, Listed, Scheme

ENTITY = "entity"
SHORTEST_ALIAS = 5
"""Letters of an alias of the catalog; shorter ones are words of too many names."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A vendor that a row may be about; ``reason`` says what agrees, or why it is in doubt."""

    vendor: str
    reason: str
    certain: bool


@dataclass(frozen=True, slots=True)
class _Known:
    """A name that we know, and why a row with exactly this name would still be in doubt."""

    vendor: str
    name: str
    doubt: str = ""


class Screen:
    """The known names and numbers, indexed once for a whole list."""

    def __init__(self, catalog: Catalog, table: IdentityTable) -> None:
        self._names: dict[tuple[str, ...], list[_Known]] = defaultdict(list)
        self._numbers: dict[Identifier, _Known] = {}
        self._registers: dict[tuple[str, Scheme], set[Identifier]] = defaultdict(set)
        for row in table.rows:
            unchecked = "" if row.checked else "its row of the identity table is not checked"
            for name in row.legal_names:
                self._names[normalized(name)].append(_Known(row.vendor, name, unchecked))
            for name in row.parents:
                known = _Known(row.vendor, name, "that is a parent of it")
                self._names[normalized(name)].append(known)
            for number in row.identifiers:
                self._numbers[number] = _Known(row.vendor, str(number), unchecked)
                self._registers[row.vendor, number.scheme].add(number)
        for vendor in filter(None, map(catalog.vendor, catalog.ids)):
            self._call(vendor.id, vendor.name)
            for alias in (vendor.id, *vendor.aliases):
                if len(alias) >= SHORTEST_ALIAS:
                    self._call(vendor.id, alias)
        self._alike: dict[str, set[tuple[str, ...]]] = defaultdict(set)
        self._beginning: dict[str, set[tuple[str, ...]]] = defaultdict(set)
        for words in self._names:
            self._beginning[words[0]].add(words)
            for letters in shortened(words):
                self._alike[letters].add(words)

    def _call(self, vendor: str, name: str) -> None:
        """A name by which the catalog goes, where the identity table does not know it already."""
        words = normalized(name)
        if words and all(known.vendor != vendor for known in self._names.get(words, ())):
            doubt = "that is what the catalog calls it, not a legal name"
            self._names[words].append(_Known(vendor, name, doubt))

    def judge(self, listed: Listed) -> tuple[Finding, ...]:
        """One finding for each vendor that the row may be about; at most one is certain."""
        found: dict[str, Finding] = {}
        for finding in (*self._by_number(listed), *self._by_name(listed)):
            known = found.get(finding.vendor)
            if known is None or (finding.certain and not known.certain):
                found[finding.vendor] = finding
        certain = [finding.vendor for finding in found.values() if finding.certain]
        if len(certain) > 1:
            doubt = f"it fits {' and '.join(sorted(certain))} alike"
            return tuple(
                Finding(f.vendor, f"{f.reason}; {doubt}", certain=False) for f in found.values()
            )
        return tuple(found.values())

    def _by_number(self, listed: Listed) -> Iterator[Finding]:
        for number in sorted(listed.identifiers, key=str):
            known = self._numbers.get(number)
            if known is not None:
                yield _finding(known, f"its {number.scheme.upper()} is {number.value}", known.doubt)

    def _by_name(self, listed: Listed) -> Iterator[Finding]:
        names = [(listed.name, "the name", "")]
        doubts = {True: "", False: "a weak alias", None: "an alias of unknown strength"}
        names += [(a.name, "the alias", doubts[a.strong]) for a in listed.aliases]
        for name, what, doubt in names:
            words = normalized(name)
            if not words:
                continue
            exact = self._names.get(words, ())
            for known in exact:
                doubts_ = (known.doubt, doubt, self._unlike(listed, known.vendor))
                reason = f"{what} {name!r} is {known.name!r}"
                yield _finding(known, reason, "; ".join(filter(None, doubts_)))
            if not exact:
                yield from self._nearly(words, f"{what} {name!r}", listed.kind)

    def _unlike(self, listed: Listed, vendor: str) -> str:
        """What speaks against a row whose name agrees."""
        if listed.kind != ENTITY:
            return f"the list says {listed.kind}"
        for scheme in Scheme:
            theirs = {number for number in listed.identifiers if number.scheme is scheme}
            ours = self._registers.get((vendor, scheme), set())
            if theirs and ours and not theirs & ours:
                return f"the {scheme.upper()} is another"
        return ""

    def _nearly(self, words: tuple[str, ...], what: str, kind: str) -> Iterator[Finding]:
        if kind != ENTITY:
            return
        alike = {near for letters in shortened(words) for near in self._alike.get(letters, ())}
        within = {
            part
            for word in set(words)
            for part in self._beginning.get(word, ())
            if contains(words, part)
        }
        # The longest name first: of several that fit, it says the most.
        for near in sorted(alike | within, key=lambda part: (-len(part), part)):
            how = "contains" if near in within else "is almost"
            for known in self._names[near]:
                yield Finding(known.vendor, f"{what} {how} {known.name!r}", certain=False)


def _finding(known: _Known, reason: str, doubt: str) -> Finding:
    if not doubt:
        return Finding(known.vendor, reason, certain=True)
    return Finding(known.vendor, f"{reason}, but {doubt}", certain=False)
