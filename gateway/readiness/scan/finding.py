"""What a scan finds, as its reports tell it. Nothing here holds a value that could be a secret."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum

from gateway.domain.identity import SELF, UNKNOWN, Identity


class Signal(StrEnum):
    """What told the vendor. ``client`` is code that asks it, ``tool`` a file of a program that
    does, ``key`` a value of the form of its keys, ``suppression`` a comment that is itself wrong.
    """

    PACKAGE = "package"
    CLIENT = "client"
    HOST = "host"
    VARIABLE = "variable"
    KEY = "key"
    MODEL = "model"
    IMAGE = "image"
    TOOL = "tool"
    SUPPRESSION = "suppression"


class Reach(StrEnum):
    """How the vendor is reached: asked itself; as one of several behind a channel, or through
    another's; as a package that only another package needs.
    """

    DIRECT = "direct"
    CHANNEL = "channel"
    TRANSITIVE = "transitive"


class Confidence(StrEnum):
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Said(StrEnum):
    """What a policy says of a finding; ``undetermined`` where it denies nobody who is known, and
    somebody is not known: that is never an allow.
    """

    ALLOW = "allow"
    RISKY = "risky"
    UNDETERMINED = "undetermined"
    DENY = "deny"


SEVERITY = {said: severity for severity, said in enumerate(Said)}


@dataclass(frozen=True, slots=True)
class Ruling:
    """``rule`` decides, and is empty where nobody who is known is denied."""

    said: Said
    rule: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """One place. ``line`` and ``column`` count from 1, 0 where the file as a whole says it;
    ``value`` is the name that was seen; ``via`` the way from what is asked for to a transitive
    package; ``count`` how often a log has it; ``undetermined`` what nobody can tell from here.
    """

    path: str
    line: int
    column: int
    signal: Signal
    value: str
    identity: Identity
    reach: Reach
    confidence: Confidence
    registry: str = ""
    via: tuple[str, ...] = ()
    count: int = 1
    undetermined: str = ""
    ruling: Ruling | None = None

    @property
    def vendors(self) -> frozenset[str]:
        """All known vendors, in whatever role."""
        identity = self.identity
        named = {identity.channel, identity.developer, *identity.lineage}
        return frozenset(named - {SELF, UNKNOWN})

    @property
    def fingerprint(self) -> str:
        """The same for the same finding on another line of the same file."""
        identity = self.identity
        words = (self.path, self.signal, self.value, identity.channel, identity.developer)
        return hashlib.sha256("\0".join(words).encode("utf-8", "replace")).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Unread:
    """What could not be read, or only in part; ``reason`` holds nothing of the content."""

    path: str
    reason: str
    partly: bool = False


@dataclass(frozen=True, slots=True)
class Skipped:
    """What was passed over, and why; ``count`` is of files where that is known."""

    path: str
    reason: str
    count: int = 1
