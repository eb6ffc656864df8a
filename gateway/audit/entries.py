"""What is to become a line of the log: its kind, and the fields of its record."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from gateway.audit.chain import Kind, canonical
from gateway.audit.happening import Happening
from gateway.audit.record import Record

Entry = tuple[Kind, Mapping[str, object]]
MOST_TEXT = 1000
"""Characters of a text that an app or a vendor chose. The rest is not written down: no reader, and
no verifier, takes a line of any length, and so nobody else may say how long one is.
"""

UNWRITABLE = (
    *(ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError),
)
"""What is raised of a value that cannot be written. What the machine lacks is none of it."""
UNKNOWN = "unknown"
"""In place of a text that could not be written, and that each line must have."""

_NOTHING: tuple[object, ...] = (None, [], (), {}, "")


def entry(told: Record | Happening) -> Entry:
    """Plain data. What is not there is left out: ``null`` and what is empty; and of a text what is
    beyond ``MOST_TEXT``, but for an operator's own words.
    """
    fields: dict[str, Any] = msgspec.to_builtins(told, order="deterministic")
    if isinstance(told, Happening):
        return Kind.EVENT, fields
    return Kind.REQUEST, _of_request(fields)


def in_part(told: Record | Happening) -> tuple[Entry, Happening]:
    """Of what ``entry`` makes nothing that can be written: what of it can be, and be read again;
    and the event that names the other fields, each with the type of its error.
    """
    fields: dict[str, Any] = {}
    unwritten: dict[str, str] = {}
    for field in msgspec.structs.fields(told):
        try:
            value = msgspec.to_builtins(getattr(told, field.name), order="deterministic")
            canonical({field.name: value})
            msgspec.convert(value, field.type)
        except UNWRITABLE as error:
            unwritten[field.name] = type(error).__name__
        else:
            fields[field.name] = value
    fields.setdefault("at", msgspec.to_builtins(datetime.now(UTC)))
    words = ("id", "api") if isinstance(told, Record) else ("event",)
    fields |= {word: UNKNOWN for word in words if word in unwritten}
    incomplete = event("audit.incomplete", str(fields[words[0]]), **unwritten)
    if isinstance(told, Happening):
        return (Kind.EVENT, fields), incomplete
    return (Kind.REQUEST, _of_request(fields | {"unwritten": sorted(unwritten)})), incomplete


def event(name: str, subject: str = "", **detail: str | int) -> Happening:
    """Of what the log tells of itself."""
    return Happening(name, datetime.now(UTC), subject=subject, detail=detail)


def _of_request(fields: dict[str, Any]) -> dict[str, Any]:
    """Targets are the configuration's, and there in full."""
    targets = fields.pop("targets", None)
    kept = given(fields)
    return {**kept, "targets": targets} if targets else kept


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
