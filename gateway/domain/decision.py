"""What policy says of one target for one request at one instant."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import msgspec

from gateway.domain.identity import Role


class Verdict(StrEnum):
    ALLOW = "allow"
    RISKY = "risky"
    DENY = "deny"


class Handling(StrEnum):
    """What is done with a risky target: tried last, used with a warning, or wound down."""

    AVOID = "avoid"
    WARN = "warn"
    DRAIN = "drain"


class Mode(StrEnum):
    """``shadow`` decides and records, but never acts."""

    ENFORCE = "enforce"
    SHADOW = "shadow"


# What each request asks for stands here by itself: to find a member in its enum takes 0.2 µs.
DENY = Verdict.DENY
_ALLOW = Verdict.ALLOW
_SHADOW = Mode.SHADOW


class Labels(msgspec.Struct, frozen=True, cache_hash=True):
    """Who asks, as far as rules can tell callers apart. ``claimed`` is the same with what a request
    says of itself: policy decides for both, and the stricter decision counts.
    """

    team: str | None = None
    app: str | None = None
    environment: str | None = None
    data_class: str | None = None
    tags: frozenset[str] = frozenset()
    claimed: Labels | None = None


@dataclass(frozen=True, slots=True)
class Drain:
    """The share still sent falls linearly from 1 at ``start`` to 0 at ``end``."""

    start: datetime
    end: datetime


class Decision(msgspec.Struct, frozen=True):
    """The verdict of the worst party, and why.

    ``rule`` is the id of the deciding rule (``default`` for the default), ``vendor`` and ``role``
    the party it fell on; ``matched`` all rule ids that matched, sorted; ``shadowed`` those that
    would have counted but stand in shadow; ``revision`` the policy's.
    """

    target: str
    verdict: Verdict
    rule: str
    reason: str
    vendor: str
    role: Role
    revision: str
    mode: Mode = Mode.ENFORCE
    handling: Handling | None = None
    drain: Drain | None = None
    reference: str | None = None
    waiver: str | None = None
    matched: tuple[str, ...] = ()
    shadowed: tuple[str, ...] = ()

    @property
    def acted(self) -> Verdict:
        """The verdict that is acted on: in shadow mode nothing is ever held back."""
        return _ALLOW if self.mode is _SHADOW else self.verdict
