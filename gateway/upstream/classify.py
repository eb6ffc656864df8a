"""What a vendor's refusal means: status, envelope and headers to ``Failed``. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

from gateway.domain.events import Failed, FailureKind
from gateway.wire.relay import VendorError

_USERINFO = re.compile(r"://[^\s/?#@]*@")
"""As whom an address is called, with the password: nobody's to read."""
BLOCKED = frozenset(
    {
        "access_terminated",
        "account_deactivated",
        "account_suspended",
        "organization_deactivated",
        "organization_restricted",
        "unsupported_country",
        "unsupported_country_region_territory",
    }
)
"""Codes by which vendors say that the account or the region is blocked."""

OVERFLOW = frozenset({"context_length_exceeded", "context_window_exceeded"})
UNREADABLE = frozenset({"invalid_encrypted_content"})
"""Codes by which vendors say that they cannot read the reasoning of another."""
REQUEST_FAULTS = frozenset({400, 404, 413, 422})
MOST_MESSAGE = 1000
MOST_WORD = 200
"""Characters of a code or a parameter's name."""
MOST_WAIT = 86_400.0
"""Seconds: a vendor that asks for more is asked again after a day."""


def classify(status: int, error: VendorError, headers: Mapping[bytes, bytes], now: float) -> Failed:
    """The failure behind an answer that is not 200. ``now`` is in seconds since 1970."""
    wait = retry_after(headers, now)
    if status == 451 or (400 <= status < 500 and {error.code, error.type} & BLOCKED):
        return Failed(FailureKind.VENDOR_BLOCKED, "the vendor blocks this account", status)
    if status == 402:
        # Like a block, it ends by what the operator does at the vendor, not in the configuration.
        return Failed(FailureKind.VENDOR_BLOCKED, "the vendor wants to be paid first", status)
    if status == 429:
        return Failed(FailureKind.RATE_LIMITED, "the vendor limits the rate", status, wait)
    if status in (401, 403):
        return Failed(FailureKind.UNAUTHORIZED, "the vendor does not accept the key", status)
    if status in REQUEST_FAULTS:
        return _request_fault(status, error)
    if status >= 500 or status in (408, 409, 425):
        return Failed(FailureKind.SERVER_ERROR, f"the vendor answered {status}", status, wait)
    if 300 <= status < 400:
        return Failed(FailureKind.MALFORMED, "the vendor redirects: never followed", status)
    return Failed(FailureKind.MALFORMED, f"the vendor answered {status}", status)


def retry_after(headers: Mapping[bytes, bytes], now: float) -> float | None:
    """``Retry-After`` (seconds or a date), or the ``-ms`` form of some vendors, in seconds."""
    milliseconds = _number(headers.get(b"retry-after-ms"))
    if milliseconds is not None:
        return min(milliseconds / 1000, MOST_WAIT)
    value = headers.get(b"retry-after")
    seconds = _number(value)
    if seconds is None and value is not None:
        seconds = _until(value, now)
    return None if seconds is None else min(seconds, MOST_WAIT)


def _until(date: bytes, now: float) -> float | None:
    try:
        parsed = parsedate_to_datetime(date.decode("latin-1"))
        if parsed.tzinfo is None:
            parsed = parsed.replace(tzinfo=UTC)
        return max(0.0, parsed.timestamp() - now)
    except (ValueError, OverflowError):
        return None


def _number(value: bytes | None) -> float | None:
    try:
        number = float(value) if value is not None else math.nan
    except ValueError:
        return None
    return max(0.0, number) if math.isfinite(number) else None


def _request_fault(status: int, error: VendorError) -> Failed:
    kind = FailureKind.REQUEST_FAULT
    if {error.code, error.type} & OVERFLOW:
        kind = FailureKind.CONTEXT_OVERFLOW
    elif error.code in UNREADABLE:
        kind = FailureKind.INCAPABLE
    return Failed(
        kind,
        _USERINFO.sub("://", error.message or "")[:MOST_MESSAGE]
        or f"The vendor answered {status} without saying why.",
        status,
        code=error.code and error.code[:MOST_WORD],
        param=error.param and error.param[:MOST_WORD],
    )
