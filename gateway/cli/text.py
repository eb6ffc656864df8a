"""Words of several commands."""

from __future__ import annotations


def counted(count: int, word: str) -> str:
    """``1 rule``, ``2 rules``."""
    return f"{count} {word}{'' if count == 1 else 's'}"
