"""The page on telemetry says what the code does."""

from __future__ import annotations

from tests.telemetry.page import PAGE, page


def test_the_table_is_that_of_the_code() -> None:
    """``python -m tests.telemetry.page`` writes it anew."""
    assert PAGE.read_text() == page()
