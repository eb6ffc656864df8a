"""Who is behind a target: vendors in their roles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

UNKNOWN = "unknown"
"""The vendor that nobody could name. Never guessed; denied unless a rule allows it by name."""

SELF = "self"
"""The operator: its own hardware and its sovereign endpoints."""


class Locality(StrEnum):
    """Where a prompt goes: our own process, the operator's own boundary, or somebody else."""

    LOCAL = "local"
    SOVEREIGN = "sovereign"
    CLOUD = "cloud"


class Role(StrEnum):
    """In what capacity a vendor takes part in a target."""

    CHANNEL = "channel"
    DEVELOPER = "developer"
    LINEAGE = "lineage"
    WEIGHTS = "weights"


@dataclass(frozen=True, slots=True)
class Party:
    """One vendor in one role, with the jurisdictions (ISO 3166-1 alpha-2) of it and its parents."""

    role: Role
    vendor: str
    jurisdictions: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Identity:
    """What a target resolves to. ``parties`` is what policy judges, one by one.

    ``channel`` and ``developer`` are vendor ids of the catalog, ``model`` the canonical name, the
    same through every channel; ``source`` says what row of the catalog or line of the
    configuration the answer came from.
    """

    channel: str
    developer: str
    model: str
    lineage: tuple[str, ...]
    locality: Locality
    parties: tuple[Party, ...]
    region: str | None = None
    source: str = ""

    @property
    def jurisdiction(self) -> tuple[str, ...]:
        """All jurisdictions of all parties, sorted."""
        return tuple(sorted({code for party in self.parties for code in party.jurisdictions}))


@dataclass(frozen=True, slots=True)
class Deployment:
    """What the operator says stands behind a name that says nothing itself."""

    developer: str
    model: str
    lineage: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ChannelFacts:
    """What resolving must know of a configured channel (no address, no key).

    ``name`` is the operator's, ``vendor`` a vendor id of the catalog, ``provider`` the grammar of
    the ids where ``kind`` does not say it.
    """

    name: str
    vendor: str
    kind: str
    locality: Locality = Locality.CLOUD
    provider: str | None = None
    region: str | None = None
    deployments: Mapping[str, Deployment] = field(default_factory=dict)
