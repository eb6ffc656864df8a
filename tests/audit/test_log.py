"""One chain for all processes, whatever becomes of them in between."""

from __future__ import annotations

import json
import multiprocessing
import os
import stat
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from gateway.audit import files
from gateway.audit.chain import Kind, digest
from gateway.audit.checkpoint import public_key, vouches
from gateway.audit.entries import event
from gateway.audit.happening import Happening
from gateway.audit.log import LOCK, Log
from gateway.audit.rules import Fsync, Rules
from gateway.audit.segments import FIRST_LOOK
from gateway.config.signing import generate
from gateway.errors import StateError
from tests.audit.verifier import verified


class Clock:
    """One that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = time.time()

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """That of the log."""
    clock = Clock()
    monkeypatch.setattr("gateway.audit.log.time", clock)
    return clock


QUIET = Rules(checkpoint_lines=1_000_000, checkpoint_seconds=3600)


def told(*numbers: int) -> list[Happening]:
    return [event("test.told", str(number)) for number in numbers]


def events(folder: Path) -> list[str]:
    """What the lines say, in order: the event, or the kind where it is none."""
    return [line.get("event", line["kind"]) for line in verified(folder)]


def test_what_one_process_writes_another_goes_on_with(tmp_path: Path) -> None:
    """Each checks the size that it left the file with, and reads the end again if it is another."""
    one, other = Log(tmp_path, QUIET), Log(tmp_path, QUIET)
    for number in range(6):
        (one, other)[number % 2].append(told(number))
    one.append(told(6))
    one.append(told(7))
    lines = verified(tmp_path)
    assert [line["subject"] for line in lines if line["kind"] == "event"] == [*"01234567"]
    # The first batch of all is signed, as it is not known when one last was.
    assert [line["kind"] for line in lines].count("checkpoint") == 1


def _write(folder: Path, name: str, batches: int) -> None:
    log = Log(folder, Rules(checkpoint_lines=50, segment_bytes=40_000, fsync=Fsync.NEVER))
    for number in range(batches):
        log.append([event("test.told", f"{name}.{number}.{item}") for item in range(3)])


def test_several_processes_make_one_chain(tmp_path: Path) -> None:
    """Over segments that any of them begins; each one's lines stay in their order."""
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write, args=(tmp_path, name, 150)) for name in "abcd"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    lines = verified(tmp_path)
    assert len(list(tmp_path.glob("audit-*.jsonl"))) > 3
    for name in "abcd":
        mine = [line["subject"] for line in lines if line.get("subject", "").startswith(name)]
        assert mine == [f"{name}.{number}.{item}" for number in range(150) for item in range(3)]
    signed = [at for at, line in enumerate(lines) if line["kind"] == "checkpoint"]
    assert max(after - before for before, after in pairwise(signed)) <= 53


@pytest.mark.parametrize("torn", [b'{"at":"2026', b"\0" * 5000, b'{"half":1}\n{"at":'])
def test_what_is_torn_is_kept_aside_and_told(tmp_path: Path, torn: bytes) -> None:
    one, other = Log(tmp_path, QUIET), Log(tmp_path, QUIET)
    one.append(told(1))
    with (tmp_path / "audit-00000001.jsonl").open("ab") as file:
        file.write(torn)
    other.append(told(2))
    one.append(told(3))
    assert events(tmp_path) == ["test.told", "checkpoint", "audit.torn", "test.told", "test.told"]
    (said,) = [line for line in verified(tmp_path) if line.get("event") == "audit.torn"]
    assert said["detail"] == {"bytes": len(torn), "sha256": digest(torn), "kept": "torn-3.bin"}
    assert said["subject"] == "audit-00000001.jsonl"
    kept = tmp_path / "torn-3.bin"
    assert kept.read_bytes() == torn
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_a_log_that_became_shorter_under_a_process_is_told(tmp_path: Path) -> None:
    """Whoever cuts the tail off cannot take it out of the memory of who wrote it."""
    log = Log(tmp_path, QUIET)
    log.append(told(1))
    file = tmp_path / "audit-00000001.jsonl"
    before = file.stat().st_size
    log.append(told(2, 3))
    last = file.read_bytes().splitlines()[-1]
    os.truncate(file, before)
    log.append(told(4))
    assert events(tmp_path) == ["test.told", "checkpoint", "audit.shortened", "test.told"]
    assert verified(tmp_path)[2]["detail"] == {"seq": 4, "hash": digest(last), "left": 2}


