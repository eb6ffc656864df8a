"""Ids of requests: our own, and those that apps give theirs, which are told back and written down
but never taken for ours.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from starlette.types import Scope

from gateway.http.exchange import Header, Manners, header

CLIENT = b"x-client-request-id"
REQUEST = b"x-request-id"
"""Ours in answers of the OpenAI dialect, whose SDKs read it; an app's own stands in its place."""

Names = Mapping[bytes, bytes]
"""What an app calls its request: the headers in which it says so."""

NAMELESS: Names = {}
_NAMING = frozenset((CLIENT, REQUEST))
_TRACEPARENT = re.compile(rb"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}\Z")
_WELL_FORMED = re.compile(rb"[A-Za-z0-9._-]{1,128}\Z")


def new_id() -> str:
    """One that cannot be foreseen from others: it stands in the audit log, and shares go by it."""
    return os.urandom(16).hex()


def names(scope: Scope) -> Names:
    """What of that is well formed; the rest is ignored."""
    found = [(name, value) for name, value in scope["headers"] if name in _NAMING]
    return {name: value for name, value in found if _WELL_FORMED.match(value)}


def client_id(given: Names) -> str | None:
    """The one that is written down."""
    value = given.get(CLIENT) or given.get(REQUEST)
    return None if value is None else value.decode("ascii")


def traceparent(scope: Scope) -> str | None:
    """What a request is part of, as its app traces it (W3C Trace Context, version 00)."""
    value = header(scope, b"traceparent")
    if value is None or not _TRACEPARENT.match(value):
        return None
    return value.decode("ascii")


def told(manners: Manners, id: str, given: Names) -> list[Header]:
    """The headers of an answer that tell its ids."""
    ours = manners.ids(id)
    return [*{**dict(ours), **given}.items()] if given else ours
