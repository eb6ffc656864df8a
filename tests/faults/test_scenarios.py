"""Each row of the table, plain and streamed, through a real gateway on real sockets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.check import problems
from tests.faults.house import House
from tests.faults.row import Mode, Row
from tests.faults.table import SCENARIOS


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with House(tmp_path_factory.mktemp("faults")) as running:
        yield running


@pytest.mark.parametrize(
    ("row", "mode"), SCENARIOS, ids=[f"{row.slug}-{mode.value}" for row, mode in SCENARIOS]
)
def test_no_request_is_lost(house: House, row: Row, mode: Mode) -> None:
    """What the app gets, what was attempted, what was written down and what the vendors saw."""
    found = [
        f"request {number}: {problem}"
        for number, (step, done) in enumerate(house.play(row, mode))
        for problem in problems(house, row, mode, step, done)
    ]
    assert found == []
