"""The tables of docs/surfaces.md are those that the tests go by."""

from __future__ import annotations

from tests.surfaces.page import PAGE, TABLES, page


def test_the_page_is_as_it_is_written_now() -> None:
    """``python -m tests.surfaces.page`` writes it."""
    assert PAGE.read_text() == page(PAGE.read_text())


def test_the_tables_say_something() -> None:
    """A row for each, and all three fates among them."""
    text = "".join(rows() for rows in TABLES.values())
    assert text.count("\n") > 150
    for word in ("honoured", "no effect", "refused: *audio*", "given to litellm", "yes, after"):
        assert word in text