def test_a_log_that_was_taken_away_is_begun_anew_and_that_is_told(tmp_path: Path) -> None:
    log = Log(tmp_path, QUIET)
    log.append(told(1, 2))
    (tmp_path / "audit-00000001.jsonl").unlink()
    log.append(told(3))
    assert events(tmp_path)[0] == "audit.shortened"


def test_checkpoints_come_by_lines_and_by_time(tmp_path: Path, clock: Clock) -> None:
    """A key that this log has not is no use, nor is one line altered."""
    log = Log(tmp_path, replace(QUIET, checkpoint_lines=3, checkpoint_seconds=30))
    log.append(told(1))
    log.append(told(2, 3))
    log.append(told(4))
    assert [word == "checkpoint" for word in events(tmp_path)] == [0, 1, 0, 0, 0, 1]
    log.append(told(5))
    log.append(())
    assert events(tmp_path)[-1] == "test.told"
    clock.now += 31
    log.append(())
    assert events(tmp_path)[-1] == "checkpoint"
    clock.now += 31
    log.append(())
    assert len(events(tmp_path)) == 8
    last = (tmp_path / "audit-00000001.jsonl").read_bytes().splitlines()[-1]
    (key,) = (tmp_path / "keys").glob("*.pub")
    assert vouches(public_key(key.read_bytes()), last)
    assert not vouches(public_key(key.read_bytes()), last.replace(b'"seq":8', b'"seq":9'))
    (tmp_path / "keys" / "signing.pem").unlink()
    Log(tmp_path)
    (other,) = set((tmp_path / "keys").glob("*.pub")) - {key}
    assert not vouches(public_key(other.read_bytes()), last)


def test_a_key_of_ones_own(tmp_path: Path) -> None:
    """That of `gateway policy keygen` will do; what is no key is refused before anything."""
    pem, public = generate()
    (tmp_path / "mine.pem").write_bytes(pem)
    Log(tmp_path / "audit", signing_key=tmp_path / "mine.pem").append(told(1))
    assert verified(tmp_path / "audit")[-1]["key"] == public.id
    assert not (tmp_path / "audit" / "keys" / "signing.pem").exists()
    (tmp_path / "mine.pem").write_bytes(b"no key")
    with pytest.raises(StateError, match="no key for the audit log: expected the PEM file"):
        Log(tmp_path / "audit", signing_key=tmp_path / "mine.pem")
    with pytest.raises(StateError, match="cannot be read: No such file"):
        Log(tmp_path / "audit", signing_key=tmp_path / "none.pem")


def test_who_does_not_sign_writes_all_the_same(tmp_path: Path) -> None:
    Log(tmp_path, signs=False).append(told(1))
    assert events(tmp_path) == ["test.told"]
    assert not (tmp_path / "keys").exists()
    Log(tmp_path).append(told(2))
    assert events(tmp_path) == ["test.told", "test.told", "checkpoint"]


def test_checkpoints_are_copied_elsewhere(tmp_path: Path) -> None:
    """What could not be copied is made up for; the log goes on meanwhile."""
    elsewhere = tmp_path / "mounted" / "checkpoints.jsonl"
    rules = Rules(checkpoint_lines=1, copy_to=elsewhere)
    log = Log(tmp_path / "audit", rules)
    log.append(told(1))
    assert not elsewhere.exists()
    elsewhere.parent.mkdir()
    log.append(told(2))
    Log(tmp_path / "audit", rules).append(told(3))
    copied = [json.loads(line) for line in elsewhere.read_bytes().splitlines()]
    assert copied == [x for x in verified(tmp_path / "audit") if x["kind"] == "checkpoint"]
    assert len(copied) == 3


def test_a_segment_ends_signed_and_the_next_goes_on(tmp_path: Path) -> None:
    log = Log(tmp_path, replace(QUIET, segment_bytes=1000))
    for number in range(20):
        log.append(told(number))
    segments = sorted(tmp_path.glob("audit-*.jsonl"))
    assert len(segments) > 3
    for segment in segments[:-1]:
        assert json.loads(segment.read_bytes().splitlines()[-1])["kind"] == "checkpoint"
    assert [x["subject"] for x in verified(tmp_path) if x["kind"] == "event"] == [
        str(number) for number in range(20)
    ]


