"""The order of equal targets: shares, sessions, load."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.routing.groups import By, Group, in_order, ordered
from tests.engine.test_engine import target

A, B, C = target("openai"), target("mistral"), target("cohere")


def firsts(group: Group, keys: range, busy: dict[str, int] | None = None) -> Counter[str]:
    return Counter(
        ordered(group, f"key-{key}", session=False, busy=busy or {})[0].channel for key in keys
    )


def test_requests_are_spread_by_weight() -> None:
    """3 to 1, as near as 4,000 keys can tell."""
    found = firsts(Group((A, B), (3.0, 1.0)), range(4000))
    assert found["openai"] / found["mistral"] == pytest.approx(3, rel=0.15)


def test_a_session_stays_where_it_is() -> None:
    """The same key gives the same order, and a target that leaves moves only its own keys."""
    three, two = Group((A, B, C), (1.0, 1.0, 1.0)), Group((A, B), (1.0, 1.0))
    for number in range(200):
        key = f"user-{number}"
        order = ordered(three, key, session=True, busy={})
        assert order == ordered(three, key, session=True, busy={A.id: 50})
        assert ordered(two, key, session=True, busy={}) == tuple(t for t in order if t != C)


def test_the_least_busy_goes_first() -> None:
    """By its share: twice the weight may have twice as much under way."""
    group = Group((A, B), (2.0, 1.0), By.LEAST_BUSY)
    assert firsts(group, range(50), {A.id: 3, B.id: 1}) == {"mistral": 50}
    assert firsts(group, range(50), {A.id: 3, B.id: 2}) == {"openai": 50}
    idle = firsts(group, range(3000))
    assert idle["openai"] / idle["mistral"] == pytest.approx(2, rel=0.15)


def test_a_session_stays_until_its_target_has_too_much() -> None:
    """A warm cache is worth a little more load, and no more than that."""
    group = Group((A, B), (1.0, 1.0), By.LEAST_BUSY)
    home = ordered(group, "user-1", session=True, busy={})[0]
    other = B if home is A else A
    assert ordered(group, "user-1", session=True, busy={home.id: 11, other.id: 9})[0] is home
    assert ordered(group, "user-1", session=True, busy={home.id: 20, other.id: 9})[0] is other


@given(
    st.text(max_size=8),
    st.booleans(),
    st.sampled_from(By),
    st.dictionaries(st.sampled_from([A.id, B.id, C.id]), st.integers(0, 100)),
)
def test_nobody_is_lost(key: str, session: bool, by: By, busy: dict[str, int]) -> None:
    """Whatever the load, all targets of a group are there, each once."""
    group = Group((A, B, C), (0.1, 5.0, 1.0), by)
    assert set(ordered(group, key, session=session, busy=busy)) == {A, B, C}
    assert len(ordered(group, key, session=session, busy=busy)) == 3


def test_what_stands_in_order_stays_so() -> None:
    """Groups of one each."""
    groups = in_order(A, B)
    assert [ordered(g, "k", session=False, busy={A.id: 9}) for g in groups] == [(A,), (B,)]


def test_a_group_needs_a_weight_for_each() -> None:
    """A mistake of ours, not of an operator's file."""
    with pytest.raises(ValueError, match="weight for each"):
        Group((A, B), (1.0,))
