"""Drills in their files, and their records in the log."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.audit.happening import Happening
from gateway.audit.log import Log
from gateway.audit.record import Record
from gateway.audit.rules import Rules
from gateway.audit.sink import LogSink
from gateway.background import Background
from gateway.domain.drilled import End, Held
from gateway.errors import NotThere, Refused, StateError
from gateway.readiness.drill.reporting import Reports, records
from gateway.readiness.drill.store import Drills, Kept
from tests.readiness.test_drill_report import drill, queues, reading

NOW = datetime.now(UTC)


def running(id: str = "d1", **fields: Any) -> Kept:
    return Kept(drill(**{"id": id, "started": NOW, "until": NOW + timedelta(hours=1), **fields}))


def test_one_runs_at_a_time_and_is_followed_by_its_version(tmp_path: Path) -> None:
    """Whoever looks sees another version with each change, and none where none runs."""
    drills = Drills(tmp_path)
    assert (drills.version(), drills.running()) == (None, None)
    drills.begin(running())
    first = drills.version()
    assert first is not None
    with pytest.raises(Refused, match="a drill runs already: d1 of openai"):
        drills.begin(running("d2"))
    assert drills.version() == first
    assert drills.running() == running()
    assert drills.close("d1", End(NOW)) == Kept(running().drill, end=End(NOW))
    assert drills.version() is None
    drills.begin(running("d2"))
    assert drills.version() not in (None, first)
    assert [one.drill.id for one in drills.newest(9)] == ["d2", "d1"]
    assert [one.drill.id for one in drills.newest(1)] == ["d2"]


def test_it_is_put_away_once_whoever_does(tmp_path: Path) -> None:
    """Of many at once, one has done it: that one records it."""
    drills = Drills(tmp_path)
    drills.begin(running())
    assert drills.close("another", End(NOW)) is None
    ended: list[Kept] = []
    barrier = threading.Barrier(8)

    def close() -> None:
        barrier.wait()
        if (one := drills.close("d1", End(NOW))) is not None:
            ended.append(one)

    threads = [threading.Thread(target=close) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ended) == 1
    assert drills.find("d1") == ended[0]


@pytest.mark.parametrize("id", ["d9", "", "../drill", "..", "a/b", "d1.json", "x" * 65, "é"])
def test_what_is_no_drill_is_not_found(tmp_path: Path, id: str) -> None:
    """A name never leads out of the folder."""
    drills = Drills(tmp_path)
    drills.begin(running("d1"))
    with pytest.raises(NotThere, match="there is no drill"):
        drills.find(id)


def test_a_file_that_is_none_is_told_with_its_name(tmp_path: Path) -> None:
    """It is nothing that anybody goes by."""
    (tmp_path / "drill.json").write_text('{"drill": {"id": 1}}')
    with pytest.raises(StateError, match=r"drill\.json is no drill"):
        Drills(tmp_path).running()


@pytest.mark.parametrize(
    "wrong",
    [
        {"until": "2026-11-26T08:00:00"},
        {"started": "2026-11-26T08:00:00"},
        {"share": 0},
        {"share": 2},
        {"rate": 0},
    ],
)
def test_a_file_that_was_changed_by_hand_stops_nothing(
    tmp_path: Path, wrong: dict[str, Any]
) -> None:
    """A time without an offset cannot be compared, nor can anything be divided by nothing."""
    drills = Drills(tmp_path)
    drills.begin(running())
    file = tmp_path / "drill.json"
    kept = json.loads(file.read_text())
    kept["drill"] |= wrong
    file.write_text(json.dumps(kept))
    with pytest.raises(StateError, match=r"drill\.json is no drill .*: remove it"):
        drills.running()


def test_a_report_that_is_final_stays(tmp_path: Path) -> None:
    """Who began to make one before it, and ends after it, does not take its place."""
    drills = Drills(tmp_path)
    drills.begin(running())
    drills.keep_queues("d1", queues(reading(busy=2)))
    ended = drills.close("d1", End(NOW))
    assert ended is not None
    Reports(drills, tmp_path, capacity=dict, can=dict, deadline=-3600.0).of(ended)
    final = drills.find("d1")
    assert final.report is not None
    # It knows nothing of the final one.
    Reports(drills, tmp_path, capacity=dict, can=dict, deadline=600.0).of(ended)
    assert drills.find("d1") == final


def test_who_leads_makes_the_folder_or_says_why_not(tmp_path: Path) -> None:
    """It may have been tidied away while a drill runs."""
    Drills(tmp_path).leader().close()
    assert (tmp_path / "drills").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match="cannot be written"):
        Drills(tmp_path / "file").leader()


def test_readings_are_kept_until_the_report_is_final(tmp_path: Path) -> None:
    """And with the report they go."""
    drills = Drills(tmp_path)
    seen = queues(reading(busy=2))
    drills.begin(running())
    drills.keep_queues("d1", seen)
    assert drills.queues("d1") == seen
    ended = drills.close("d1", End(NOW))
    assert ended is not None
    early, late = (
        Reports(drills, tmp_path, capacity=dict, can=dict, deadline=seconds)
        for seconds in (600.0, -3600.0)
    )
    assert not early.of(ended).final
    assert drills.queues("d1") == seen
    found = late.of(drills.find("d1"))
    assert (found.final, found.local[0].most_busy) == (True, 2)
    assert drills.queues("d1") == {}
    # What is final is told as it was, whatever is in the log by then.
    assert early.of(drills.find("d1")) == found
    assert found.verdict is Held.UNKNOWN


def request(id: str, at: datetime, of: str | None) -> Record:
    return Record(id=id, at=at, api="chat/completions", drill=of, duration_us=1000)


def written(folder: Path, told: Sequence[Record | Happening]) -> None:
    sink = LogSink(Log(folder, Rules()), "test", Background())
    for one in told:
        sink.write(one)
    sink.close()


def test_the_log_is_read_to_where_the_drill_began(tmp_path: Path) -> None:
    """Those of the drill and no others, also where its first was written before its beginning."""
    practised = drill(id="d1", started=NOW, until=NOW + timedelta(hours=1))
    before, after = NOW - timedelta(seconds=30), NOW + timedelta(seconds=1)
    told: list[Record | Happening] = [
        request("old", before - timedelta(hours=1), None),
        request("first", NOW, "d1"),
        request("none", NOW, None),
        Happening("drill.started", NOW, subject="openai", detail={"drill": "d1"}),
        request("second", after, "d1"),
        request("other", after, "d2"),
    ]
    written(tmp_path, told)
    assert [one.id for one in records(tmp_path, practised)] == ["second", "first"]
    assert [*records(tmp_path / "nothing", practised)] == []


def test_a_drill_without_requests_does_not_read_all_there_ever_was(tmp_path: Path) -> None:
    """Once its beginning was met, it stops at the first line from before."""
    practised = drill(id="d1", started=NOW, until=NOW + timedelta(hours=1))
    old = NOW - timedelta(hours=2)
    told: list[Record | Happening] = [
        request("hidden", old, "d1"),
        request("before", NOW - timedelta(seconds=30), None),
        Happening("drill.started", NOW, subject="openai", detail={"drill": "d1"}),
        request("later", NOW + timedelta(seconds=1), None),
    ]
    written(tmp_path, told)
    assert [*records(tmp_path, practised)] == []
