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

from gateway.wire.sent import Sent

_MODEL = re.compile(rb'"model"[ \t\r\n]*:[ \t\r\n]*"((?:[^"\\]|\\.)*)"', re.DOTALL)
_QUOTED = b'"model"'
_KEY = re.compile(rb'"model"[ \t\r\n]*:', re.IGNORECASE)
_ESCAPED_ASCII = re.compile(rb"\\u00[0-7]")
LONG = 8 * 1024
"""Bytes of a body from which on decoding one level is faster than searching."""
NEAR = 4 * 1024
"""Bytes from an end of a body within which its model is looked for."""
_BEFORE_A_KEY = b"{, \t\r\n"
_BEFORE_A_NAME = (b'"model":"', b'"model": "')
_STYLES = ((b",", b":"), (b", ", b": "))
"""How members, and names and values, are set apart by nearly all who write JSON."""
_objects = msgspec.json.Decoder(dict[str, msgspec.Raw])


def with_model(body: bytes, present: str | None, wanted: str) -> bytes:
    """``body`` with its top-level model, which is ``present``, made ``wanted``; ``body`` itself
    where nothing changes. Raises ``ValueError`` for what is no JSON object.
    """
    if len(body) >= LONG:
        if (placed := _placed(body, wanted)) is not None:
            return placed
    elif present is not None and (plain := _plainly(body, present)) is not None:
        return _spliced(body, plain, present, wanted)
    if present is not None and len(_KEY.findall(body)) == 1 and not _ESCAPED_ASCII.search(body):
        match = _MODEL.search(body)
        if match is not None and match[1] == present.encode():
            return _spliced(body, match.span(1), present, wanted)
    members = {
        name: value
        for name, value in _objects.decode(body).items()
        if name == "model" or name.lower() != "model"
    }
    members["model"] = msgspec.Raw(msgspec.json.encode(wanted))
    return msgspec.json.encode(members)


def model_parts(body: bytes, present: str, wanted: str) -> Sent | None:
    """As ``with_model``, of a body in which the model is alone (as in ``Call``): in pieces, which
    copies nothing of it and goes through none of it; ``None`` where the model is near neither end.
    """
    place = _near_an_end(body, present)
    if place is None:
        return None
    if present == wanted:
        return body
    whole = memoryview(body)
    return whole[: place[0]], msgspec.json.encode(wanted)[1:-1], whole[place[1] :]


def _spliced(body: bytes, place: tuple[int, int], present: str, wanted: str) -> bytes:
    """With what ``wanted`` is within its quotes at a place where ``present`` is."""
    if present == wanted:
        return body
    start, end = place
    # What is short is sooner copied than looked at.
    whole = body if len(body) < LONG else memoryview(body)
    return b"".join((whole[:start], msgspec.json.encode(wanted)[1:-1], whole[end:]))


def _plainly(body: bytes, present: str) -> tuple[int, int] | None:
    """Where the model of a body stands, as most write it; ``None`` where that is not seen. What has
    no backslash spells the key in one way: it says what the expressions say, sooner.
    """
    if b"\\" in body or body.lower().count(_QUOTED) != 1:
        return None
    written = present.encode()
    for before in _BEFORE_A_NAME:
        start = body.find(before + written + b'"')
        if start >= 0:
            start += len(before)
            return start, start + len(written)
    return None


def _near_an_end(body: bytes, present: str) -> tuple[int, int] | None:
    """Where the model of a body stands, in which it is alone; ``None`` where that is not seen.

    What goes from the body's beginning to the end of a member, and is an object once a brace is
    put behind it, has that member at its top. And so it is with what goes from the beginning of a
    member to the body's end, and a brace before it: within a text the quote of the key would end
    that, and no word may stand behind. What is before the key must not change what the quote is.
    """
    for start in (body.find(_QUOTED, 0, NEAR), body.rfind(_QUOTED, max(1, len(body) - NEAR))):
        match = _MODEL.match(body, start) if start > 0 else None
        if match is None or match[1] != present.encode() or b"\\" in match[1]:
            continue
        if body[start - 1] not in _BEFORE_A_KEY:
            continue
        first = match.end() <= NEAR
        part = body[: match.end()] + b"}" if first else b"{" + body[start:]
        try:
            _objects.decode(part)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            continue
        return match.span(1)
    return None


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
