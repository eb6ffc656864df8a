"""What a single line proves: that it is written as a line must be, and who signed it. Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.audit.chain import Kind, canonical
from gateway.audit.checkpoint import vouches
from gateway.audit.reader import LONGEST_LINE, Text
from gateway.audit.verified import Check, Fault, Mark

Keys = Mapping[str, Ed25519PublicKey]
"""Public keys that are trusted, by their ids."""


class Untrue(Exception):
    """A line is not as it must be."""

    def __init__(self, check: Check, expected: str, found: str) -> None:
        super().__init__(found)
        self.check = check
        self.expected = expected
        self.found = found

    def at(self, file: str, line: int, seq: int) -> Fault:
        return Fault(file, line, seq, self.check, self.expected, self.found)


@dataclass(frozen=True, slots=True)
class Told:
    """What a line says. ``content`` is how it is written."""

    kind: Kind
    seq: int
    prev: str
    at: str
    fields: Mapping[str, Any]
    content: bytes

    def mark(self, keys: Keys) -> Mark:
        """Of a checkpoint. Raises ``Untrue`` where none of the keys signed it."""
        id, signature = self.fields.get("key"), self.fields.get("signature")
        if not isinstance(id, str) or not isinstance(signature, str):
            raise Untrue(Check.JSON, "a checkpoint with key and signature", _cut(self.content))
        if id not in keys:
            known = ", ".join(keys) or "none"
            raise Untrue(Check.KEY, f"a key that is trusted: {known}", f"the key {id[:64]!r}")
        # Base64 has spare bits at its end, and what they hold must be altered by nobody.
        if not _strict(signature) or not vouches(keys[id], self.content):
            raise Untrue(
                Check.SIGNATURE,
                f"the signature of key {id} over this line",
                f"{signature[:16]!r}…, which is none",
            )
        return Mark(self.seq, self.at, id)


def told(text: Text) -> Told:
    """Raises ``Untrue`` where it is no line of a log in canonical form."""
    content = text.content
    if text.long:
        raise Untrue(Check.LENGTH, f"at most {LONGEST_LINE} bytes", "more")
    try:
        fields = _DECODER.decode(content)
    except RecursionError:
        raise Untrue(Check.JSON, "a JSON object", "one that is nested too deep") from None
    except (msgspec.DecodeError, ValueError) as error:
        raise Untrue(Check.JSON, "a JSON object without fractions", f"{error}") from None
    kind, seq, prev, at = map(fields.get, ("kind", "seq", "prev", "at"))
    if (
        not (isinstance(kind, str) and isinstance(prev, str) and isinstance(at, str))
        or not isinstance(seq, int)
        or isinstance(seq, bool)
        or seq < 1
        or kind not in _KINDS
    ):
        raise Untrue(
            Check.JSON,
            "kind (request, event or checkpoint), seq, prev and at",
            ", ".join(f"{name} {str(fields.get(name))[:32]!r}" for name in ("kind", "seq")),
        )
    if not _canonical(fields, content):
        raise Untrue(Check.CANONICAL, "the canonical form (RFC 8785)", "another of the same JSON")
    return Told(_KINDS[kind], seq, prev, at, fields, content)


def _canonical(fields: Mapping[str, Any], content: bytes) -> bool:
    """Whether that is how ``fields`` are written."""
    # In ASCII, sorting by code points is what RFC 8785 says, and 20 times as fast.
    if content.isascii() and _SORTED.encode(fields) == content:
        return True
    return canonical(fields) == content


def _strict(signature: str) -> bool:
    try:
        return base64.b64encode(base64.b64decode(signature, validate=True)).decode() == signature
    except (binascii.Error, ValueError):
        return False


def _cut(content: bytes) -> str:
    return repr(content[:80].decode("utf-8", "replace"))


def _no_fraction(written: str) -> NoReturn:
    raise ValueError(f"the number {written[:32]}, which is not whole")


_KINDS = {kind.value: kind for kind in Kind}
_SORTED = msgspec.json.Encoder(order="sorted")
_DECODER = msgspec.json.Decoder(dict[str, Any], float_hook=_no_fraction)
