"""Words that somebody else chose (an app, a vendor, a file), where people read them. Pure."""

from __future__ import annotations


def plain(text: str) -> str:
    """Without what a terminal would obey, and on one line."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def cell(text: str) -> str:
    """Plain text in a table of Markdown: nothing in it ends the cell."""
    return plain(text).replace("\\", "\\\\").replace("|", "\\|")


def span(text: str) -> str:
    """Plain text as a span of code of Markdown, of which nothing in it is the end."""
    return f"`{plain(text).replace('`', chr(39))}`"
