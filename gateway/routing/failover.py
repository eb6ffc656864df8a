"""The failover table: ``(progress, failure) → reaction``.

Theory of operation. An attempt on a target ends well or with one ``Failed`` event. What follows
depends on two things only: what the app has been sent so far (``Progress``) and how the attempt
failed (``FailureKind``). A ``Reaction`` says three things in turn: what happens to the request
(``Move``), what the gateway remembers of the target (``Mark``), and whether the same target may be
asked once more when no other is left. All of it stands in ``_BEFORE`` below. Once content has been
sent, whatever happens leads to the next target, which goes on with the same answer; or to the end,
where the answer cannot be gone on with. The mark stays the same. The rows are those of the
specification's page on failures.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from gateway.domain.events import FailureKind


class Progress(Enum):
    """What the app has seen of the answer."""

    NOTHING_SENT = "nothing_sent"
    CONTENT_SENT = "content_sent"
    """Text that another target can go on from."""
    BOUND = "bound"
    """Something that no other can: a call, one of several answers, or the model's configuration
    forbids it.
    """


class Move(Enum):
    """What happens to the request."""

    NEXT = "next"
    """Another target is tried; with none left, an answer that has begun ends in an error event."""
    NEXT_OR_FAULT = "next_or_fault"
    """Another target is tried; with none left, the failure is the caller's and goes back."""
    HAND_BACK = "hand_back"
    """The vendor's verdict on the request goes back to the caller; no other target is tried."""
    END = "end"
    """A well-formed error event ends the stream."""


class Mark(Enum):
    """What is remembered of the target."""

    NOTHING = "nothing"
    COUNT = "count"
    """Counts against the breaker."""
    REST = "rest"
    """Rests for ``Retry-After``; no breaker count."""
    MISCONFIGURED = "misconfigured"
    """Left out until the configuration changes."""
    BLOCKED = "blocked"
    """The vendor refuses this account or region: rests ten minutes."""


@dataclass(frozen=True, slots=True)
class Reaction:
    move: Move
    mark: Mark
    again: bool = False


_COUNTED = Reaction(Move.NEXT, Mark.COUNT, again=True)
_UNCOUNTED = Reaction(Move.NEXT, Mark.NOTHING)

_BEFORE: dict[FailureKind, Reaction] = {
    FailureKind.REFUSED: _COUNTED,
    FailureKind.TLS: Reaction(Move.NEXT, Mark.COUNT),
    FailureKind.CONNECT_TIMEOUT: _COUNTED,
    FailureKind.SERVER_ERROR: _COUNTED,
    FailureKind.MALFORMED: _COUNTED,
    FailureKind.TRUNCATED: _COUNTED,
    FailureKind.STREAM_ERROR: _COUNTED,
    FailureKind.FIRST_TOKEN_TIMEOUT: _COUNTED,
    FailureKind.IDLE_TIMEOUT: _COUNTED,
    # One process may have answered many at once, and whoever watches it knows when it is back.
    FailureKind.WORKER_LOST: Reaction(Move.NEXT, Mark.NOTHING, again=True),
    FailureKind.RATE_LIMITED: Reaction(Move.NEXT, Mark.REST),
    FailureKind.UNAUTHORIZED: Reaction(Move.NEXT, Mark.MISCONFIGURED),
    FailureKind.VENDOR_BLOCKED: Reaction(Move.NEXT, Mark.BLOCKED),
    FailureKind.REQUEST_FAULT: Reaction(Move.HAND_BACK, Mark.NOTHING),
    FailureKind.CONTEXT_OVERFLOW: Reaction(Move.NEXT_OR_FAULT, Mark.NOTHING),
    FailureKind.INCAPABLE: Reaction(Move.NEXT_OR_FAULT, Mark.NOTHING),
    FailureKind.STALE_CONNECTION: Reaction(Move.NEXT, Mark.NOTHING, again=True),
    FailureKind.EGRESS_REFUSED: _UNCOUNTED,
    FailureKind.ANSWERED_BY_DENIED: Reaction(Move.NEXT, Mark.COUNT),
    FailureKind.POLICY_CUT: _UNCOUNTED,
    FailureKind.BUSY: _UNCOUNTED,
}

TABLE: dict[tuple[Progress, FailureKind], Reaction] = {
    **{(Progress.NOTHING_SENT, kind): reaction for kind, reaction in _BEFORE.items()},
    **{
        (Progress.CONTENT_SENT, kind): replace(reaction, move=Move.NEXT)
        for kind, reaction in _BEFORE.items()
    },
    **{
        (Progress.BOUND, kind): replace(reaction, move=Move.END, again=False)
        for kind, reaction in _BEFORE.items()
    },
}
