"""The failover table: ``(progress, failure) → reaction``.

Theory of operation. An attempt on a target ends well or with one ``Failed`` event. What follows
depends on two things only: what the app has been sent so far (``Progress``) and how the attempt
failed (``FailureKind``). A ``Reaction`` says two things in turn: what happens to the request
(``Move``), and what the gateway remembers of the target (``Mark``). All of it stands in
``_BEFORE`` below; once content has been sent, the request's move is always ``END`` while the mark
stays the same. The rows are those of the specification's page on failures.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from gateway.domain.events import FailureKind


class Progress(Enum):
    """What the app has seen of the answer."""

    NOTHING_SENT = "nothing_sent"
    CONTENT_SENT = "content_sent"


class Move(Enum):
    """What happens to the request."""

    NEXT = "next"
    """Another target is tried."""
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


_COUNTED = Reaction(Move.NEXT, Mark.COUNT)
_UNCOUNTED = Reaction(Move.NEXT, Mark.NOTHING)

_BEFORE: dict[FailureKind, Reaction] = {
    FailureKind.REFUSED: _COUNTED,
    FailureKind.TLS: _COUNTED,
    FailureKind.CONNECT_TIMEOUT: _COUNTED,
    FailureKind.SERVER_ERROR: _COUNTED,
    FailureKind.MALFORMED: _COUNTED,
    FailureKind.TRUNCATED: _COUNTED,
    FailureKind.STREAM_ERROR: _COUNTED,
    FailureKind.FIRST_TOKEN_TIMEOUT: _COUNTED,
    FailureKind.IDLE_TIMEOUT: _COUNTED,
    FailureKind.WORKER_LOST: _COUNTED,
    FailureKind.RATE_LIMITED: Reaction(Move.NEXT, Mark.REST),
    FailureKind.UNAUTHORIZED: Reaction(Move.NEXT, Mark.MISCONFIGURED),
    FailureKind.VENDOR_BLOCKED: Reaction(Move.NEXT, Mark.BLOCKED),
    FailureKind.REQUEST_FAULT: Reaction(Move.HAND_BACK, Mark.NOTHING),
    FailureKind.CONTEXT_OVERFLOW: Reaction(Move.NEXT_OR_FAULT, Mark.NOTHING),
    FailureKind.INCAPABLE: Reaction(Move.NEXT_OR_FAULT, Mark.NOTHING),
    FailureKind.STALE_CONNECTION: _UNCOUNTED,
    FailureKind.EGRESS_REFUSED: _UNCOUNTED,
    FailureKind.ANSWERED_BY_DENIED: _COUNTED,
    FailureKind.POLICY_CUT: _UNCOUNTED,
    FailureKind.BUSY: _UNCOUNTED,
}

TABLE: dict[tuple[Progress, FailureKind], Reaction] = {
    **{(Progress.NOTHING_SENT, kind): reaction for kind, reaction in _BEFORE.items()},
    **{
        (Progress.CONTENT_SENT, kind): replace(reaction, move=Move.END)
        for kind, reaction in _BEFORE.items()
    },
}
