"""A drill: for a while, some requests are planned as if a vendor were denied. Pure.

It is a matter of plans alone (decision 21): policy stays what it is, and is asked at every dial. A
drill only takes targets away, so it can open nothing; and whether it still holds is said by the
clock alone, so it ends by itself, whoever asked for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Annotated

from msgspec import Meta

from gateway.domain.decision import Labels
from gateway.domain.identity import Identity, Locality, Role

ORIGIN = "drill"
"""What a record says in ``origin`` of a request that a drill made by itself."""
PATIENCE = 10.0
"""Seconds for which it waits for the last of them: whatever takes longer was not answered."""
USUAL = (Role.CHANNEL, Role.DEVELOPER)
"""The roles of a rule that names none."""
Moment = Annotated[datetime, Meta(tz=True)]
"""With its offset: what stands in a file without one is none."""


@dataclass(frozen=True, slots=True)
class Drill:
    """``share`` of the requests (above 0, up to 1) of ``apps`` (none: of all) are planned without
    the targets in which ``vendor`` has one of ``roles``, from ``started`` until ``until``.

    With a ``rate`` it is requests of the gateway's own instead, so many a second, and none of any
    app. What nothing else could answer is answered by the vendor after all, unless it is
    ``strict``. ``actor`` and ``reason`` are for the record.
    """

    id: str
    vendor: str
    started: Moment
    until: Moment
    actor: str
    reason: str
    roles: tuple[Role, ...] = USUAL
    share: Annotated[float, Meta(gt=0, le=1)] = 1.0
    apps: tuple[str, ...] = ()
    rate: Annotated[float, Meta(gt=0)] | None = None
    strict: bool = False

    @property
    def synthetic(self) -> bool:
        """Whether no app's request is touched."""
        return self.rate is not None

    @property
    def rescues(self) -> bool:
        """Whether the vendor answers what nothing else can. What the gateway asks by itself is not
        worth a vendor's answer.
        """
        return not self.strict and not self.synthetic

    def holds(self, now: datetime) -> bool:
        """Whether it goes on, by the clock."""
        return self.started <= now < self.until

    def covers(self, request: str, labels: Labels, origin: str | None, now: datetime) -> bool:
        """Whether a request with that id is part of it. The same request always is, or never."""
        if not self.holds(now):
            return False
        if self.synthetic or origin is not None:
            return self.synthetic and origin == ORIGIN
        if self.apps and not any(named(one) in self.apps for one in (labels, labels.claimed)):
            return False
        return self.share >= 1 or _drawn(f"{self.id}\0{request}") < self.share

    def takes(self, identity: Identity) -> bool:
        """Whether a target with that identity is taken away. Of its own requests a drill sends none
        to anybody else, whoever that is.
        """
        if self.synthetic and identity.locality is Locality.CLOUD:
            return True
        return self.means(identity)

    def means(self, identity: Identity) -> bool:
        """Whether the vendor is behind a target, in one of the roles."""
        return any(
            party.vendor == self.vendor and party.role in self.roles for party in identity.parties
        )


def named(labels: Labels | None) -> str | None:
    """The app of labels."""
    return None if labels is None else labels.app


def asking_app(labels: Labels) -> str | None:
    """The app that asks, by its own word where it may say so."""
    return (labels.claimed or labels).app


def _drawn(text: str) -> float:
    """A number in [0, 1), evenly spread over texts."""
    digest = blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
