"""Work as a model has it: requests with their tokens, and what of it falls on which minute."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.audit.record import Record


@dataclass(slots=True)
class Sum:
    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def add(self, record: Record) -> None:
        self.requests += 1
        self.prompt_tokens += record.prompt_tokens or 0
        self.completion_tokens += record.completion_tokens or 0

    def take(self, other: Sum) -> None:
        """All of another sum, too."""
        self.requests += other.requests
        self.prompt_tokens += other.prompt_tokens
        self.completion_tokens += other.completion_tokens


@dataclass(slots=True)
class Load:
    """What one local model would get, by minute (since 1970)."""

    minutes: defaultdict[int, Sum] = field(default_factory=lambda: defaultdict(Sum))

    def busiest(self, seconds: Callable[[Sum], float]) -> Sum:
        """The minute whose work takes longest."""
        return max(self.minutes.values(), key=seconds, default=Sum())
