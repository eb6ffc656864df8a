"""Buckets and accounts against models that are too simple to be wrong."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.access.account import Account, Ask, Refusal, Reserved, Used, Why
from gateway.access.bucket import DEBT, LONG_AGO, PARTS, changed, filled, left, wait
from gateway.access.keys import Limits

MINUTE = 60_000_000
SECOND = 1_000_000
RATES = Limits(requests_per_minute=3, tokens_per_minute=1000)
steps = st.lists(
    st.tuples(st.integers(0, 3 * MINUTE), st.integers(-500, 1500)), min_size=1, max_size=40
)


@given(limit=st.integers(1, 10**10), steps=steps, start=st.integers(0, 10**15))
def test_a_bucket_is_what_flows_in_less_what_is_taken(
    limit: int, steps: list[tuple[int, int]], start: int
) -> None:
    """Reckoned with fractions, and nothing is ever rounded."""
    level, since = 0, LONG_AGO
    naive, at = Fraction(limit), start
    for pause, taken in steps:
        at += pause
        naive = min(Fraction(limit), naive + Fraction(pause * limit, MINUTE)) if pause else naive
        level, since = filled(level, since, limit, at), at
        assert Fraction(level, PARTS) == naive
        assert left(level) == max(0, naive.__floor__())
        level = changed(level, limit, -taken)
        naive = max(Fraction(-DEBT * limit), min(Fraction(limit), naive - taken))
        assert Fraction(level, PARTS) == naive


@given(limit=st.integers(1, 10**10), taken=st.integers(0, 10**11), wanted=st.data())
def test_whoever_waits_as_told_gets_it_and_no_sooner(
    limit: int, taken: int, wanted: st.DataObject
) -> None:
    level = changed(limit * PARTS, limit, -taken)
    wish = wanted.draw(st.integers(1, limit))
    time = wait(level, limit, wish)
    assert left(filled(level, 0, limit, time)) >= wish
    if time:
        assert left(filled(level, 0, limit, time - 1)) < wish


@given(back=st.integers(0, 10**15))
def test_a_clock_that_goes_back_closes_nothing_for_longer_than_it_was(back: int) -> None:
    """A machine that starts anew begins to count at 0: an empty bucket is full after a minute."""
    empty = changed(filled(0, LONG_AGO, 60, 10**15), 60, -60)
    again = filled(empty, 10**15, 60, 10**15 - back)
    assert left(again) == 0
    assert left(filled(again, 10**15 - back, 60, 10**15 - back + MINUTE)) == 60


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["admit", "settle", "pause"]), st.integers(1, 1200), st.integers(0, 900)
        ),
        max_size=60,
    )
)
def test_an_account_never_gives_more_than_it_has(moves: list[tuple[str, int, int]]) -> None:
    """Over any stretch of time no more is admitted than one bucket and what flowed in, no more runs
    at once than may, and no budget is passed but by what was used beyond what was reserved.
    """
    limits = Limits(requests_per_minute=3, tokens_per_minute=1000, concurrent=2, budget=2000)
    account, now = Account.at(limits, 0), 0
    running: list[Reserved] = []
    admitted = spent = beyond = 0
    for move, tokens, cost in moves:
        if move == "pause":
            account = _later(account, limits, tokens * SECOND // 10)
            now += tokens * SECOND // 10
        elif move == "settle" and running:
            reserved = running.pop()
            used = min(tokens, reserved.tokens)
            account = account.settle(limits, reserved, Used(1, used, cost))
            spent += cost
            beyond += max(0, cost - reserved.cost)
        elif move == "admit":
            found = account.admit(limits, Ask(tokens // 2, tokens - tokens // 2, cost))
            if isinstance(found, Refusal):
                continue
            account, reserved = found
            running.append(reserved)
            admitted += 1
        assert admitted <= 3 + 3 * Fraction(now, MINUTE)
        assert account.running == len(running) <= 2
        assert account.spent == spent
        assert spent + account.reserved <= 2000 + beyond


def test_what_is_not_used_comes_back_and_what_is_used_beyond_is_owed() -> None:
    account, reserved = _admitted(Account.at(RATES, 0), Ask(100, 800))
    assert _tokens(account) == 100
    assert _tokens(account.settle(RATES, reserved, Used(1, 150))) == 850
    assert _tokens(account.settle(RATES, reserved, Used())) == 1000
    owing = account.settle(RATES, reserved, Used(1, 2000))
    assert _tokens(owing) == 0
    refused = owing.admit(RATES, Ask(1, 0))
    assert isinstance(refused, Refusal)
    # 1 that is wanted and 1000 that are owed, at 1000 a minute.
    assert (refused.why, refused.wait) == (Why.TOKENS, MINUTE * 1001 // 1000)


def test_a_count_that_cannot_be_closes_for_ten_minutes_at_most() -> None:
    account, reserved = _admitted(Account.at(RATES, 0), Ask(1, 1))
    account = account.settle(RATES, reserved, Used(1, 10**30))
    assert _tokens(_later(account, RATES, DEBT * MINUTE)) == 0
    assert _tokens(_later(account, RATES, (DEBT + 1) * MINUTE)) == 1000


def test_what_is_larger_than_the_bucket_is_told_so() -> None:
    refused = Account.at(RATES, 0).admit(RATES, Ask(500, 501))
    assert refused == Refusal(Why.TOO_LARGE, 0, 1000, 1001)


def test_a_guess_of_an_answers_length_is_no_reason_to_be_too_large() -> None:
    account, reserved = _admitted(Account.at(RATES, 0), Ask(500, 4000, open=True))
    assert (reserved.tokens, _tokens(account)) == (1000, 0)
    assert isinstance(Account.at(RATES, 0).admit(RATES, Ask(1001, 10, open=True)), Refusal)


def test_a_budget_counts_what_is_reserved() -> None:
    limits = Limits(budget=100)
    account, first = _admitted(Account(), Ask(1, 1, cost=60), limits)
    assert account.admit(limits, Ask(1, 1, cost=41)) == Refusal(Why.BUDGET, 0, 100, 41)
    account, _ = _admitted(account, Ask(1, 1, cost=40), limits)
    settled = account.settle(limits, first, Used(1, 2, 10))
    assert isinstance(settled.admit(limits, Ask(1, 1, cost=50)), tuple)
    assert isinstance(settled.admit(limits, Ask(1, 1, cost=51)), Refusal)


def test_what_costs_nothing_passes_no_budget() -> None:
    spent = Account(spent=101)
    assert isinstance(spent.admit(Limits(budget=100), Ask(1, 1, cost=1)), Refusal)
    assert isinstance(spent.admit(Limits(budget=100), Ask(1, 1)), tuple)


def test_no_more_at_once_than_may() -> None:
    limits = Limits(concurrent=1)
    account, reserved = _admitted(Account(), Ask(1, 1), limits)
    assert account.admit(limits, Ask(1, 1)) == Refusal(Why.CONCURRENT, SECOND, 1)
    assert isinstance(account.settle(limits, reserved, Used()).admit(limits, Ask(1, 1)), tuple)


@pytest.mark.parametrize(
    ("tokens", "why", "wait"), [(10, Why.TOKENS, 10 * SECOND), (0, Why.REQUESTS, SECOND)]
)
def test_the_longer_wait_is_told(tokens: int, why: Why, wait: int) -> None:
    """Where neither has room; who waits for the shorter one would only be told the other."""
    limits = Limits(requests_per_minute=60, tokens_per_minute=60)
    account = Account.at(limits, 0)
    for _ in range(60):
        account, _ = _admitted(account, Ask(1, 0), limits)
    refused = account.admit(limits, Ask(tokens, 0))
    assert isinstance(refused, Refusal)
    assert (refused.why, refused.wait) == (why, wait)


def _later(account: Account, limits: Limits, pause: int) -> Account:
    buckets = account.requests, 0, account.tokens, 0
    return Account.at(limits, pause, buckets, account.running, account.reserved, account.spent)


def _admitted(account: Account, ask: Ask, limits: Limits = RATES) -> tuple[Account, Reserved]:
    found = account.admit(limits, ask)
    assert isinstance(found, tuple)
    return found


def _tokens(account: Account) -> int:
    return left(account.tokens)