def test_a_segment_ends_by_age_over_a_restart(tmp_path: Path, clock: Clock) -> None:
    """Its age is that of its first line."""
    rules = replace(QUIET, segment_seconds=30)
    Log(tmp_path, rules).append(told(1))
    Log(tmp_path, rules).append(told(2))
    assert len(list(tmp_path.glob("audit-*.jsonl"))) == 1
    clock.now += 31
    Log(tmp_path, rules).append(told(3))
    assert len(list(tmp_path.glob("audit-*.jsonl"))) == 2
    assert len(verified(tmp_path)) >= 4


def test_a_segment_without_a_line_is_gone_on_with(tmp_path: Path) -> None:
    """A process was killed between beginning it and writing to it."""
    Log(tmp_path, QUIET).append(told(1))
    (tmp_path / "audit-00000002.jsonl").touch()
    Log(tmp_path, QUIET).append(told(2))
    assert [x["seq"] for x in verified(tmp_path)] == [1, 2, 3]
    assert (tmp_path / "audit-00000002.jsonl").stat().st_size


def test_old_segments_are_deleted_behind_a_signed_word(tmp_path: Path) -> None:
    """So that what is left verifies from where it begins, and it is known what was there."""
    log = Log(tmp_path, replace(QUIET, segment_bytes=1000, keep_bytes=3000))
    last: dict[str, Any] = {}
    for number in range(40):
        log.append(told(number))
        last |= {f.name: f.read_bytes().splitlines()[-1] for f in tmp_path.glob("*.jsonl")}
    assert sum(file.stat().st_size for file in tmp_path.glob("*.jsonl")) < 5000
    lines = verified(tmp_path)
    deleted = [line for line in lines if line.get("event") == "audit.deleted"]
    newest = deleted[-1]
    gone = last[newest["subject"]]
    assert newest["detail"]["last_hash"] == digest(gone) == lines[0]["prev"]
    assert newest["detail"]["last_seq"] == json.loads(gone)["seq"] == lines[0]["seq"] - 1
    assert lines[lines.index(newest) + 1]["kind"] == "checkpoint"


def test_segments_are_deleted_by_age(tmp_path: Path) -> None:
    """Whole ones only, and never the one that is written to; without a signer, none."""
    rules = replace(QUIET, segment_bytes=300, keep_seconds=3600)
    log = Log(tmp_path, rules)
    for number in range(8):
        log.append(told(number))
    segments = sorted(tmp_path.glob("*.jsonl"))
    long_ago = time.time() - 7200
    for segment in (*segments[:2], segments[-1]):
        os.utime(segment, (long_ago, long_ago))
    Log(tmp_path, rules, signs=False).append(told(8))
    assert set(segments) <= set(tmp_path.glob("*.jsonl"))
    Log(tmp_path, replace(rules, checkpoint_lines=1)).append(told(9))
    left = set(tmp_path.glob("*.jsonl"))
    assert left >= set(segments[2:])
    assert not left & set(segments[:2])
    assert len([x for x in verified(tmp_path) if x.get("event") == "audit.deleted"]) == 2


def test_only_we_may_read_it(tmp_path: Path) -> None:
    folder = tmp_path / "state" / "audit"
    Log(folder).append(told(1))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*")}
    assert modes.pop("keys") == stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert set(modes.values()) == {0o600}
    assert "signing.pem" in modes


def test_a_line_longer_than_the_first_look(tmp_path: Path) -> None:
    Log(tmp_path).append([event("test.told", "x" * FIRST_LOOK * 3)])
    Log(tmp_path).append(told(2))
    assert [line["seq"] for line in verified(tmp_path)] == [1, 2, 3]


def test_who_holds_the_lock_for_too_long_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "LOCKED_WITHIN", 0.2)
    log = Log(tmp_path, QUIET)
    with (
        files.locked(tmp_path / LOCK),
        pytest.raises(TimeoutError, match=r"another process has held the lock for 0\.2 s"),
    ):
        log.append(told(1))
    log.append(told(2))
    assert verified(tmp_path)[0]["kind"] == Kind.EVENT
