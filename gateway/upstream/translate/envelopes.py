"""A vendor's refusal in its own API's words, to what the gateway's table of failures knows. Pure.

Sources: the published API references of Anthropic (errors), Google (``google.rpc.Status``), Amazon
Bedrock (common errors), Cohere and IBM watsonx.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.wire.relay import VendorError

_OVERFLOW = re.compile(
    r"prompt is too long|input is too long|too many (?:total )?(?:input )?tokens"
    r"|context (?:length|window)|input token count .{0,40}exceeds|maximum context"
    r"|exceeds? the (?:model'?s? )?maximum.{0,20}tokens",
    re.IGNORECASE,
)
"""How they say that the prompt is too long; none of them has a code for it."""
_BLOCKED = re.compile(
    r"location is not supported|not available in your (?:country|region)"
    r"|organization has been disabled|account (?:has been |is )?(?:suspended|disabled|blocked)",
    re.IGNORECASE,
)
_UNPAID = re.compile(
    r"credit balance is too low|billing (?:account )?(?:is )?(?:not|dis)", re.IGNORECASE
)
_WRONG_KEY = frozenset(
    {"API_KEY_INVALID", "UnrecognizedClientException", "InvalidSignatureException"}
)
"""Reasons that come with a 400 in some of the APIs, and mean the key."""


def read(status: int, headers: Mapping[str, str], body: bytes) -> tuple[int, VendorError]:
    """The status by which the refusal is classified, and its envelope in the dialect's terms."""
    message, words = _said(body)
    amazon = headers.get("x-amzn-errortype", "").partition(":")[0]
    words = tuple(word for word in (amazon, *words) if word)
    text = message or ""
    code = words[0] if words else None
    if 400 <= status < 500 and status != 429:
        if _WRONG_KEY & set(words):
            status = 401
        elif _BLOCKED.search(text):
            status = 451
        elif _UNPAID.search(text):
            status = 402
        elif _OVERFLOW.search(text):
            code = "context_length_exceeded"
    return status, VendorError(message=message, type=words[-1] if words else None, code=code)


def _said(body: bytes) -> tuple[str | None, tuple[str, ...]]:
    """The message, and the words for what it is, the most telling first."""
    try:
        said = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None, ()
    if isinstance(said, list):
        said = said[0] if said else None
    if not isinstance(said, dict):
        return None, ()
    errors = said.get("errors")
    inner: Any = said.get("error") or (errors[0] if isinstance(errors, list) and errors else said)
    if isinstance(inner, str):
        return inner, ()
    if not isinstance(inner, dict):
        return None, ()
    message = next((inner[n] for n in ("message", "Message") if _text(inner.get(n))), None)
    words = [*_reasons(inner), inner.get("status"), inner.get("code"), inner.get("type")]
    return message, tuple(word for word in words if isinstance(word, str) and word)


def _reasons(error: Mapping[str, Any]) -> list[object]:
    """Google's ``google.rpc.ErrorInfo`` among the details."""
    details = error.get("details")
    rows = details if isinstance(details, list) else []
    return [row["reason"] for row in rows if isinstance(row, dict) and "reason" in row]


def _text(value: object) -> bool:
    return isinstance(value, str) and bool(value)
