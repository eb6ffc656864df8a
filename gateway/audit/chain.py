"""The chain of the log: each line holds the hash of the one before, so that none can be altered,
taken out or put in without all behind it being altered too. Pure.

A line is one JSON object in canonical form (RFC 8785, without floats), in UTF-8, ended by a newline
that is not part of what is hashed. The chain goes over all segments of a log.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum

import msgspec

NOTHING = "0" * 64
"""What the first line of all names as the hash of the line before."""
GREATEST = 2**53 - 1
"""The greatest whole number that every reader of JSON reads as it was written (RFC 7493)."""

_SORTED = msgspec.json.Encoder(order="sorted")
_AS_GIVEN = msgspec.json.Encoder()
_NUMBER = re.compile(rb"[\[:,](?<![0-9]:)-?(?:[0-9]{16}|[0-9]+[.e])")
"""A number that RFC 8785 may write otherwise. Text may match as well, if it is not the time of a
line: then the long way is gone for nothing."""
_BEYOND = re.compile(rb"[\xf0-\xf4]")
"""A character beyond U+FFFF: names that have one RFC 8785 sorts otherwise than by code points."""


class Kind(StrEnum):
    REQUEST = "request"
    EVENT = "event"
    CHECKPOINT = "checkpoint"


class Link(msgspec.Struct, frozen=True):
    """What of a line makes it part of the chain."""

    kind: Kind
    seq: int
    prev: str
    at: str


class Head(msgspec.Struct, frozen=True, gc=False):
    """Where a chain ends: number and hash (sha256, hex) of its last line."""

    seq: int = 0
    hash: str = NOTHING


_LINKS = msgspec.json.Decoder(Link)


def canonical(fields: Mapping[str, object]) -> bytes:
    """``fields``, plain data, by RFC 8785. What JSON cannot carry is mended: of a whole number that
    is too great the nearest, U+FFFD for half a surrogate pair, ``null`` for what is no number.
    """
    try:
        written = _SORTED.encode(fields)
    except ValueError:
        # Half a surrogate pair, or a whole number of more digits than Python writes.
        return _AS_GIVEN.encode(_mended(fields))
    if _NUMBER.search(written) or (not written.isascii() and _BEYOND.search(written)):
        return _AS_GIVEN.encode(_mended(fields))
    return written


def line(head: Head, kind: Kind, fields: Mapping[str, object]) -> tuple[bytes, Head]:
    """The line that follows ``head``, without its newline, and the head that it makes. ``fields``
    are those of the record, ``at`` (RFC 3339, UTC) among them.
    """
    links = {"kind": kind.value, "seq": head.seq + 1, "prev": head.hash}
    written = canonical({**fields, **links})
    return written, Head(head.seq + 1, digest(written))


def digest(written: bytes) -> str:
    return hashlib.sha256(written).hexdigest()


def link(written: bytes) -> Link:
    """Of a line without its newline. Raises ``ValueError`` where it is no line of a log."""
    try:
        return _LINKS.decode(written)
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None


def head(written: bytes) -> Head:
    """The head that a line makes. Raises ``ValueError`` as ``link`` does."""
    return Head(link(written).seq, digest(written))


def fault(before: Head, written: bytes) -> str | None:
    """Why a line is not the one that follows ``before``; ``None`` where it is."""
    try:
        found = link(written)
    except ValueError as error:
        return f"it is no line of a log: {error}"
    if found.seq != before.seq + 1:
        return f"its number is {found.seq}, and {before.seq + 1} should follow"
    if found.prev != before.hash:
        return f"the line before (number {before.seq}) is not the one that this was written behind"
    return None


def signed_part(checkpoint: bytes) -> bytes:
    """What the signature of a checkpoint's line is over: the line without ``signature``, in
    canonical form. Raises ``ValueError`` where the line is no object.
    """
    fields = msgspec.json.decode(checkpoint, type=dict[str, object])
    fields.pop("signature", None)
    return canonical(fields)


def _mended(value: object) -> object:
    """With keys in the order of their UTF-16 form, and all that it holds mended."""
    if isinstance(value, Mapping):
        keys = {_text(str(key)): inner for key, inner in value.items()}
        return {key: _mended(keys[key]) for key in sorted(keys, key=_utf16)}
    if isinstance(value, (list, tuple)):
        return [_mended(inner) for inner in value]
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return max(-GREATEST, min(GREATEST, value))
    if isinstance(value, float):
        return msgspec.Raw(_fraction(value))
    return value


def _fraction(value: float) -> str:
    """As ECMAScript writes it: the digits of Python, and another rule for where the point is."""
    if not math.isfinite(value):
        return "null"
    sign, digits, _ = Decimal(repr(value)).normalize().as_tuple()
    text = "".join(map(str, digits))
    point = Decimal(repr(value)).adjusted() + 1
    if value == 0:
        return "0"
    if len(text) <= point <= 21:
        written = text + "0" * (point - len(text))
    elif 0 < point <= 21:
        written = f"{text[:point]}.{text[point:]}"
    elif -6 < point <= 0:
        written = f"0.{'0' * -point}{text}"
    else:
        rest = f".{text[1:]}" if len(text) > 1 else ""
        written = f"{text[0]}{rest}e{point - 1:+}"
    return f"-{written}" if sign else written


def _text(value: str) -> str:
    return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _utf16(value: str) -> bytes:
    return value.encode("utf-16-be")
