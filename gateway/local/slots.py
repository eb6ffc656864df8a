"""The slots of a model, and what each still holds: so that a prompt's beginning is computed once.

Theory of operation. A slot that is given back keeps its tokens. The next prompt is laid beside
what every slot holds, busy ones included. What a free slot holds mostly (the same conversation, one
turn later) is gone on with, less what differs; otherwise the slot that was given back longest ago
gets the beginning from the slot that has it (a system prompt that many share). The last token of a
prompt is always computed: from it comes the answer's first.

llama.cpp computes answers together only where their slots are neighbours; else it splits the batch
at each gap, and reads all weights again for each part. So a newcomer gets a slot beside the others,
and where an answer that ends leaves a gap, one from the end moves into it. To move is to copy all
the memory of a slot. It costs about what the weights cost to be read once, and is paid once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

WORTH_COPYING = 16
"""Tokens of a beginning, from which on it is copied from another slot rather than computed."""


class Memory(Protocol):
    """A model's memory of its sequences, one in each slot."""

    def keep(self, slot: int, count: int) -> bool:
        """Drop all but the first ``count`` tokens. Whether it could; where not, nothing is left."""
        ...

    def copy(self, source: int, slot: int) -> None:
        """Let a slot hold what another does, and nothing of its own."""
        ...


class Slots:
    """``count`` slots, all free and empty at first."""

    def __init__(self, memory: Memory, count: int) -> None:
        self._memory = memory
        self._held: list[list[int]] = [[] for _ in range(count)]
        # Whoever was given back longest ago comes first, and before that who holds nothing.
        self._free = list(range(count))
        self._alone: set[int] = set()

    @property
    def free(self) -> int:
        return len(self._free)

    def take(self, prompt: Sequence[int], known: int = -1) -> tuple[int, int]:
        """A free slot for a prompt, and how many of its tokens are there already: of the first
        ``known``, which are all but the last unless it is told. There must be one.
        """
        wanted = list(prompt[:known])
        shared = [common(held, wanted) for held in self._held]
        own = max(self._free, key=lambda slot: shared[slot])
        source = max(range(len(shared)), key=lambda slot: shared[slot])
        length = shared[source]
        if shared[own] == length and 2 * length >= len(self._held[own]):
            slot = self._beside((own, *self._free))
            if slot != own:
                self._move(own, slot)
        else:
            # Not the source itself, unless it is the only one.
            slot = self._beside([one for one in self._free if one != source] or self._free)
            if length >= WORTH_COPYING and slot != source:
                self._copy(source, slot)
            else:
                length = shared[slot]
        kept = self._cut(slot, length)
        self._free.remove(slot)
        return slot, kept

    def take_alone(self) -> int:
        """A free slot, emptied, for an answer that is computed by itself. There must be one."""
        slot = max(self._free)
        self._cut(slot, 0)
        self._free.remove(slot)
        self._alone.add(slot)
        return slot

    def extend(self, slot: int, tokens: Sequence[int]) -> None:
        """These tokens were computed in a slot."""
        self._held[slot] += tokens

    def give_back(self, slot: int) -> None:
        """Its answer is at its end; what it holds stays until somebody needs the slot."""
        if slot in self._alone:
            # Nobody else may go on with that.
            self._alone.remove(slot)
            self._cut(slot, 0)
        self._free.insert(len(self._free) if self._held[slot] else 0, slot)

    def gather(self) -> tuple[int, int] | None:
        """Bring those that are computed together one nearer to each other: from which slot to
        which an answer has moved, ``None`` where there is no gap to be filled.
        """
        busy = self._together()
        gaps = [slot for slot in self._free if busy and busy[0] < slot < busy[-1]]
        if not gaps:
            return None
        lower = sum(slot < min(gaps) for slot in busy)
        upper = sum(slot > max(gaps) for slot in busy)
        source, slot = (busy[-1], min(gaps)) if upper <= lower else (busy[0], max(gaps))
        self._move(source, slot)
        self._free.remove(slot)
        self._free.insert(0, source)
        return source, slot

    def _together(self) -> list[int]:
        """The busy slots that are computed in one batch, in their order."""
        apart = self._alone.union(self._free)
        return [slot for slot in range(len(self._held)) if slot not in apart]

    def _beside(self, choice: Iterable[int]) -> int:
        """The first of these that leaves the fewest gaps between those computed together."""
        busy = self._together()
        return min(choice, key=lambda slot: _runs([*busy, slot]))

    def _move(self, source: int, slot: int) -> None:
        """What ``source`` holds is in the free ``slot`` from now on. What that held goes where the
        least is lost: to a free slot that holds nothing, or in the place of who was given back
        longest ago, which it may be itself.
        """
        refuge = next(one for one in self._free if one != source)
        if refuge != slot and self._held[slot]:
            self._copy(slot, refuge)
            self._free.remove(refuge)
            self._free.insert(self._free.index(slot), refuge)
        self._copy(source, slot)
        self._cut(source, 0)
        if source in self._free:
            self._free.remove(source)
            self._free.insert(0, source)

    def _copy(self, source: int, slot: int) -> None:
        self._memory.copy(source, slot)
        self._held[slot] = list(self._held[source])

    def _cut(self, slot: int, count: int) -> int:
        """What is left after dropping all but the first ``count`` tokens: so many, or none."""
        held = self._held[slot]
        if (len(held) > count or not count) and not self._memory.keep(slot, count):
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


def _runs(slots: Iterable[int]) -> int:
    """How many groups of neighbours these are."""
    known = set(slots)
    return sum(slot - 1 not in known for slot in known)
