"""What is written down of one request. No prompt, no answer, no key."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class JudgedTarget:
    """A configured target and what was decided: ``left_out`` is empty where it was in the plan."""

    target: str
    verdict: str
    rule: str
    left_out: str


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """One attempt. Times in seconds; ``first_content`` is ``None`` where none came.

    ``outcome`` is ``served``, ``cancelled`` or the kind of the failure.
    """

    target: str
    outcome: str
    seconds: float
    revision: str
    first_content: float | None = None
    status: int | None = None


@dataclass(slots=True)
class Record:
    """One request, filled while it is served and written once in the end.

    ``outcome`` is ``served``, ``cancelled``, ``broken`` (the stream ended in an error event) or the
    code of the error that went back. ``sent_characters`` of the assistant's text had been sent.
    """

    id: str
    at: datetime
    model: str
    stream: bool
    policy: str = ""
    targets: tuple[JudgedTarget, ...] = ()
    attempts: list[AttemptRecord] = field(default_factory=list)
    outcome: str = "cancelled"
    served_by: str | None = None
    locality: str | None = None
    failover: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    sent_characters: int = 0
    seconds: float = 0.0
