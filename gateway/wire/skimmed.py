"""What long chats of all dialects are looked through for: what a target must be able to do to be
given them, and how much text they hold. The texts stay as they are written until somebody wants to
read them: to decode them takes longer than all else that is done for a request.
"""

from __future__ import annotations

import msgspec

from gateway.domain.target import Capability

TEXT, LIST, OBJECT, NOTHING = b'"[{n'
"""How what a text could be begins."""
_ESCAPED = b"\\u"
_PROBED = 8 * 1024
"""Bytes of a body, from its beginning, its middle and its end."""


class Unskimmable(ValueError):
    """Something stands where a text should, or is not looked through: who reads the body says what
    it is.
    """


class Skimmed(msgspec.Struct):
    """What messages come to. ``size`` is bytes of text, and those of its escapes."""

    turns: int = 0
    size: int = 0
    images: int = 0
    needs: set[Capability] = msgspec.field(default_factory=set)


def spelt_out(body: bytes) -> bool:
    """Whether letters beyond ASCII are written as their numbers, of which the length of a text says
    little: an app writes them all so, or none.
    """
    if not body.isascii():
        return False
    middle = len(body) // 2
    probes = body[:_PROBED], body[middle : middle + _PROBED], body[-_PROBED:]
    return any(_ESCAPED in probe for probe in probes)
