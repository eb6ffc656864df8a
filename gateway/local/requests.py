"""The requests of a worker's clients: from the events of their choices to the replies they get."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import TypeAlias

from gateway.local.jobs import Admitted, Declined, Ended, Event, Found, Said
from gateway.local.protocol import Accepted, Done, Reason, Refused, Reply, Text, Vectors

Key: TypeAlias = tuple[int, int]
"""Connection and the client's id of the request. The batcher's keys have the choice behind them."""


@dataclass(slots=True)
class _Open:
    """A request whose choices are not all at their ends; ``each`` of them have a prompt in common,
    and ``counted`` are the numbers of the prompts that have a slot.
    """

    reasons: list[Reason | None]
    each: int
    counted: set[int] = field(default_factory=set)
    prompt: int = 0
    completion: int = 0
    cached: int = 0
    reasoning: int = 0
    stop: str | None = None


class Requests:
    """Those that are not at their end. The sockets' thread opens and closes them, the one that
    computes has their replies: one that was closed meanwhile gets none.
    """

    def __init__(self) -> None:
        self._open: dict[Key, _Open] = {}

    def __bool__(self) -> bool:
        return bool(self._open)

    def open(self, key: Key, choices: int, prompts: int) -> None:
        """``prompts`` have so many choices between them, each as many as any other."""
        self._open[key] = _Open([None] * choices, choices // prompts)

    def close(self, key: Key) -> list[Hashable]:
        """Forget a request; the batcher's keys of it, none where it is at its end already."""
        found = self._open.pop(key, None)
        return [] if found is None else [(*key, choice) for choice in range(len(found.reasons))]

    def of(self, connection: int) -> list[Key]:
        return [key for key in tuple(self._open) if key[0] == connection]

    def reply(self, key: Key, choice: int, event: Event) -> Reply | None:
        """What the client is told of an event, if anything."""
        found = self._open.get(key)
        if found is None:
            return None
        match event:
            case Admitted():
                first = not found.counted
                if choice // found.each not in found.counted:
                    # The choices of a prompt share it: it counts once.
                    found.counted.add(choice // found.each)
                    found.prompt += event.prompt_tokens
                    found.cached += event.cached
                return Accepted(key[1], event.prompt_tokens, event.cached) if first else None
            case Said():
                piece = event.piece
                return Text(key[1], piece.text, piece.kind, choice, event.scores)
            case Found():
                return Vectors(key[1], event.vectors)
            case Ended():
                found.reasons[choice] = event.reason
                found.completion += event.completion_tokens
                found.reasoning += event.reasoning
                found.stop = event.stop if choice == 0 else found.stop
                reasons = tuple(reason for reason in found.reasons if reason is not None)
                if len(reasons) < len(found.reasons):
                    return None
                self._open.pop(key, None)
                return Done(
                    id=key[1],
                    reasons=reasons,
                    prompt_tokens=found.prompt,
                    completion_tokens=found.completion,
                    cached=found.cached,
                    stop=found.stop,
                    reasoning=found.reasoning,
                )
            case Declined():
                return refused(key[1], event)


def refused(id: int, declined: Declined) -> Refused:
    """The reply to a request that is declined."""
    return Refused(id, declined.kind, declined.message, declined.retry_after, declined.param)
