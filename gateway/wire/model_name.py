"""The model's name in a body, replaced, and nothing else changed.

It is replaced in place where that is provably safe: in valid JSON whose only occurrence of the
key's pattern is one match, and in which no escape could spell the key another way, that match is
the top-level member. Anything else is decoded one level deep and written anew, which also collapses
duplicate keys, and drops those that differ from ``model`` in case only (some decoders, Go's among
them, take them for it), so that a vendor cannot read another model than policy judged.
"""

from __future__ import annotations

import re

import msgspec

_MODEL = re.compile(rb'"model"[ \t\r\n]*:[ \t\r\n]*"((?:[^"\\]|\\.)*)"', re.DOTALL)
_KEY = re.compile(rb'"model"[ \t\r\n]*:', re.IGNORECASE)
_ESCAPED_ASCII = re.compile(rb"\\u00[0-7]")
_objects = msgspec.json.Decoder(dict[str, msgspec.Raw])


def with_model(body: bytes, present: str | None, wanted: str) -> bytes:
    """``body`` with its top-level model, which is ``present``, made ``wanted``; ``body`` itself
    where nothing changes. Raises ``ValueError`` for what is no JSON object.
    """
    if present is not None and len(_KEY.findall(body)) == 1 and not _ESCAPED_ASCII.search(body):
        match = _MODEL.search(body)
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
