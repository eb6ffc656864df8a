"""The slots of a model, and what each still holds: so that a prompt's beginning is computed once.

Theory of operation. A slot that is given back keeps its tokens. The next prompt is laid beside
what every slot holds, busy ones included. A free slot that holds mostly its beginning (the same
conversation, one turn later) is taken as it is, less what differs; otherwise the slot that was
given back longest ago is emptied, and gets the beginning from the slot that has it (a system prompt
that many share). The last token of a prompt is always computed: from it comes the answer's first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Memory(Protocol):
    """A model's memory of its sequences, one in each slot. Both answer whether they could; where
    not, nothing of the sequence in ``slot`` is left.
    """

    def keep(self, slot: int, count: int) -> bool:
        """Drop all but the first ``count`` tokens."""
        ...

    def share(self, source: int, slot: int, count: int) -> bool:
        """Let an empty slot begin with the first ``count`` tokens of another."""
        ...


class Slots:
    """``count`` slots, all free and empty at first."""

    def __init__(self, memory: Memory, count: int) -> None:
        self._memory = memory
        self._held: list[list[int]] = [[] for _ in range(count)]
        # Whoever was given back longest ago comes first.
        self._free = list(range(count))

    @property
    def free(self) -> int:
        return len(self._free)

    def take(self, prompt: Sequence[int]) -> tuple[int, int]:
        """A free slot for a prompt, and how many of its tokens are there already. There must be
        one.
        """
        wanted = list(prompt[:-1])
        shared = [common(held, wanted) for held in self._held]
        own = max(self._free, key=lambda slot: shared[slot])
        source = max(range(len(shared)), key=lambda slot: shared[slot])
        length = shared[source]
        if shared[own] == length and 2 * length >= len(self._held[own]):
            slot, kept = own, self._cut(own, length)
        else:
            # Not the source itself, unless it is the only one.
            slot = next((one for one in self._free if one != source), self._free[0])
            if slot == source:
                kept = self._cut(slot, length)
            else:
                self._cut(slot, 0)
                kept = length if length and self._memory.share(source, slot, length) else 0
                self._held[slot] = wanted[:kept]
        self._free.remove(slot)
        return slot, kept

    def extend(self, slot: int, tokens: Sequence[int]) -> None:
        """These tokens were computed in a slot."""
        self._held[slot] += tokens

    def give_back(self, slot: int) -> None:
        """Its answer is at its end; what it holds stays until somebody needs the slot."""
        self._free.append(slot)

    def empty_one(self) -> bool:
        """Make room: the free slot that holds something and was given back longest ago forgets it.
        Whether there was one.
        """
        slot = next((one for one in self._free if self._held[one]), None)
        if slot is None:
            return False
        self._cut(slot, 0)
        return True

    def _cut(self, slot: int, count: int) -> int:
        """What is left after dropping all but the first ``count`` tokens: so many, or none."""
        held = self._held[slot]
        if len(held) > count and not self._memory.keep(slot, count):
            count = 0
        del held[count:]
        return count


def common(held: Sequence[int], wanted: Sequence[int]) -> int:
    """The length of the beginning that both share. Halving: comparing slices is done in C."""
    low, high = 0, min(len(held), len(wanted))
    while low < high:
        middle = (low + high + 1) // 2
        if held[low:middle] == wanted[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
