"""Ids of requests: our own, and those that apps give theirs, which are told back and written down
but never taken for ours.
"""

from __future__ import annotations

import os

from gateway.http.exchange import Manners
from gateway.http.head import Header, Names


def new_id() -> str:
    """One that cannot be foreseen from others: it stands in the audit log, and shares go by it."""
    return os.urandom(16).hex()


def told(manners: Manners, id: str, given: Names) -> list[Header]:
    """The headers of an answer that tell its ids."""
    ours = manners.ids(id)
    return [*{**dict(ours), **given}.items()] if given else ours
