"""Errors in the OpenAI dialect: the envelope of a body and of a stream's error event."""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.errors import GatewayError


def envelope(error: GatewayError) -> bytes:
    """The JSON body that the official SDKs turn into their exception for ``error.status``."""
    return msgspec.json.encode({"error": members(error)})


def members(error: GatewayError) -> dict[str, Any]:
    """What the envelope holds."""
    return {
        "message": error.message,
        "type": error.type,
        "param": error.param,
        "code": error.code,
    }


def event(error: GatewayError) -> bytes:
    """The event that ends a stream which had already begun."""
    return b"data: " + envelope(error) + b"\n\n"
