"""How busy local models were while a drill ran. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from gateway.telemetry.readings import ModelReading


class Queue(msgspec.Struct, frozen=True):
    """One local model, over ``seen`` readings, one a second: in how many all slots were busy
    (``full``) and in how many somebody ``waited``; the most there was; and what it had counted
    when it was ``first`` and ``last`` read.
    """

    seen: int
    full: int
    waited: int
    slots: int
    most_busy: int
    most_waiting: int
    first: ModelReading
    last: ModelReading

    @classmethod
    def of(cls, reading: ModelReading) -> Queue:
        return cls(0, 0, 0, 0, 0, 0, reading, reading).then(reading)

    def then(self, reading: ModelReading) -> Queue:
        """With one reading more."""
        return Queue(
            seen=self.seen + 1,
            full=self.full + (0 < reading.slots <= reading.busy),
            waited=self.waited + (reading.waiting > 0),
            slots=max(self.slots, reading.slots),
            most_busy=max(self.most_busy, reading.busy),
            most_waiting=max(self.most_waiting, reading.waiting),
            first=self.first,
            last=reading,
        )

    @property
    def prompt(self) -> int:
        """Tokens of prompts that were computed meanwhile."""
        first, last = self.first, self.last
        return max(0, (last.prompt - last.cached) - (first.prompt - first.cached))

    @property
    def completion(self) -> int:
        """Tokens that were generated meanwhile."""
        return max(0, self.last.completion - self.first.completion)

    @property
    def restarts(self) -> int:
        return max(0, self.last.restarts - self.first.restarts)


def sampled(queues: Mapping[str, Queue], now: Iterable[ModelReading]) -> dict[str, Queue]:
    """With what the models are like now, by their names."""
    found = dict(queues)
    for reading in now:
        before = found.get(reading.name)
        found[reading.name] = Queue.of(reading) if before is None else before.then(reading)
    return found
