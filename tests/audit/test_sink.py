"""What becomes of records while the log cannot be written, and when a process ends."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import re
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gateway.audit.content import Contents, generate, private_key, recipient, unseal
from gateway.audit.files import locked
from gateway.audit.happening import Happening
from gateway.audit.log import LOCK, Log
from gateway.audit.prompts import prompt_hmac
from gateway.audit.reader import BadLine, Request, log_files, read_log
from gateway.audit.record import AttemptRecord, Record
from gateway.audit.rules import Rules
from gateway.audit.sink import UNFORESEEN, LogSink, append
from gateway.audit.transcript import Keeps, Transcript
from gateway.audit.trusted import trusted
from gateway.audit.verify import verify
from gateway.background import Background
from gateway.errors import AuditUnavailable, StateError
from tests.audit.disks import fill, small_disk
from tests.audit.logs import judged
from tests.audit.verifier import verified
from tests.waiting import until

RULES = Rules(checkpoint_seconds=3600)


def record(id: str) -> Record:
    return Record(id=id, at=datetime.now(UTC), api="chat/completions")


def long() -> Happening:
    """More than what may be free in the last block of a file on a full disk."""
    return Happening("test.long", datetime.now(UTC), reason="x" * 5000)


def lines(folder: Path, kind: str) -> list[dict[str, Any]]:
    return [line for line in verified(folder) if line["kind"] == kind]


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of its own, of 128 kB."""
    with small_disk(tmp_path / "small", "128k") as folder:
        yield folder


def test_a_process_tells_that_it_is_there_and_that_it_goes(tmp_path: Path) -> None:
    sink = LogSink(Log(tmp_path, RULES), "serving", Background())
    sink.write(record("one"))
    sink.close()
    told = [(line.get("event"), line.get("id")) for line in verified(tmp_path)]
    assert told == [
        ("gateway.started", None),
        (None, None),
        (None, "one"),
        ("gateway.stopped", None),
        (None, None),
    ]
    assert verified(tmp_path)[-1]["kind"] == "checkpoint"
    assert verified(tmp_path)[0]["detail"] == {"pid": os.getpid()}
    assert not list((tmp_path / "running").iterdir())


def test_a_record_has_what_was_filled_and_nothing_else(tmp_path: Path) -> None:
    sink = LogSink(Log(tmp_path, RULES), "serving", Background())
    filled = record("one")
    filled.labels = filled.labels.__class__(team="a", tags=frozenset("zyx"))
    filled.status = 200
    sink.write(filled)
    sink.close()
    (line,) = lines(tmp_path, "request")
    assert set(line) - {"at", "prev", "seq"} == {
        *("api", "duration_us", "id", "kind", "labels", "outcome", "sent_characters"),
        *("status", "stream"),
    }
    assert line["labels"] == {"team": "a", "tags": ["x", "y", "z"]}


def test_a_full_disk_costs_no_record(small: Path) -> None:
    """What was being written is taken back as a whole; it is all there when there is room."""
    sink = LogSink(Log(small / "audit", RULES), "serving", Background())
    filler = fill(small)
    for number in range(300):
        sink.write(record(str(number)))
    until(lambda: sink.standing.problem is not None)
    assert sink.standing.problem == "No space left on device"
    sink.check()
    filler.unlink()
    until(lambda: sink.standing.problem is None and sink.standing.waiting == 0)
    sink.close()
    assert [line["id"] for line in lines(small / "audit", "request")] == [
        str(number) for number in range(300)
    ]


def test_what_is_too_much_to_wait_is_counted_and_told(small: Path) -> None:
    """The oldest go, but for what the last block of the file still had room for."""
    sink = LogSink(Log(small / "audit", RULES), "serving", Background(), most=10)
    filler = fill(small)
    for begin in range(0, 60, 5):
        # No more than may wait to be taken: those would be turned away themselves.
        until(sink._queue.empty)
        for number in range(begin, begin + 5):
            sink.write(record(str(number)))
    until(lambda: sink._queue.empty() and len(sink._waiting) == 10)
    filler.unlink()
    until(lambda: sink.standing.problem is None)
    sink.close()
    lost = sink.standing.lost
    (told,) = (line for line in verified(small / "audit") if line.get("event") == "audit.lost")
    assert told["detail"] == {"records": lost}
    written = [int(line["id"]) for line in lines(small / "audit", "request")]
    assert len(written) == 60 - lost < 40
    early = len(written) - 10
    assert written == [*range(early), *range(50, 60)]


