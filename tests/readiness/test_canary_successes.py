"""When a local target answered last, over processes and restarts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.audit.record import Record
from gateway.readiness.canary.successes import FILE, Successes, read

AT = datetime(2026, 1, 1, tzinfo=UTC)


def record(minutes: int = 0, **fields: Any) -> Record:
    usual: dict[str, Any] = {
        "api": "chat/completions",
        "outcome": "served",
        "served_by": "local/m",
        "locality": "local",
        "duration_us": 2_000_000,
    }
    return Record(id="r", at=AT + timedelta(minutes=minutes), **(usual | fields))


def test_it_is_the_end_of_the_last_answer_whoever_asked(tmp_path: Path) -> None:
    found = Successes(tmp_path)
    found.take(record())
    found.take(record(5, origin="canary"))
    found.take(record(3))
    assert found.known == {"local/m": AT + timedelta(minutes=5, seconds=2)}


@pytest.mark.parametrize(
    "fields",
    [
        {"outcome": "broken"},
        {"locality": "cloud", "served_by": "openai/gpt-4o"},
        {"api": "messages/count_tokens"},
        {"served_by": None, "locality": None, "outcome": "queue_full"},
    ],
)
def test_what_is_no_answer_of_a_local_target(tmp_path: Path, fields: dict[str, Any]) -> None:
    found = Successes(tmp_path)
    found.take(record(**fields))
    assert found.known == {}


def test_it_outlives_the_process(tmp_path: Path) -> None:
    before = Successes(tmp_path)
    before.take(record())
    before.exchange()
    assert Successes(tmp_path).known == read(tmp_path) == {"local/m": AT + timedelta(seconds=2)}


def test_two_processes_tell_each_other(tmp_path: Path) -> None:
    """Of each target the latest counts, whoever wrote last."""
    one, other = Successes(tmp_path), Successes(tmp_path)
    one.take(record(9))
    one.take(record(served_by="local/a"))
    other.take(record(1))
    other.take(record(served_by="local/b"))
    for process in (one, other, one):
        process.exchange()
    assert one.known == other.known == read(tmp_path)
    assert one.known["local/m"] == AT + timedelta(minutes=9, seconds=2)
    assert set(one.known) == {"local/m", "local/a", "local/b"}


def test_nothing_new_is_not_written(tmp_path: Path) -> None:
    found = Successes(tmp_path)
    found.exchange()
    assert not (tmp_path / FILE).exists()
    found.take(record())
    found.exchange()
    stamp = (tmp_path / FILE).stat().st_ino
    found.take(record(-1))
    found.exchange()
    assert (tmp_path / FILE).stat().st_ino == stamp


def test_a_file_that_is_none_is_written_anew(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("{")
    found = Successes(tmp_path)
    assert found.known == {}
    found.take(record())
    found.exchange()
    assert read(tmp_path) == found.known
