"""What came of walking along a log: how far it is good, and what that is worth."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from gateway.audit.chain import NOTHING


class Check(StrEnum):
    """What is looked at, in this order."""

    END = "end"
    """Every line but the last of all is ended by a newline."""
    LENGTH = "length"
    JSON = "json"
    """It is a JSON object with ``kind``, ``seq``, ``prev`` and ``at``."""
    CANONICAL = "canonical"
    """It is written in the one way of RFC 8785, so that a hash is that of what it says."""
    SEQ = "seq"
    SEGMENT = "segment"
    """As ``seq``, where it is a whole file that is not there."""
    PREV = "prev"
    KEY = "key"
    """The public key of a checkpoint is one that is trusted."""
    SIGNATURE = "signature"
    EXTERNAL = "external"
    """It is what the copy of a checkpoint, kept elsewhere, says."""
    BEGINNING = "beginning"
    """A log that does not begin with line 1 has an event that says why."""
    SHORTENED = "shortened"
    """No gateway found lines gone that it knew to have been written."""


@dataclass(frozen=True, slots=True)
class Fault:
    """The first line that is not as it must be. ``seq`` is what should stand there, ``line`` 0
    where the line is not there at all.
    """

    file: str
    line: int
    seq: int
    check: Check
    expected: str
    found: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A checkpoint whose signature is good: all lines up to this one are as its key saw them."""

    seq: int
    at: str
    key: str


@dataclass(frozen=True, slots=True)
class Torn:
    """The last line, where it has no end: its process was killed, or is just writing it."""

    file: str
    line: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Noted:
    """An event of the log itself: what was cut off, not ended as it should be, or removed."""

    seq: int
    at: str
    event: str
    subject: str
    detail: dict[str, object]


@dataclass(slots=True)
class External:
    """Copies of checkpoints, kept elsewhere: how many agree with the log, of how many the log does
    not go back to any more, and the last that agrees.
    """

    agreed: int = 0
    earlier: int = 0
    last: Mark | None = None


@dataclass(slots=True)
class Verified:
    """``seq`` and ``hash`` are those of the last line that is good, ``first`` and ``prev`` those
    of the first of the log (0 where there is none). ``noted`` holds the last of ``notes`` events.
    """

    segments: int = 0
    lines: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    first: int = 0
    prev: str = NOTHING
    begins: str = ""
    seq: int = 0
    hash: str = NOTHING
    ends: str = ""
    mark: Mark | None = None
    torn: Torn | None = None
    notes: int = 0
    noted: list[Noted] = field(default_factory=list)
    external: External | None = None
    fault: Fault | None = None

    @property
    def good(self) -> bool:
        return self.fault is None

    @property
    def unvouched(self) -> int:
        """How many lines stand behind the last checkpoint: nobody signed for them yet."""
        return self.seq - (self.mark.seq if self.mark is not None else self.first - 1)
