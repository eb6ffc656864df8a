"""Ids that are drawn together are as good as those that are drawn one by one."""

from __future__ import annotations

import re

from gateway.http.ids import AT_ONCE, Ids, new_id


def test_no_id_comes_twice() -> None:
    one, other = Ids(), Ids()
    drawn = [ids.new() for ids in (one, other) for _ in range(3 * AT_ONCE)]
    assert len({*drawn, new_id()}) == 6 * AT_ONCE + 1
    assert all(re.fullmatch("[0-9a-f]{32}", id) for id in drawn)
