"""Recall and precision of the scan on labelled snippets, half of which are traps."""

from __future__ import annotations

import pytest

from tests.scan.corpus import Outcome, figures, outcome, snippets

ALL = snippets()
LEAST = 0.95


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    return [outcome(snippet) for snippet in ALL]


def test_the_corpus_is_large_and_half_of_it_are_traps() -> None:
    names = [one.name for one in ALL]
    traps = [one for one in ALL if one.trap]

    assert len(names) == len(set(names)) >= 200
    assert 0.45 <= len(traps) / len(ALL) <= 0.55
    assert 0.28 <= sum(one.held_out for one in ALL) / len(ALL) <= 0.42


@pytest.mark.parametrize("held_out", [False, True])
def test_recall_and_precision(
    held_out: bool, outcomes: list[Outcome], capsys: pytest.CaptureFixture[str]
) -> None:
    part = [one for one in outcomes if one.snippet.held_out is held_out]
    found = figures(part)

    with capsys.disabled():
        name = "held out" if held_out else "tuned"
        print(  # noqa: T201 - the figures are what this test is read for
            f"\n{len(part)} snippets ({name}): recall {found.recall:.3f}, precision "
            f"{found.precision:.3f}; {found.right} right, {found.missed} missed, "
            f"{found.wrong} wrong"
        )
        for one in part if not held_out else ():
            if one.missed or one.wrong:
                print(  # noqa: T201
                    f"{one.snippet.name}: missed {sorted(one.missed)}, wrong {sorted(one.wrong)}"
                )

    assert found.recall >= LEAST
    assert found.precision >= LEAST
