"""Pages of a list: whoever goes from one to the next has all of it, in either direction."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.paging import page


@given(size=st.integers(0, 30), limit=st.integers(1, 8))
def test_pages_one_after_the_other_are_the_list(size: int, limit: int) -> None:
    ids = [f"i{number}" for number in range(size)]
    forward: list[str] = []
    backward = ids[-1:]
    more = True
    while more:
        place, more = page(ids, limit, forward[-1] if forward else None, None)
        forward += ids[place]
    more = bool(ids)
    while more:
        place, more = page(ids, limit, None, backward[0])
        backward = ids[place] + backward
    assert (forward, backward) == (ids, ids)


def test_between_two_ids() -> None:
    """What stands between them from the first on, and nothing where they stand the other way."""
    ids = ["a", "b", "c", "d", "e"]
    place, more = page(ids, 2, "a", "e")
    assert (ids[place], more) == (["b", "c"], True)
    place, more = page(ids, 2, "d", "b")
    assert (ids[place], more) == ([], False)


def test_an_id_that_is_not_there() -> None:
    with pytest.raises(ValueError):
        page(["a"], 2, "x", None)
