"""What the rounds of a cell say: medians, and ratios of which each compares a round with itself."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from benchmarks.relay.contenders import OURS

Found = Mapping[str, Any]


def cell(found: Found, name: str) -> Found | None:
    """Of that name, where it was run."""
    return next((one for one in found["cells"] if one["name"] == name), None)


def median(of: Found, who: str, figure: str) -> float:
    return _median(one[figure] for one in of["rounds"][who])


def spread(of: Found, who: str, figure: str) -> tuple[float, float]:
    """The least and the most."""
    figures = [one[figure] for one in of["rounds"][who]]
    return min(figures), max(figures)


def ratio(of: Found, other: str, figure: str = "rate", who: str = OURS) -> float | None:
    """``who`` over ``other``: the median of what the rounds say. ``None`` where it was not run."""
    if other not in of["rounds"] or who not in of["rounds"]:
        return None
    return _median(one[figure] / two[figure] for one, two in _pairs(of, who, other))


def added(of: Found, share: str, who: str, over: str) -> float:
    """Milliseconds that ``who`` takes longer."""
    return _median(one[share] - two[share] for one, two in _pairs(of, who, over))


def agreement(check: list[dict[str, Any]], figure: str) -> float:
    """Our own load generator over wrk."""
    return _median(one["own"][figure] / one["wrk"][figure] for one in check)


def _pairs(of: Found, who: str, other: str) -> Iterator[tuple[Found, Found]]:
    return zip(of["rounds"][who], of["rounds"][other], strict=True)


def _median(figures: Iterable[float]) -> float:
    return statistics.median(figures)
