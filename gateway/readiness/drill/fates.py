"""What became of one request of a drill, out of its record, and why nobody else could answer it.
Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from gateway.audit.record import JudgedTarget, Record
from gateway.domain.drill import ORIGIN, PATIENCE
from gateway.domain.events import FailureKind
from gateway.domain.identity import Locality
from gateway.domain.plan import LeftOut
from gateway.domain.target import Capability

NO_TARGET = "no local target"
CONTEXT = "context"
VECTORS = "other vectors"
SLOW = "too slow"
NOT_REACHED = "not reached"
"""There was no time left to ask it."""
_SERVED = "served"
_WORDS: Mapping[str, str] = {
    FailureKind.CONTEXT_OVERFLOW: CONTEXT,
    LeftOut.OTHER_VECTORS: VECTORS,
}
_LASTING = frozenset(
    {
        *(NO_TARGET, CONTEXT, VECTORS, LeftOut.POLICY, LeftOut.NO_CREDENTIALS),
        *(FailureKind.INCAPABLE, FailureKind.REQUEST_FAULT),
        *Capability,
    }
)
OURS = (Locality.LOCAL, Locality.SOVEREIGN)


class Fate(StrEnum):
    """The words are those of ``Parts``."""

    LOCAL = "local"
    SOVEREIGN = "sovereign"
    OTHER = "other"
    RESCUED = "rescued"
    FAILED = "failed"
    NEITHER = "neither"


@dataclass(frozen=True, slots=True)
class Lack:
    """What one target lacked for a request; ``target`` is empty where there is none."""

    what: str
    target: str

    @property
    def lasting(self) -> bool:
        """Whether it would have been the same at any other time."""
        return self.what in _LASTING


def fate(record: Record) -> Fate:
    taken = _taken(record)
    if record.outcome == _SERVED:
        if record.served_by in taken:
            return Fate.RESCUED
        if record.locality == Locality.LOCAL:
            return Fate.LOCAL
        return Fate.SOVEREIGN if record.locality == Locality.SOVEREIGN else Fate.OTHER
    gone = record.outcome == "cancelled"
    if gone and record.origin == ORIGIN and record.duration_us >= PATIENCE * 1_000_000:
        # Nobody goes away from a request of the drill's own but the drill, which has waited.
        return Fate.FAILED
    if gone or any(one.target in taken for one in record.attempts):
        return Fate.NEITHER
    return Fate.FAILED


def lacks(record: Record, can: Mapping[str, Collection[str]]) -> tuple[Lack, ...]:
    """Why no target of our own answered. ``can`` has the capabilities of targets by their ids, as
    far as they are known: a record does not say which of its needs was not met.
    """
    ours = [one for one in record.targets if one.locality in OURS and not _is_taken(one)]
    if not ours:
        return (Lack(NO_TARGET, ""),)
    found = {lack: None for one in ours for lack in _lacks(record, one, can)}
    return tuple(found)


def _lacks(record: Record, one: JudgedTarget, can: Mapping[str, Collection[str]]) -> Iterator[Lack]:
    if one.left_out == LeftOut.CAPABILITY:
        known = can.get(one.target, ())
        lacking = [need for need in record.needs if need not in known] or [*record.needs]
        # A chat is nobody's need, and yet not everything can hold one.
        yield from (Lack(what, one.target) for what in lacking or [Capability.CHAT.value])
    elif one.left_out:
        yield Lack(_WORDS.get(one.left_out, one.left_out), one.target)
    else:
        outcomes = {a.outcome for a in record.attempts if a.target == one.target} - {_SERVED}
        outcomes = {SLOW if kind == "cancelled" else kind for kind in outcomes}
        yield from (Lack(_WORDS.get(kind, kind), one.target) for kind in sorted(outcomes))
        if not outcomes:
            yield Lack(NOT_REACHED, one.target)


def _taken(record: Record) -> set[str]:
    return {one.target for one in record.targets if _is_taken(one)}


def _is_taken(one: JudgedTarget) -> bool:
    return one.left_out == LeftOut.DRILL
