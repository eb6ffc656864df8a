"""Of a log what is asked for comes out, and what it comes to."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.audit.chosen import ANY, Chosen, Sums, query, within
from gateway.audit.following import Following
from gateway.audit.happening import Happening
from gateway.audit.reader import BadLine, Event, Request
from gateway.audit.record import AttemptRecord
from gateway.domain.decision import Labels, Verdict
from tests.audit.logs import NOW, Written, joined, judged, request

BAN = Happening("vendor.banned", NOW, "local:root", "openai")
LOADED = Happening("model.loaded", NOW, subject="smollm2")
MINE = request(1, client_request_id="mine", key="k2", labels=Labels(team="lab", app="x"))
DENIED = request(
    2,
    model="v3",
    targets=(judged("deepseek/v3", Verdict.DENY, "list"),),
    attempts=[],
    outcome="vendor_blocked",
    served_by=None,
    prompt_tokens=None,
    cost=None,
)
OVER = request(
    3,
    attempts=[
        AttemptRecord("openai/gpt-4o", "server_error", 10, "r1"),
        AttemptRecord("local/smollm2", "served", 20, "r1", 5),
    ],
    served_by="local/smollm2",
    failover="server_error",
)


@pytest.fixture
def log(tmp_path: Path) -> list[Path]:
    return Written().add(MINE, BAN).sign().add(DENIED, LOADED, OVER).save(tmp_path / "log", 3)


def found(files: list[Path], **asked: Any) -> list[str]:
    """Ids of requests, names of events."""
    told = []
    for line, text in query(files, Chosen(**asked)):
        assert isinstance(line, Request | Event)
        assert str(line.seq).encode() in text.content
        told.append(line.record.id if isinstance(line, Request) else line.happening.event)
    return told


@pytest.mark.parametrize(
    ("asked", "ids"),
    [
        ({}, [1, 2, 3]),
        ({"key": "k2"}, [1]),
        ({"team": "lab"}, [1]),
        ({"app": "checkout"}, [2, 3]),
        ({"model": "gpt-4o"}, [1, 3]),
        ({"model": "mine"}, []),
        ({"target": "local/smollm2"}, [3]),
        ({"target": "deepseek/v3"}, []),
        ({"vendor": "openai"}, [1, 3]),
        ({"vendor": "local"}, [3]),
        ({"vendor": "deepseek"}, []),
        ({"outcome": "vendor_blocked"}, [2]),
        ({"outcome": "server_error"}, []),
        ({"rule": "list"}, [2]),
        ({"failover": ANY}, [3]),
        ({"failover": "server_error"}, [3]),
        ({"failover": "timeout"}, []),
        ({"id": "req-2"}, [2]),
        ({"id": "mine"}, [1]),
        ({"id": "gpt-4o"}, []),
        ({"since": DENIED.at}, [2, 3]),
        ({"until": DENIED.at}, [1]),
        ({"since": DENIED.at, "until": OVER.at}, [2]),
        ({"app": "checkout", "vendor": "openai"}, [3]),
    ],
)
def test_requests_are_those_for_which_all_is_so(
    log: list[Path], asked: dict[str, Any], ids: list[int]
) -> None:
    """A word that stands elsewhere in a line is not what was asked for."""
    assert found(log, **asked) == [f"req-{id}" for id in ids]


@pytest.mark.parametrize(
    ("name", "events"),
    [
        (ANY, ["vendor.banned", "model.loaded"]),
        ("vendor", ["vendor.banned"]),
        ("model.loaded", ["model.loaded"]),
        ("loaded", []),
    ],
)
def test_events_are_asked_for_by_name(log: list[Path], name: str, events: list[str]) -> None:
    """One, those about something, or all; no requests then."""
    assert found(log, event=name) == events


def test_what_is_no_line_is_told_and_not_taken_for_one_that_does_not_fit(tmp_path: Path) -> None:
    """As far as the words that are asked for stand in it."""
    (file,) = Written().add(MINE).save(tmp_path)
    file.write_bytes(b'nonsense\n{"team":"lab"\n' + file.read_bytes())
    lines = [line for line, _ in query([file], Chosen(team="lab"))]
    assert [type(line) for line in lines] == [BadLine, Request]
    assert lines[0].place.line == 2


def test_sums_count_what_is_told_and_what_is_not(log: list[Path]) -> None:
    """A request without tokens or a price is counted as such."""
    sums = Sums()
    for asked in (Chosen(), Chosen(event=ANY)):
        for line, _ in query(log, asked):
            sums.add(line)
    assert (sums.requests, sums.events, sums.lines) == (3, 2, 5)
    assert sums.outcomes == {"served": 2, "vendor_blocked": 1}
    assert (sums.prompt_tokens, sums.completion_tokens, sums.silent) == (28, 24, 1)
    assert (sums.cost, sums.priceless) == (230, 1)


def test_segments_that_cannot_hold_a_time_are_not_read(tmp_path: Path) -> None:
    """A request is written when it ends: it may have come in the segment's day before."""
    log = Written()
    days = [timedelta(days=n) for n in range(4)]
    for number, day in enumerate(days):
        log.add(request(number, at=NOW + day), request(number, at=NOW + day + timedelta(hours=1)))
    files = log.save(tmp_path, 2, 4, 6)
    assert within(files, None, None) == files
    hours = timedelta(hours=2)
    assert within(files, NOW + days[2], None) == files[1:]
    assert within(files, NOW + days[2] + hours, None) == files[2:]
    assert within(files, None, NOW + timedelta(seconds=1)) == files[:2]
    assert within(files, None, NOW) == files[:1]
    assert within(files, NOW + timedelta(days=9), None) == files[3:]
    asked = Chosen(NOW + days[1], NOW + days[1] + timedelta(hours=1))
    assert [text.content for _, text in query(files, asked)] == [log.lines[2]]
    files[2].write_bytes(b"nonsense\n")
    assert within(files, NOW + days[3] + hours, None) == [files[1], files[3]]


