"""The HMAC of a prompt: who has the key and the prompt can show that it was asked, or was not; who
has only the log learns nothing of it.
"""

from __future__ import annotations

import hashlib
import hmac
import json

from gateway.audit.chain import GREATEST, canonical

MEMBERS = (
    "documents",
    "input",
    "instructions",
    "messages",
    "prompt",
    "query",
    "suffix",
    "system",
)
"""The members of a request's body that are the prompt, of whichever API."""
SHORTEST = 32
"""Characters of a key: a shorter one could be found by trying."""


def prompt_hmac(key: bytes, body: bytes) -> str | None:
    """HMAC-SHA256, in hex, of the canonical form (RFC 8785) of a JSON body reduced to ``MEMBERS``.
    ``None`` where it has none of them, is no JSON object, or is nested too deeply to be read.
    """
    try:
        read = json.loads(body, parse_int=_whole)
        found = {name: read[name] for name in MEMBERS if name in read} if type(read) is dict else {}
        prompt = canonical(found)
    except (ValueError, RecursionError):
        return None
    return hmac.new(key, prompt, hashlib.sha256).hexdigest() if found else None


def _whole(written: str) -> int | float:
    """As ECMAScript reads it: what is too great becomes a fraction."""
    if len(written) > len(str(GREATEST)) + 1:
        return float(written)
    value = int(written)
    return value if abs(value) <= GREATEST else float(value)
