"""Ids of requests: our own, and those that apps give theirs, which are told back and written down
but never taken for ours.
"""

from __future__ import annotations

import os

from gateway.http.exchange import Manners
from gateway.http.head import Header, Names

AT_ONCE = 64
"""Ids that are drawn together."""


def new_id() -> str:
    """One that cannot be foreseen from others: it stands in the audit log, and shares go by it."""
    return os.urandom(16).hex()


class Ids:
    """Such ids, drawn many at a time: each time is a system call. Not to be shared by a fork."""

    def __init__(self) -> None:
        self._drawn: list[str] = []

    def new(self) -> str:
        if not self._drawn:
            drawn = os.urandom(16 * AT_ONCE).hex()
            self._drawn = [drawn[at : at + 32] for at in range(0, len(drawn), 32)]
        return self._drawn.pop()


def told(manners: Manners, id: str, given: Names) -> list[Header]:
    """The headers of an answer that tell its ids."""
    ours = manners.ids(id)
    return [*{**dict(ours), **given}.items()] if given else ours