def seqs(following: Following) -> list[int]:
    return [0 if isinstance(line, BadLine) else line.seq for line in following.more()]


def test_following_goes_over_the_ends_of_segments(tmp_path: Path) -> None:
    """From where it began; a line without its end is waited for, and comes once."""
    log = Written().add(*(request(n) for n in range(8)))
    first, second, third = (tmp_path / f"audit-0000000{n}.jsonl" for n in (1, 2, 3))
    following = Following(tmp_path)
    assert seqs(following) == []
    first.write_bytes(joined(log.lines[:2]))
    assert seqs(following) == [1, 2]
    with first.open("ab") as stream:
        stream.write(joined(log.lines[2:3]) + log.lines[3][:100])
    late = Following(tmp_path)
    assert seqs(following) == [3]
    assert seqs(following) == []
    with first.open("ab") as stream:
        stream.write(log.lines[3][100:] + b"\n" + joined(log.lines[4:5]))
    second.write_bytes(joined(log.lines[5:6]))
    third.write_bytes(joined(log.lines[6:7]))
    assert seqs(following) == [4, 5, 6, 7]
    assert seqs(late) == [4, 5, 6, 7]
    with third.open("ab") as stream:
        stream.write(b"nonsense\n" + joined(log.lines[7:]))
    assert seqs(following) == [0, 8]
    assert seqs(following) == []


def test_what_was_torn_is_not_followed_when_it_is_cut_off(tmp_path: Path) -> None:
    """The next writer sets it aside and writes in its place."""
    log = Written().add(*(request(n) for n in range(3)))
    file = tmp_path / "audit-00000001.jsonl"
    file.write_bytes(joined(log.lines[:1]) + log.lines[1][:90])
    following = Following(tmp_path)
    assert seqs(following) == []
    os.truncate(file, len(log.lines[0]) + 1)
    assert seqs(following) == []
    with file.open("ab") as stream:
        stream.write(joined(log.lines[1:]))
    assert seqs(following) == [2, 3]
    file.unlink()
    assert seqs(following) == []