def test_who_is_to_refuse_does_so_until_it_can_be_written(small: Path) -> None:
    sink = LogSink(Log(small / "audit", RULES), "serving", Background(), refuse=True)
    sink.check()
    filler = fill(small)
    sink.write(long())
    until(lambda: sink.standing.problem is not None)
    with pytest.raises(AuditUnavailable, match="answers nothing that it cannot record") as refused:
        sink.check()
    assert (refused.value.status, refused.value.code) == (503, "audit_unavailable")
    assert refused.value.again
    filler.unlink()
    until(lambda: sink.standing.problem is None)
    sink.check()
    sink.close()


def test_what_is_given_up_at_the_end_is_told_by_the_next_start(small: Path) -> None:
    sink = LogSink(Log(small / "audit", RULES), "serving", Background())
    filler = fill(small)
    sink.write(long())
    sink.close()
    filler.unlink()
    LogSink(Log(small / "audit", RULES), "main", Background()).close()
    (told,) = (x for x in verified(small / "audit") if x.get("event") == "audit.unclean_end")
    assert (told["subject"], told["detail"]["pid"]) == ("serving", os.getpid())
    assert "test.long" not in {line.get("event") for line in verified(small / "audit")}


def test_a_disk_that_is_full_at_the_start_is_said(small: Path) -> None:
    Log(small / "audit", RULES)
    fill(small)
    with pytest.raises(StateError, match=r"cannot be written \(No space left on device\)"):
        LogSink(Log(small / "audit", RULES), "serving", Background())
    assert not list((small / "audit" / "running").iterdir())


