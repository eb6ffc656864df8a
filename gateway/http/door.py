"""Who asks, by the headers of a request and where it comes from."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime

from starlette.types import Scope

from gateway.access.callers import Access, Caller, header_of
from gateway.access.keys import LABELS
from gateway.http.exchange import header

_SAID = {header_of(label).encode(): label for label in LABELS}


class Door:
    """Every request passes here, on whichever path it came."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def who(self, scope: Scope) -> Caller:
        """Raises ``Unauthenticated``, ``Forbidden`` and ``InvalidRequest``."""
        said = {
            _SAID[name]: value.decode("latin-1")
            for name, value in scope["headers"]
            if name in _SAID
        }
        return self._access.caller(_shown(scope), said, near=near(scope), now=datetime.now(UTC))


def _shown(scope: Scope) -> str | None:
    """The credential that a request shows, in the way of either dialect."""
    shown = header(scope, b"authorization") or header(scope, b"x-api-key")
    if shown is None:
        return None
    kind, _, token = shown.partition(b" ")
    return (token if kind.lower() == b"bearer" else shown).strip().decode("latin-1")


def near(scope: Scope) -> bool:
    """Whether a request comes from this machine."""
    peer = scope["client"][0] if scope.get("client") else ""
    try:
        return ipaddress.ip_address(peer).is_loopback
    except ValueError:
        return False
