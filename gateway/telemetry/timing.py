"""What a finished record says of when its answer began and how fast it came. Pure."""

from __future__ import annotations

from gateway.audit.record import Record

SECONDS = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0),
)
"""The bounds of histograms of times."""
_SHORTEST = 0.001
"""Seconds within which tokens come that were there already."""


def first_content(record: Record) -> float | None:
    """Seconds from a request's arrival to the first content of its answer; ``None`` where there was
    none. The attempt that the app was first sent something of is the first with a seam, or else the
    last; what came behind its beginning is known.
    """
    behind = 0
    found = None
    for attempt in reversed(record.attempts):
        behind += attempt.duration_us
        if found is None or attempt.seam is not None:
            found = (attempt.first_content_us, behind)
    if found is None or found[0] is None:
        return None
    return max(0, record.duration_us - found[1] + found[0]) / 1e6


def rate(record: Record, first: float) -> float | None:
    """Tokens a second behind the first content, which came after ``first`` seconds; ``None`` where
    there is too little to tell.
    """
    seconds = record.duration_us / 1e6 - first
    tokens = record.completion_tokens or 0
    return (tokens - 1) / seconds if tokens > 1 and seconds > _SHORTEST else None
