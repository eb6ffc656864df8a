"""A short form of ``tests.local.fuzz_gguf``."""

from __future__ import annotations

from collections import Counter

from tests.local.fuzz_gguf import run


def test_broken_files_are_refused_and_nothing_else_happens() -> None:
    """Thousands of them, some of which are whole all the same."""
    outcomes = Counter(run(3000, seed=7))
    assert outcomes["refused"] > 1000
    assert outcomes["read"] > 100
