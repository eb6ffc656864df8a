"""A day read as it comes is the day that is read anew; and what it takes of memory has a bound."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.audit.happening import Happening
from gateway.audit.reader import Line, backwards
from gateway.audit.record import Record
from gateway.readiness.score import reading
from gateway.readiness.score.day import Day, Detail, rounded
from gateway.readiness.score.reading import LogOfDay
from gateway.readiness.work import Sum
from tests.audit.logs import Written, joined
from tests.readiness.days import LOCAL, NOW, OPENAI, day, of, record, score


def put(folder: Path, number: int, lines: Sequence[bytes]) -> None:
    """More lines at the end of a segment."""
    folder.mkdir(exist_ok=True)
    with (folder / f"audit-{number:08}.jsonl").open("ab") as file:
        file.write(joined(lines))


def a_log(folder: Path, *, cells: int = 100_000, lines: int = 1_000_000) -> LogOfDay:
    return LogOfDay(folder, lambda model: model, cells=cells, lines=lines)


def total(found: Day) -> Sum:
    whole = Sum()
    for cells in found.hours.values():
        for work in cells.values():
            whole.take(work)
    return whole


RECORDS = st.builds(
    record,
    served=st.sampled_from([OPENAI, LOCAL, None]),
    minute=st.floats(0, 60 * 30),
    app=st.sampled_from([None, "shop", "law"]),
    needs=st.sampled_from([(), ("tools",), ("images", "tools")]),
    prompt_tokens=st.integers(0, 9000),
    cached_tokens=st.none(),
    duration_us=st.just(0),
    origin=st.sampled_from([None, None, None, "canary"]),
)


@settings(deadline=None)
@given(
    parts=st.lists(st.tuples(st.lists(RECORDS, max_size=6), st.booleans()), max_size=6),
    torn=st.booleans(),
)
def test_read_as_it_comes_is_read_anew(parts: list[tuple[list[Record], bool]], torn: bool) -> None:
    """Whatever was written between two looks, over the ends of segments, behind half a line."""
    folder = Path(tempfile.mkdtemp())
    try:
        following, written, number = a_log(folder), Written(), 1
        # Written when they ended, so the oldest first.
        records = sorted((one for part, _ in parts for one in part), key=lambda one: one.at)
        following.read(NOW)
        for part, turns in parts:
            before = len(written.lines)
            written.add(*(records.pop(0) for _ in part))
            content = joined(written.lines[before:])
            put(folder, number, [])
            with (folder / f"audit-{number:08}.jsonl").open("ab") as file:
                half = len(content) // 2 if torn else 0
                file.write(content[:half])
                file.flush()
                following.read(NOW)
                file.write(content[half:])
            following.read(NOW)
            number += turns
        anew = a_log(folder)
        anew.read(NOW)
        assert following.day.hours == anew.day.hours
        assert following.day.minutes == anew.day.minutes
        assert following.day.cells == anew.day.cells
    finally:
        shutil.rmtree(folder)


def test_what_is_older_than_a_day_is_forgotten_and_the_rest_stays(tmp_path: Path) -> None:
    written = Written().add(record(minute=90), record(minute=30), record(minute=0))
    put(tmp_path, 1, written.lines)
    log = a_log(tmp_path)
    since = log.read(NOW)
    assert since == NOW - timedelta(minutes=90) + timedelta(microseconds=200_000)
    later = NOW + timedelta(hours=24)
    assert log.read(later) == NOW
    assert total(log.day).requests == 1
    assert (log.day.cells, len(log.day.minutes)) == (2, 1)
    log.read(later + timedelta(hours=1))
    assert (log.day.cells, log.day.hours, log.day.minutes) == (0, {}, {})


def test_a_log_that_begins_with_an_event_counts_from_then(tmp_path: Path) -> None:
    began = NOW - timedelta(hours=5)
    written = Written().add(Happening("policy.loaded", began, subject="r1"), record())
    put(tmp_path, 1, written.sign().lines)
    log = a_log(tmp_path)
    assert log.read(NOW) == began
    assert total(log.day).requests == 1


def test_where_there_is_no_log_yet_it_counts_from_now_on(tmp_path: Path) -> None:
    log = a_log(tmp_path / "audit")
    assert log.read(NOW) == NOW
    put(tmp_path / "audit", 1, Written().add(record()).lines)
    assert log.read(NOW + timedelta(minutes=1)) == NOW
    assert total(log.day).requests == 1


def test_what_is_written_while_the_log_is_first_read_counts_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = Written().add(record())
    put(tmp_path, 1, written.lines)

    def late(files: Iterable[Path]) -> Iterator[Line]:
        put(tmp_path, 1, written.add(record()).lines[-1:])
        return backwards(files)

    monkeypatch.setattr(reading, "backwards", late)
    log = a_log(tmp_path)
    log.read(NOW)
    assert total(log.day).requests == 2


def test_of_a_log_that_is_too_long_the_newest_lines_are_read_and_it_says_since_when(
    tmp_path: Path,
) -> None:
    written = Written().add(*(record(minute=60 - n, duration_us=0) for n in range(60)))
    put(tmp_path, 1, written.lines)
    log = a_log(tmp_path, lines=20)
    assert log.read(NOW) == NOW - timedelta(minutes=21)
    assert total(log.day).requests == 20
    put(tmp_path, 1, written.add(record()).lines[-1:])
    log.read(NOW)
    assert total(log.day).requests == 21


def test_reading_ends_at_the_day_and_not_at_the_log(tmp_path: Path) -> None:
    """What ended long before is not even looked at; what only began before is left out."""
    old = [record(minute=60 * 24 * 3 + n) for n in range(50)]
    begun = record(minute=60 * 25 + 1, duration_us=3_600_000_000 * 20)
    put(tmp_path, 1, Written().add(*old, begun, record()).lines)
    looked = []
    log = a_log(tmp_path)
    log.read(NOW, lambda: looked.append(1))
    assert total(log.day).requests == 1
    assert len(looked) == 3


def test_the_day_has_a_bound_and_gets_coarser_above_it_but_loses_no_request() -> None:
    apps = [record(app=f"app{n}", minute=n % 50) for n in range(200)]
    found = day(*apps, most=150)
    assert (found.detail, total(found).requests) == (Detail.WITHOUT_APPS, 200)
    assert found.cells <= 150
    sizes = [
        record(minute=n % 50, prompt_tokens=1 << (8 + n % 12), needs=(f"word{n % 7}",))
        for n in range(4000)
    ]
    found = day(*apps, *sizes, most=150)
    assert (found.detail, total(found).requests) == (Detail.BY_MODEL, 4200)
    # No more than one of each model in a minute, but for those that became more demanding.
    assert found.cells < 400


def test_a_coarse_day_flatters_nobody() -> None:
    """Requests that are one whatever they ask count as asking for all that any of them did."""
    plain = [record(minute=n % 300) for n in range(300)]
    demanding = record(needs=("images",), prompt_tokens=9000)
    exact = of(score(*plain, demanding), "openai")
    coarse = day(demanding, *plain, most=10)
    assert coarse.detail is Detail.BY_MODEL
    (kind,) = {kind for cells in coarse.hours.values() for kind in cells}
    assert (kind.needs, kind.room) == (("images",), rounded(9010))
    assert exact.score is not None
    assert exact.score > 0.99


def test_room_is_rounded_up_to_what_contexts_are() -> None:
    assert [rounded(n) for n in (1, 256, 257, 384, 385, 2048, 2049, 3072, 3073, 4096, 4097)] == [
        *(256, 256, 384, 384, 512, 2048, 3072, 3072, 4096, 4096, 6144),
    ]


def test_a_clock_that_was_set_back_leaves_no_record_for_ever(tmp_path: Path) -> None:
    ahead = record(minute=-60 * 24 * 400)
    put(tmp_path, 1, Written().add(record(), ahead).lines)
    log = a_log(tmp_path)
    log.read(NOW)
    assert total(log.day).requests == 1
    assert datetime.fromtimestamp(max(log.day.hours) * 3600, UTC) == NOW
