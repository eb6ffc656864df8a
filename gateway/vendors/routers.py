"""Channels that route by themselves: the providers that each of them can send a prompt on to.

Azure's global deployments and Bedrock's cross-region profiles route too, but within one vendor, and
take no word about it in a request: the region that their id or the configuration names is judged.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.domain.identity import UNKNOWN, Identity, Party, Role
from gateway.vendors.catalog import Catalog

_NOISE = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Router:
    """``providers`` is the vendor behind each slug, as the party that it would be;
    ``names`` the slug behind each name that an answer may give, without case and punctuation.
    """

    vendor: str
    providers: Mapping[str, Party]
    names: Mapping[str, str]

    def provider(self, name: str) -> Party:
        """Who is meant by a name in an answer; the vendor ``unknown`` where nobody can tell."""
        slug = self.names.get(_NOISE.sub("", name.lower()))
        return self.providers[slug] if slug is not None else Party(Role.CHANNEL, UNKNOWN)


def routers(data: Mapping[str, Any], catalog: Catalog) -> dict[str, Router]:
    """From the parsed ``routers.toml``, by the router's vendor id. Raises ``ValueError`` that names
    a vendor without a row in the catalog.
    """
    found = {}
    for vendor, section in data.items():
        parties: dict[str, Party] = {}
        names: dict[str, str] = {}
        for row in section["providers"]:
            slug, provider = row["slug"], row["vendor"]
            if catalog.vendor(provider) is None:
                raise ValueError(f"{vendor}: the provider {slug} is of no known vendor: {provider}")
            parties[slug] = Party(Role.CHANNEL, provider, catalog.jurisdictions(provider))
            for name in (slug, *row.get("names", ())):
                names[_NOISE.sub("", name.lower())] = slug
        found[vendor] = Router(vendor, parties, names)
    return found


def served_by(identity: Identity, provider: Party) -> Identity:
    """The identity of a target when a router sends it to this provider: one more channel."""
    return Identity(
        channel=identity.channel,
        developer=identity.developer,
        model=identity.model,
        lineage=identity.lineage,
        locality=identity.locality,
        parties=(*identity.parties, provider),
        region=identity.region,
        source=f"{identity.source}; sent on to {provider.vendor}",
    )
