"""The model's name in a body, replaced, and nothing else changed.

It is replaced in place where that is provably safe: in valid JSON whose only occurrence of the
key's pattern is one match, and in which no escape could spell the key another way, that match is
the top-level member. A long body, in which to search takes long, is decoded one level deep: where
it is, byte for byte, what these members are when they are written one after the other, it has no
others, and the model's place is known. Anything else is decoded one level deep and written anew,
which also collapses duplicate keys, and drops those that differ from ``model`` in case only (some
decoders, Go's among them, take them for it), so that a vendor cannot read another model than policy
judged.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

_MODEL = re.compile(rb'"model"[ \t\r\n]*:[ \t\r\n]*"((?:[^"\\]|\\.)*)"', re.DOTALL)
_QUOTED = b'"model"'
_KEY = re.compile(rb'"model"[ \t\r\n]*:', re.IGNORECASE)
_ESCAPED_ASCII = re.compile(rb"\\u00[0-7]")
LONG = 8 * 1024
"""Bytes of a body from which on decoding one level is faster than searching."""
_STYLES = ((b",", b":"), (b", ", b": "))
"""How members, and names and values, are set apart by nearly all who write JSON."""
_objects = msgspec.json.Decoder(dict[str, msgspec.Raw])


def with_model(body: bytes, present: str | None, wanted: str) -> bytes:
    """``body`` with its top-level model, which is ``present``, made ``wanted``; ``body`` itself
    where nothing changes. Raises ``ValueError`` for what is no JSON object.
    """
    if len(body) >= LONG and (placed := _placed(body, wanted)) is not None:
        return placed
    if present is not None and (start := _only_key(body)) is not None:
        match = _MODEL.match(body, start)
        if match is not None and match[1] == present.encode():
            if present == wanted:
                return body
            start, end = match.span(1)
            return b"".join((body[:start], msgspec.json.encode(wanted)[1:-1], body[end:]))
    members = {
        name: value
        for name, value in _objects.decode(body).items()
        if name == "model" or name.lower() != "model"
    }
    members["model"] = msgspec.Raw(msgspec.json.encode(wanted))
    return msgspec.json.encode(members)


def _only_key(body: bytes) -> int | None:
    """Where the one key stands that is the model's, however it is spelled; ``None`` where there may
    be more than one.
    """
    if _ESCAPED_ASCII.search(body):
        return None
    lowered = body.lower()
    if lowered.count(_QUOTED) == 1:
        return lowered.find(_QUOTED)
    matches = [match.start() for match in _KEY.finditer(body)]
    return matches[0] if len(matches) == 1 else None


def _placed(body: bytes, wanted: str) -> bytes | None:
    """As ``with_model``; ``None`` where there is more in the body than its members, or none of them
    is the model, or another could be taken for it.
    """
    members = _objects.decode(body)
    if [name.lower() for name in members].count("model") != 1 or "model" not in members:
        return None
    model = msgspec.json.encode(wanted)
    for comma, colon in _STYLES:
        place = _place(body, members, comma, colon)
        if place is not None:
            start, end = place
            whole = memoryview(body)
            if whole[start:end] == model:
                return body
            return b"".join((whole[:start], model, whole[end:]))
    return None


def _place(
    body: bytes, members: Mapping[str, msgspec.Raw], comma: bytes, colon: bytes
) -> tuple[int, int] | None:
    """Where the model's value begins and ends, if the body is its members and nothing else, with
    these signs between them.
    """
    place, at, between = None, 0, b"{"
    for name, value in members.items():
        before = b"%b%b%b" % (between, msgspec.json.encode(name), colon)
        written = memoryview(value)
        start = at + len(before)
        if not body.startswith(before, at) or not body.startswith(written, start):
            return None
        at, between = start + len(written), comma
        if name == "model":
            place = start, at
    return place if body[at:] == b"}" else None
