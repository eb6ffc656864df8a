"""Who made the weights of a GGUF file, as far as the file itself says: its ``general.*`` metadata.

Never by the file's name, which anybody may give. The manifest is the operator's word and stays what
is judged; this is there to notice where the two contradict each other.

Source of the keys: the GGUF specification, "Standardized key-value pairs", ``general.*``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gateway.vendors import grammar
from gateway.vendors.catalog import Catalog

MOST_BASES = 16
"""How many base models of a file are looked at: merges rarely have more."""


def makers(metadata: Mapping[str, object], catalog: Catalog) -> dict[str, str]:
    """Each vendor that the file names among its makers, with the key that says so. The publisher of
    a conversion is none of them, unless it trains models.
    """
    found: dict[str, str] = {}
    for key, vendor in _named(metadata, catalog):
        found.setdefault(vendor, key)
    return found


def _named(metadata: Mapping[str, object], catalog: Catalog) -> Iterator[tuple[str, str]]:
    bases = [f"general.base_model.{number}." for number in range(MOST_BASES)]
    for lead in ("general.", *bases):
        for word in ("basename", "name"):
            name = metadata.get(lead + word)
            family = catalog.family(_tokens(name)) if isinstance(name, str) else None
            if family is not None:
                yield lead + word, family.developer
                for vendor in family.lineage:
                    yield lead + word, vendor
                break
        organization = metadata.get(f"{lead}organization")
        if isinstance(organization, str):
            publisher = catalog.canonical(organization.strip().replace(" ", "-"))
            if publisher is not None and catalog.trains(publisher):
                yield f"{lead}organization", publisher


def _tokens(name: str) -> list[str]:
    """A name as models are called, without the publisher before it."""
    return grammar.tokens(grammar.canonical(name.strip().replace(" ", "-").rpartition("/")[2]))
