"""How operators' paths tell of what went wrong: one envelope, whatever SDK asks."""

from __future__ import annotations

import msgspec

from gateway.errors import GatewayError
from gateway.http.head import Header

PREFIX = "/admin"


class AdminManners:
    """``{"error": {"type", "code", "message", "param", "request_id"}}``."""

    def ids(self, request_id: str) -> list[Header]:
        return [(b"x-gateway-request-id", request_id.encode())]

    def status(self, error: GatewayError) -> int:
        return error.status

    def envelope(self, error: GatewayError, request_id: str) -> bytes:
        told = {
            "type": error.type,
            "code": error.code,
            "message": error.message,
            "param": error.param,
            "request_id": request_id,
        }
        return msgspec.json.encode({"error": told})

    def event(self, error: GatewayError, request_id: str) -> bytes:
        return b"event: error\ndata: " + self.envelope(error, request_id) + b"\n\n"


def of_operators(path: str) -> bool:
    """Whether a (tidied) path is one of the operators' API."""
    return path == PREFIX or path.startswith(f"{PREFIX}/")
