"""Statuses and codes to kinds, as the specification's table says."""

from __future__ import annotations

import pytest

from gateway.domain.events import FailureKind
from gateway.upstream.classify import classify, retry_after
from gateway.wire.relay import VendorError

NOW = 1_445_412_480.0  # Wed, 21 Oct 2015 07:28:00 GMT

CASES = [
    (200, None, FailureKind.MALFORMED),
    (204, None, FailureKind.MALFORMED),
    (307, None, FailureKind.MALFORMED),
    (400, None, FailureKind.REQUEST_FAULT),
    (400, "context_length_exceeded", FailureKind.CONTEXT_OVERFLOW),
    (400, "invalid_encrypted_content", FailureKind.INCAPABLE),
    (400, "organization_restricted", FailureKind.VENDOR_BLOCKED),
    (401, "invalid_api_key", FailureKind.UNAUTHORIZED),
    (401, "account_deactivated", FailureKind.VENDOR_BLOCKED),
    (402, None, FailureKind.VENDOR_BLOCKED),
    (403, None, FailureKind.UNAUTHORIZED),
    (403, "unsupported_country_region_territory", FailureKind.VENDOR_BLOCKED),
    (404, "model_not_found", FailureKind.REQUEST_FAULT),
    (405, None, FailureKind.MALFORMED),
    (408, None, FailureKind.SERVER_ERROR),
    (413, None, FailureKind.REQUEST_FAULT),
    (422, None, FailureKind.REQUEST_FAULT),
    (429, "insufficient_quota", FailureKind.RATE_LIMITED),
    (451, None, FailureKind.VENDOR_BLOCKED),
    (500, "account_deactivated", FailureKind.SERVER_ERROR),
    (529, None, FailureKind.SERVER_ERROR),
]


@pytest.mark.parametrize(("status", "code", "kind"), CASES)
def test_status_and_code(status: int, code: str | None, kind: FailureKind) -> None:
    """One row of the table."""
    failed = classify(status, VendorError(code=code), {}, NOW)
    assert (failed.kind, failed.status) == (kind, status)


def test_prose_blocks_nobody() -> None:
    """Only an exact code says that an account is blocked."""
    error = VendorError(message="unsupported_country_region_territory")
    assert classify(403, error, {}, NOW).kind is FailureKind.UNAUTHORIZED


def test_a_vendors_words_are_bounded() -> None:
    """No part of an envelope comes back longer than an error should be."""
    failed = classify(400, VendorError("m" * 9000, None, "c" * 9000, "p" * 9000), {}, NOW)
    assert (len(failed.message), len(failed.code or ""), len(failed.param or "")) == (
        *(1000, 200, 200),
    )


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({b"retry-after": b"2.5"}, 2.5),
        ({b"retry-after": b"-1"}, 0),
        ({b"retry-after": b"nan"}, None),
        ({b"retry-after": b"soon"}, None),
        ({b"retry-after": b"Wed, 21 Oct 2015 07:28:30 GMT"}, 30),
        ({b"retry-after": b"Wed, 21 Oct 2015 07:27:00 GMT"}, 0),
        ({b"retry-after-ms": b"1500", b"retry-after": b"9"}, 1.5),
        ({b"retry-after": b"1e300"}, 86_400),
        ({b"retry-after-ms": b"1e300"}, 86_400),
        ({b"retry-after": b"Fri, 31 Dec 9999 23:59:59 GMT"}, 86_400),
        ({b"retry-after": b"Wed, 21 Oct 2015 07:28:99999999999999999999 GMT"}, None),
        ({b"retry-after": b"\xff"}, None),
    ],
)
def test_retry_after(headers: dict[bytes, bytes], seconds: float | None) -> None:
    """Seconds, dates and nonsense."""
    assert retry_after(headers, NOW) == seconds
