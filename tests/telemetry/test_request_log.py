"""The line of the log that a request leaves."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog

from gateway.audit.record import AttemptRecord, Record
from gateway.background import Background
from gateway.processes.logs import Format, Logs, configure_logs
from gateway.telemetry.request_log import RequestLog, Which


def record(outcome: str, **fields: Any) -> Record:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return Record(id=outcome, at=at, api="chat/completions", outcome=outcome, **fields)


@pytest.fixture
def written(capsys: pytest.CaptureFixture[str]) -> Iterator[Any]:
    """The lines that these records leave."""

    def lines(which: Which, *records: Record) -> list[dict[str, Any]]:
        configure_logs(Logs(Format.JSON))
        log = RequestLog(which, Background())
        log.write(records)
        log.close()
        return [json.loads(line) for line in capsys.readouterr().err.splitlines()]

    handlers = logging.getLogger().handlers[:]
    yield lines
    logging.captureWarnings(False)
    logging.getLogger().handlers[:] = handlers
    structlog.reset_defaults()


def test_a_line_says_who_was_asked_what_came_of_it_and_how_long_it_took(written: Any) -> None:
    one = record(
        "served",
        model="gpt-4o",
        key="k1",
        client_request_id="app-1",
        served_by="local/s",
        failover="policy",
        status=200,
        duration_us=12_345,
        prompt_tokens=3,
        completion_tokens=4,
        attempts=[AttemptRecord("local/s", "served", 1, "p")],
    )
    (line,) = written(Which.ALL, one)
    del line["timestamp"]
    assert line == {
        "level": "info",
        "event": "request",
        "request_id": "served",
        "client_request_id": "app-1",
        "key": "k1",
        "api": "chat/completions",
        "model": "gpt-4o",
        "target": "local/s",
        "failover": "policy",
        "outcome": "served",
        "status": 200,
        "ms": 12.3,
        "attempts": 1,
        "prompt_tokens": 3,
        "completion_tokens": 4,
    }


@pytest.mark.parametrize(
    ("which", "heard"),
    [
        (Which.ALL, ["served", "cancelled", "broken", "invalid_json"]),
        (Which.FAILURES, ["broken", "invalid_json"]),
        (Which.NONE, []),
    ],
)
def test_of_which_requests_a_line_is_written(written: Any, which: Which, heard: list[str]) -> None:
    """An app that goes away has not failed."""
    outcomes = ("served", "cancelled", "broken", "invalid_json")
    found = written(which, *map(record, outcomes))
    assert [line["outcome"] for line in found] == heard


def test_an_app_cannot_write_lines_of_its_own(written: Any) -> None:
    (line,) = written(Which.ALL, record("model_not_found", model="x\nlevel=error\x1b[2J"))
    assert line["model"] == "'x\\nlevel=error\\x1b[2J'"


def test_what_others_wrote_stays_in_one_line(written: Any) -> None:
    """An app its model, a vendor its error's code."""
    for words in ("x\n{}", "x\x1b[31m", "x\u2028"):
        one = record("broken", model=words)
        one.outcome = words
        (line,) = written(Which.ALL, one)
        assert line["model"] == line["outcome"] == ascii(words)
