"""How often a target may be asked again."""

from __future__ import annotations

from gateway.routing.retries import FIRST_PAUSE, LONGEST_PAUSE, RetryBudget, pause


def test_three_a_second_may_always_be_retried() -> None:
    """However few requests there are; the fourth waits for the next second."""
    budget = RetryBudget()
    assert [budget.take(100.5) for _ in range(5)] == [True, True, True, False, False]
    assert budget.take(101.0)


def test_a_fifth_of_the_requests_may_be_retried() -> None:
    """Over the last ten seconds; what is older does not count."""
    budget = RetryBudget()
    for _ in range(100):
        budget.request(10.0)
    assert sum(budget.take(10.0) for _ in range(100)) == 20
    assert sum(budget.take(15.0) for _ in range(100)) == 3
    assert sum(budget.take(25.0) for _ in range(100)) == 3


def test_pauses_grow_and_are_bounded() -> None:
    """Full jitter: from nothing to all of it."""
    assert pause(0, 0.0) == 0.0
    assert pause(0, 1.0) == FIRST_PAUSE
    assert pause(1, 0.5) == FIRST_PAUSE
    assert pause(9, 1.0) == LONGEST_PAUSE
