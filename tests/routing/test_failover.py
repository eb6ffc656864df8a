"""The failover table and what is remembered of a target: each row of the specification by name."""

from __future__ import annotations

import pytest

from gateway.domain.events import Failed, FailureKind
from gateway.domain.plan import LeftOut
from gateway.routing.failover import TABLE, Mark, Move, Progress
from gateway.routing.health import BLOCKED_SECONDS, Health


def test_every_failure_has_a_reaction_at_every_progress() -> None:
    """A kind of failure that nobody mapped fails here, not in the middle of a request."""
    assert set(TABLE) == {(p, k) for p in Progress for k in FailureKind}


ROWS = [
    (FailureKind.REFUSED, Move.NEXT, Mark.COUNT),
    (FailureKind.TLS, Move.NEXT, Mark.COUNT),
    (FailureKind.CONNECT_TIMEOUT, Move.NEXT, Mark.COUNT),
    (FailureKind.SERVER_ERROR, Move.NEXT, Mark.COUNT),
    (FailureKind.MALFORMED, Move.NEXT, Mark.COUNT),
    (FailureKind.TRUNCATED, Move.NEXT, Mark.COUNT),
    (FailureKind.RATE_LIMITED, Move.NEXT, Mark.REST),
    (FailureKind.UNAUTHORIZED, Move.NEXT, Mark.MISCONFIGURED),
    (FailureKind.VENDOR_BLOCKED, Move.NEXT, Mark.BLOCKED),
    (FailureKind.REQUEST_FAULT, Move.HAND_BACK, Mark.NOTHING),
    (FailureKind.CONTEXT_OVERFLOW, Move.NEXT_OR_FAULT, Mark.NOTHING),
    (FailureKind.INCAPABLE, Move.NEXT_OR_FAULT, Mark.NOTHING),
    (FailureKind.STALE_CONNECTION, Move.NEXT, Mark.NOTHING),
    (FailureKind.BUSY, Move.NEXT, Mark.NOTHING),
]


@pytest.mark.parametrize(("kind", "move", "mark"), ROWS)
def test_a_failure_before_content(kind: FailureKind, move: Move, mark: Mark) -> None:
    """The specification's table, row by row."""
    reaction = TABLE[Progress.NOTHING_SENT, kind]
    assert (reaction.move, reaction.mark) == (move, mark)


@pytest.mark.parametrize("kind", FailureKind)
def test_after_content_another_target_goes_on_and_the_mark_stays(kind: FailureKind) -> None:
    """Whatever happens to a stream, who asked for it wants the rest of it; what the target did
    wrong is remembered whether the app has seen content or not.
    """
    after = TABLE[Progress.CONTENT_SENT, kind]
    assert after.move is Move.NEXT
    assert after.mark is TABLE[Progress.NOTHING_SENT, kind].mark


@pytest.mark.parametrize("kind", FailureKind)
def test_what_nobody_can_go_on_with_ends(kind: FailureKind) -> None:
    """Half a call is no beginning for another model, and is not asked for again."""
    bound = TABLE[Progress.BOUND, kind]
    assert (bound.move, bound.again) == (Move.END, False)
    assert bound.mark is TABLE[Progress.NOTHING_SENT, kind].mark


def test_what_the_same_target_may_be_asked_again_for() -> None:
    """What can pass by itself within a second; not what is a matter of keys, rates or policy."""
    again = {kind for kind in FailureKind if TABLE[Progress.NOTHING_SENT, kind].again}
    assert again == {
        *(FailureKind.REFUSED, FailureKind.CONNECT_TIMEOUT, FailureKind.SERVER_ERROR),
        *(FailureKind.MALFORMED, FailureKind.TRUNCATED, FailureKind.STREAM_ERROR),
        *(FailureKind.FIRST_TOKEN_TIMEOUT, FailureKind.IDLE_TIMEOUT, FailureKind.WORKER_LOST),
        FailureKind.STALE_CONNECTION,
    }


def failing(health: Health, times: int, now: float = 0.0) -> Health:
    failure = Failed(FailureKind.SERVER_ERROR, "x", status=500)
    for _ in range(times):
        health = health.failed(failure, Mark.COUNT, now, 0.0)
    return health


def test_five_failures_in_a_row_open_the_breaker_for_thirty_seconds() -> None:
    """Four do not; the fifth does; it closes after the time, for one probe."""
    assert failing(Health(), 4).obstacle(0.0) is None
    opened = failing(Health(), 5)
    assert opened.obstacle(29.9) is LeftOut.BREAKER_OPEN
    assert opened.obstacle(30.1) is None
    probing = opened.dispatched()
    assert probing.obstacle(30.1) is LeftOut.BREAKER_OPEN
    assert probing.succeeded(31.0).obstacle(31.0) is None
    again = failing(probing, 1, now=31.0)
    assert again.obstacle(31.0 + 59.9) is LeftOut.BREAKER_OPEN
    assert again.obstacle(31.0 + 60.1) is None


def test_a_cancelled_probe_leaves_room_for_another() -> None:
    """An app that goes away says nothing of the target."""
    probing = failing(Health(), 5).dispatched()
    assert probing.released().obstacle(40.0) is None


def test_half_of_twenty_within_a_minute_opens_the_breaker() -> None:
    """Never five in a row, but every second one fails."""
    health = Health()
    for _ in range(9):
        health = failing(health.succeeded(1.0), 1, now=1.0)
    assert health.obstacle(1.0) is None
    health = failing(health.succeeded(1.0), 1, now=1.0)
    assert health.obstacle(1.0) is LeftOut.BREAKER_OPEN


def test_failures_older_than_a_minute_do_not_count() -> None:
    """The window forgets."""
    health = Health()
    for _ in range(9):
        health = failing(health.succeeded(1.0), 1, now=1.0)
    later = failing(health.succeeded(90.0), 1, now=90.0)
    assert later.obstacle(90.0) is None


def test_a_rest_lasts_as_long_as_the_vendor_says_and_is_never_cut_short() -> None:
    """A second 429 with a shorter time keeps the longer rest."""
    limited = Failed(FailureKind.RATE_LIMITED, "x", status=429, retry_after=20.0)
    resting = Health().failed(limited, Mark.REST, 0.0, 0.0)
    shorter = Failed(FailureKind.RATE_LIMITED, "x", status=429, retry_after=1.0)
    resting = resting.failed(shorter, Mark.REST, 0.0, 0.0)
    assert resting.obstacle(19.0) is LeftOut.RESTING
    assert resting.obstacle(20.5) is None


def test_blocked_rests_ten_minutes_and_misconfigured_until_something_changes() -> None:
    """Two marks with two ends."""
    failure = Failed(FailureKind.VENDOR_BLOCKED, "x", status=451)
    blocked = Health().failed(failure, Mark.BLOCKED, 0.0, 0.0)
    assert blocked.obstacle(BLOCKED_SECONDS - 1) is LeftOut.VENDOR_BLOCKED
    assert blocked.obstacle(BLOCKED_SECONDS + 1) is None
    wrong = Health().failed(failure, Mark.MISCONFIGURED, 0.0, 0.0)
    assert wrong.obstacle(1e9) is LeftOut.MISCONFIGURED
    assert wrong.available_in(0.0) is None