def test_a_writer_that_is_held_up_is_no_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that does not answer counts as one that says no."""
    monkeypatch.setattr("gateway.audit.sink.STUCK", 0.3)
    sink = LogSink(Log(tmp_path, RULES), "serving", Background(), refuse=True)
    with locked(tmp_path / LOCK):
        sink.write(record("one"))
        until(lambda: sink.standing.problem is not None)
        assert re.match(r"the disk has not answered for \d+ s", sink.standing.problem or "")
        with pytest.raises(AuditUnavailable):
            sink.check()
    until(lambda: sink.standing.problem is None)
    sink.close()
    assert [line["id"] for line in lines(tmp_path, "request")] == ["one"]


def _serve(folder: Path) -> None:
    sink = LogSink(Log(folder, Rules(checkpoint_lines=20)), "serving", Background())
    number = 0
    while True:
        sink.write(record(f"{os.getpid()}.{number}"))
        number += 1
        if number % 10 == 0:
            time.sleep(0.002)
        while sink.standing.waiting > 5000:
            # Of more than may wait some would be missing, and it is told.
            time.sleep(0.01)


def _there(folder: Path, pid: int | None) -> bool:
    return any((folder / "running").glob(f"{pid}-*"))


def test_processes_that_are_killed_leave_a_log_that_verifies(tmp_path: Path) -> None:
    """Each was writing all the time; at most its last batch is missing, and that is told."""
    context = multiprocessing.get_context("spawn")
    for _ in range(4):
        writers = [context.Process(target=_serve, args=(tmp_path,)) for _ in range(3)]
        for writer in writers:
            writer.start()
        for writer in writers:
            until(partial(_there, tmp_path, writer.pid))
        time.sleep(0.7)
        for writer in writers:
            os.kill(writer.pid or 0, signal.SIGKILL)
        for writer in writers:
            writer.join(10)
    LogSink(Log(tmp_path, RULES), "main", Background()).close()
    told = verified(tmp_path)
    ended = [x["detail"]["pid"] for x in told if x.get("event") == "audit.unclean_end"]
    assert len(ended) == len(set(ended)) == 12
    assert {
        x["detail"]["may_be_missing"] for x in told if x.get("event") == "audit.unclean_end"
    } == {"0.1 s"}
    by_process: dict[str, list[int]] = {}
    for line in told:
        if line["kind"] == "request":
            process, _, number = line["id"].partition(".")
            by_process.setdefault(process, []).append(int(number))
    assert {int(process) for process in by_process} <= set(ended)
    assert all(numbers == list(range(len(numbers))) for numbers in by_process.values())


def test_who_ends_is_not_taken_for_killed_while_it_is_there(tmp_path: Path) -> None:
    one = LogSink(Log(tmp_path, RULES), "serving", Background())
    other = LogSink(Log(tmp_path, RULES), "serving", Background())
    one.close()
    other.close()
    assert "audit.unclean_end" not in {line.get("event") for line in verified(tmp_path)}


def test_a_command_appends_without_a_gateway_and_beside_one(tmp_path: Path) -> None:
    told = Happening(
        "vendor.banned", datetime.now(UTC), "local:op", "openai", "why \ud800", {"n": 1}
    )
    append(tmp_path / "state" / "audit", told)
    sink = LogSink(Log(tmp_path / "state" / "audit", RULES), "serving", Background())
    append(tmp_path / "state" / "audit", told)
    sink.close()
    both = [x for x in verified(tmp_path / "state" / "audit") if x.get("actor") == "local:op"]
    assert [(x["subject"], x["reason"], x["detail"]) for x in both] == [
        ("openai", "why \ufffd", {"n": 1})
    ] * 2
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match="cannot be written: Not a directory"):
        append(tmp_path / "file" / "audit", told)


def test_prompts_are_known_by_their_hmac_alone(tmp_path: Path) -> None:
    sink = LogSink(Log(tmp_path, RULES), "serving", Background(), keeps=Keeps(key=b"k" * 32))
    for id, body in (("one", b'{"messages": ["secret words"]}'), ("two", b"no json")):
        transcript = sink.begin()
        assert transcript is not None
        assert not transcript.heard
        transcript.request = body
        sink.write(record(id), transcript)
    sink.close()
    one, two = lines(tmp_path, "request")
    assert one["prompt_hmac"] == prompt_hmac(
        b"k" * 32, b'{"messages":["secret words"],"model":"x"}'
    )
    assert "prompt_hmac" not in two
    assert b"secret" not in b"".join(x.read_bytes() for x in tmp_path.glob("*.jsonl"))


def test_contents_are_sealed_and_the_record_has_their_digest(tmp_path: Path) -> None:
    pem, public = generate()
    contents = Contents(tmp_path / "content", recipient(public, tmp_path))
    sink = LogSink(
        Log(tmp_path / "audit", RULES), "serving", Background(), keeps=Keeps(contents=contents)
    )
    transcript = sink.begin()
    assert transcript is not None
    transcript.request = b'{"messages": ["secret words"]}'
    transcript.answer += [b"data: sec", b"ret answer\n\n"]
    told = record("one")
    sink.write(told, transcript)
    sink.close()
    (file,) = (tmp_path / "content").glob("*/*.sealed")
    assert file.name == "one.sealed"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert b"secret" not in file.read_bytes()
    (line,) = lines(tmp_path / "audit", "request")
    digest = subprocess.run(["sha256sum", file], capture_output=True, text=True, check=True).stdout
    assert digest.startswith(line["content"])
    found = unseal(private_key(pem), file.read_bytes())
    assert (found.header.id, found.header.at) == ("one", told.at)
    assert (found.request, found.answer) == (transcript.request, b"data: secret answer\n\n")


def test_contents_that_cannot_be_written_are_told_and_refused(small: Path, tmp_path: Path) -> None:
    """The record is written all the same; with `refuse`, no other request is answered until there
    is room, though none comes to show it.
    """
    _, public = generate()
    keeps = Keeps(contents=Contents(small / "content", recipient(public, tmp_path)))
    sink = LogSink(
        Log(tmp_path / "audit", RULES), "serving", Background(), refuse=True, keeps=keeps
    )
    filler = fill(small)
    sink.write(record("one"), sink.begin())
    until(lambda: sink.standing.problem is not None)
    with pytest.raises(AuditUnavailable):
        sink.check()
    filler.unlink()
    until(lambda: sink.standing.problem is None)
    sink.write(record("two"), sink.begin())
    sink.close()
    one, two = lines(tmp_path / "audit", "request")
    assert (one["content"], len(two["content"])) == ("lost", 64)
    (lost,) = (x for x in verified(tmp_path / "audit") if x.get("event") == "audit.lost")
    assert lost["detail"] == {"contents": 1}
    assert json.dumps(sorted(x.name for x in small.rglob("*") if x.is_file())) == '["two.sealed"]'


class _Faulty(Keeps):
    """What nobody has foreseen."""

    def begin(self) -> Transcript:
        return Transcript(heard=False)

    def add(self, record: Record, of: Transcript) -> None:
        raise LookupError


def test_a_writer_that_fails_as_nobody_foresaw_is_begun_again(tmp_path: Path) -> None:
    """Nothing goes on meanwhile as if all were written down. No record is lost for it; that its
    words are is told.
    """
    background = Background()
    sink = LogSink(
        Log(tmp_path, RULES),
        "serving",
        background,
        refuse=True,
        keeps=_Faulty(),
    )
    sink.check()
    sink.write(record("1"), sink.begin())
    until(lambda: sink.standing.problem == UNFORESEEN)
    with pytest.raises(AuditUnavailable):
        sink.check()
    sink.write(record("2"))
    until(lambda: sink.standing.problem is None)
    sink.check()
    assert background.failures == {"audit": 1}
    assert sink.standing.contents == 1
    sink.close()
    assert [one["id"] for one in lines(tmp_path, "request")] == ["1", "2"]
    assert [one["event"] for one in lines(tmp_path, "event")] == [
        "gateway.started",
        "audit.lost",
        "gateway.stopped",
    ]


def broken(id: str) -> Record:
    """With what its types forbid, and only a defect of ours would put there."""
    told = record(id)
    told.model, told.outcome, told.cost = "m", "served", math.nan  # type: ignore[assignment]
    told.targets = (judged("openai/gpt-4o"),)
    told.attempts.append(AttemptRecord("openai/gpt-4o", object(), 1, "r"))  # type: ignore[arg-type]
    return told


def test_a_record_that_cannot_be_written_holds_up_none(tmp_path: Path) -> None:
    """What of it can be is there under its id, with the names of the rest; and an event tells of it
    to who verifies the log.
    """
    background = Background()
    sink = LogSink(Log(tmp_path, RULES), "serving", background)
    detail = {"name": object()}
    made = Happening("key.made", datetime.now(UTC), subject="k", detail=detail)  # type: ignore[arg-type]
    for told in (record("1"), broken("2"), made, record("3")):
        sink.write(told)
    sink.close()
    assert background.failures == {"audit": 0}
    assert [one["id"] for one in lines(tmp_path, "request")] == ["1", "2", "3"]
    (part,) = (one for one in lines(tmp_path, "request") if one["id"] == "2")
    assert part["unwritten"] == ["attempts", "cost"]
    assert (part["model"], part["outcome"]) == ("m", "served")
    assert [one["target"] for one in part["targets"]] == ["openai/gpt-4o"]
    (event,) = (one for one in lines(tmp_path, "event") if one["event"] == "key.made")
    assert (event["subject"], "detail" in event) == ("k", False)
    read = [one for one in read_log(log_files(tmp_path)) if isinstance(one, BadLine)]
    assert not read
    noted = verify(log_files(tmp_path), trusted(tmp_path)).noted
    assert [(one.event, one.subject, one.detail) for one in noted] == [
        ("audit.incomplete", "2", {"attempts": "TypeError", "cost": "ValidationError"}),
        ("audit.incomplete", "key.made", {"detail": "TypeError"}),
    ]


def test_nothing_of_a_record_but_that_it_was_there(tmp_path: Path) -> None:
    """Not even its id, its time and its path could be written: it is no line less."""
    Log(tmp_path, RULES).append([Record(object(), object(), object())])  # type: ignore[arg-type]
    (one,) = (one for one in read_log(log_files(tmp_path)) if isinstance(one, Request))
    assert (one.record.id, one.record.api) == ("unknown", "unknown")
    assert one.record.unwritten == ("api", "at", "id")


def test_a_writer_that_goes_on_failing_keeps_no_process_from_its_end(tmp_path: Path) -> None:
    sink = LogSink(Log(tmp_path, RULES), "serving", Background(), keeps=_Faulty())
    for number in range(20):
        sink.write(record(str(number)), sink.begin())
    sink.close()
    assert sink.standing.contents > 0
