"""What is kept of an answer, so that a later request can follow it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KeptResponse:
    """One answer of the Responses API. ``input`` are the items that the app sent for it, each a
    JSON object as it came, those of answers before it not among them; ``previous`` is the id of the
    answer that it follows; ``body`` is the response as a JSON object, as the app got it, its output
    included. ``created`` is in seconds since 1970.
    """

    id: str
    previous: str | None
    created: int
    input: tuple[bytes, ...]
    body: bytes
