"""Errors in the Anthropic dialect: the envelope of a body, and of the event that ends a stream.

Source: the published page on errors, https://platform.claude.com/docs/en/api/errors. It has 529 for
what we are short of; its SDKs try again after that, and after 5xx and 429, and after nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.domain.target import Capability
from gateway.errors import GatewayError, Unavailable

OVERLOADED = 529
_TYPES: Mapping[int, str] = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    451: "permission_error",
    504: "timeout_error",
    OVERLOADED: "overloaded_error",
}

_NO_THREAD = {"error_code": "thread_not_found"}
"""By which that vendor's SDKs send the whole conversation again, and their users notice nothing."""


def status(error: GatewayError) -> int:
    """The HTTP status of an error in this dialect."""
    return OVERLOADED if isinstance(error, Unavailable) else error.status


def envelope(error: GatewayError, request_id: str) -> bytes:
    """The JSON body that the official SDKs turn into their exception for ``status(error)``."""
    code = status(error)
    kind = _TYPES.get(code, "invalid_request_error" if code < 500 else "api_error")
    told: dict[str, Any] = {"type": kind, "message": error.message}
    if error.param == Capability.THREADS:
        told["details"] = _NO_THREAD
    return msgspec.json.encode({"type": "error", "error": told, "request_id": request_id})


def event(error: GatewayError, request_id: str) -> bytes:
    """The event that ends a stream which had already begun."""
    return b"event: error\ndata: " + envelope(error, request_id) + b"\n\n"
