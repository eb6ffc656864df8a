"""What is to become a line of the log: its kind, and the fields of its record."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from gateway.audit.chain import Kind
from gateway.audit.happening import Happening
from gateway.audit.record import Record

Entry = tuple[Kind, Mapping[str, object]]
MOST_TEXT = 1000
"""Characters of a text that an app or a vendor chose. The rest is not written down: no reader, and
no verifier, takes a line of any length, and so nobody else may say how long one is.
"""

_NOTHING: tuple[object, ...] = (None, [], (), {}, "")


def entry(told: Record | Happening) -> Entry:
    """Plain data. What is not there is left out: ``null`` and what is empty; and of a text what is
    beyond ``MOST_TEXT``, but for an operator's own words.
    """
    fields: dict[str, Any] = msgspec.to_builtins(told, order="deterministic")
    if isinstance(told, Happening):
        return Kind.EVENT, fields
    targets = fields.pop("targets")
    kept = given(fields)
    return Kind.REQUEST, {**kept, "targets": targets} if targets else kept


def event(name: str, subject: str = "", **detail: str | int) -> Entry:
    """Of what the log tells of itself."""
    return entry(Happening(name, datetime.now(UTC), subject=subject, detail=detail))


def given(fields: Mapping[str, Any]) -> dict[str, Any]:
    """What is there of fields, and of no text more than ``MOST_TEXT``."""
    found: dict[str, Any] = {}
    for name, value in fields.items():
        if isinstance(value, dict):
            value = given(value)
        elif isinstance(value, list):
            value = [given(one) if isinstance(one, dict) else one for one in value]
        elif isinstance(value, str):
            value = value[:MOST_TEXT]
        if value not in _NOTHING:
            found[name] = value
    return found
