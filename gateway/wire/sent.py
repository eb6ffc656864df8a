"""The body of a request as it is sent."""

from __future__ import annotations

from typing import TypeAlias

Sent: TypeAlias = bytes | tuple[bytes | memoryview, ...]
"""Whole, or in pieces that go out one after the other."""


def joined(body: Sent) -> bytes:
    """In one piece."""
    return body if isinstance(body, bytes) else b"".join(body)
