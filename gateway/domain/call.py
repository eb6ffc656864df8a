"""One request of an app, typed."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from gateway.domain.decision import Labels
from gateway.domain.events import Event
from gateway.domain.target import Capability, Target


class Dialect(StrEnum):
    OPENAI = "openai"


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. ``role`` is ``system``, ``user``, ``assistant`` or ``tool``."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to choose tokens; ``None`` leaves it to the model's defaults. ``seed`` makes an answer
    repeatable on one build.
    """

    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Chat:
    """What a target that does not speak the caller's dialect is given. ``max_tokens`` of ``None``
    means: up to the end of the context.
    """

    messages: tuple[Message, ...]
    sampling: Sampling = Sampling()
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Call:
    """A request as it goes through the house.

    ``id`` is the request id; ``model`` the name that the app asked for; ``body`` the bytes that it
    sent; ``received`` a monotonic time in seconds and ``deadline`` the monotonic time by which
    all must be done.
    """

    id: str
    dialect: Dialect
    model: str
    stream: bool
    body: bytes
    chat: Chat
    received: float
    deadline: float
    include_usage: bool = False
    needs: frozenset[Capability] = frozenset()
    labels: Labels = field(default_factory=Labels)


class Backend(Protocol):
    """What can perform an attempt. The only thing that the engine knows of a target's inside."""

    def attempt(self, target: Target, call: Call) -> AsyncGenerator[Event, None]:
        """Yield the events of one attempt. Closing the generator cancels the attempt at once."""
        ...

    def ready(self, target: Target) -> bool:
        """Whether an attempt can be expected to be taken now, without any I/O."""
        ...
