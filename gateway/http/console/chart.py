"""Traffic as a picture: bars of what was served where, stacked, one for each span of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from gateway.http.seen import Moment, Traffic

PLACES = ("cloud", "sovereign", "local", "refused", "failed")
"""From the bottom up."""
HEIGHT = 100.0
_GAP = 0.25
"""Of a bar's room, that is left free."""


@dataclass(frozen=True, slots=True)
class Piece:
    place: str
    count: int
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Bar:
    at: datetime
    x: float
    width: float
    pieces: Sequence[Piece]


@dataclass(frozen=True, slots=True)
class Chart:
    """``top`` is what a bar of full height would stand for, ``totals`` the sums by place."""

    bars: Sequence[Bar]
    width: float
    top: int
    totals: dict[str, int]


def chart(traffic: Traffic) -> Chart:
    """In a box that is ``HEIGHT`` high and ten units wide for each span."""
    top = max([1, *(sum(_counts(moment).values()) for moment in traffic.moments)])
    bars = [
        Bar(moment.at, number * 10 + 5 * _GAP, 10 * (1 - _GAP), _pieces(_counts(moment), top))
        for number, moment in enumerate(traffic.moments)
    ]
    counts = [_counts(moment) for moment in traffic.moments]
    totals = {place: sum(count[place] for count in counts) for place in PLACES}
    return Chart(bars, max(10.0, 10.0 * len(bars)), top, totals)


def _counts(moment: Moment) -> dict[str, int]:
    return {place: getattr(moment, place) for place in PLACES}


def _pieces(counts: dict[str, int], top: int) -> list[Piece]:
    pieces, y = [], HEIGHT
    for place, count in counts.items():
        height = HEIGHT * count / top
        y -= height
        if count:
            pieces.append(Piece(place, count, round(y, 2), round(height, 2)))
    return pieces
