"""What becomes a line of the log."""

from __future__ import annotations

from datetime import UTC, datetime

from gateway.audit.chain import Head, line
from gateway.audit.entries import MOST_TEXT, entry
from gateway.audit.record import AttemptRecord, Record
from gateway.errors import VendorFault

NOW = datetime(2026, 11, 26, tzinfo=UTC)
LONG = "\0" * 5_000_000


def test_neither_an_app_nor_a_vendor_says_how_long_a_line_is() -> None:
    """A line that is too long to be read would be the last that ``verify`` finds good."""
    record = Record("1", NOW, "chat/completions", model=LONG, client_request_id=LONG)
    record.attempts.append(AttemptRecord("a/b", "served", 1, "r", model=LONG, provider=LONG))
    record.failed(VendorFault("x", status=400, code=LONG))
    written, _ = line(Head(), *entry(record))
    assert len(written) < 6 * 6 * MOST_TEXT


def test_what_is_no_longer_than_that_is_written_as_it_is() -> None:
    kind, fields = entry(Record("1", NOW, "chat", model="m" * MOST_TEXT))
    assert (kind, fields["model"]) == ("request", "m" * MOST_TEXT)
