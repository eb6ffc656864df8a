"""``gateway audit`` as a person runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.audit.content import Contents, generate, recipient
from gateway.audit.happening import Happening
from gateway.cli.main import root
from tests.audit.logs import NOW, Signer, Written, joined, request

BAN = Happening("vendor.banned", NOW, "local:root", "openai", "an order")


@pytest.fixture
def written() -> Written:
    return Written().add(request(1), request(2), BAN).sign().add(request(3), request(4))


@pytest.fixture
def log(written: Written, tmp_path: Path) -> Path:
    written.save(tmp_path / "log", 3)
    return tmp_path / "log"


def run(*words: object) -> Result:
    return CliRunner().invoke(root, ["audit", *map(str, words)])


def verified(*words: object) -> tuple[int, dict[str, Any]]:
    """Exit code, and the answer as data."""
    done = run("verify", *words, "--format", "json")
    return done.exit_code, json.loads(done.stdout)


def test_a_good_log_says_what_it_is_worth(log: Path, written: Written) -> None:
    """Who signed it, what nobody did, and what cannot be known."""
    done = run("verify", log)
    assert done.exit_code == 0
    assert (
        done.output
        == f"""\
{log}: 2 segments, 6 lines (1 checkpoint, 1 event, 4 requests)
seq 1 (2026-06-01T12:00:01Z) to 6 (2026-06-01T12:00:04Z)
good: every line is as it was written, up to hash {written.head.hash}
signed: up to seq 4 (2026-06-01T12:00:00Z), by the key {written.signer.id} that lies beside the log
  2 lines behind it: nobody vouches for that yet
end: not known. A log that was cut off at its end looks like one that was not: only
  --checkpoint, with a copy from elsewhere, can tell (audit.checkpoints.copy_to)
"""
    )


def test_an_altered_log_is_not_good(log: Path) -> None:
    """The line that was altered is named, though the next is the first that does not fit."""
    file = log / "audit-00000001.jsonl"
    file.write_bytes(file.read_bytes().replace(b'"cost":115', b'"cost":1', 1))
    done = run("verify", log)
    assert done.exit_code == 1
    assert f"NOT GOOD: {file}, line 1, seq 1, by the check 'prev'\n" in done.output
    assert "no line before it is good" in done.output
    code, found = verified(log)
    assert (code, found["good"], found["seq"], found["fault"]["seq"]) == (1, False, 0, 1)
    assert found["fault"]["check"] == "prev"


def test_a_log_that_was_cut_off_is_only_missed_by_a_copy(log: Path, written: Written) -> None:
    """Kept elsewhere, of a checkpoint that is gone with its lines."""
    copy = log / "copy.jsonl"
    copy.write_bytes(joined(written.sign().lines[-1:]))
    file = log / "audit-00000002.jsonl"
    file.write_bytes(joined(written.lines[3:4]))
    code, found = verified(log)
    assert (code, found["seq"], found["unvouched"]) == (0, 4, 0)
    done = run("verify", log, "--checkpoint", copy)
    assert done.exit_code == 1
    assert f"NOT GOOD: {file}, its end, seq 5, by the check 'external'" in done.output
    assert f"expected lines up to seq 7 at least, the checkpoint in line 1 of {copy}" in done.output
    assert "found    the end of the log behind seq 4" in done.output


def test_copies_that_agree_say_how_far_nothing_is_missing(log: Path, written: Written) -> None:
    """One line of the file is enough."""
    copy = log / "copy.jsonl"
    copy.write_bytes(written.lines[3])
    key = log / "keys" / f"{written.signer.id}.pub"
    done = run("verify", log, "--checkpoint", copy, "--key", key)
    assert done.exit_code == 0
    assert "end: 1 copies agree, the last of seq 4" in done.output
    assert f"by the key {written.signer.id} that was given" in done.output


def test_a_log_that_was_written_anew_by_who_has_the_key_is_known_by_a_copy(
    log: Path, written: Written, tmp_path: Path
) -> None:
    """And by nothing else."""
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes(written.lines[3])
    anew = Written().add(request(1), request(2, outcome="broken"), BAN).sign().add(request(3))
    anew.save(log, 3)
    assert verified(log)[0] == 0
    code, found = verified(log, "--checkpoint", copy)
    assert (code, found["fault"]["check"], found["fault"]["seq"]) == (1, "external", 4)
    assert found["fault"]["found"] == "another line: what stands here was written anew"


def test_a_key_that_is_not_trusted_vouches_for_nothing(log: Path, tmp_path: Path) -> None:
    """Whoever put his own key beside the log is known by the one that was kept."""
    kept = Signer(2)
    key = tmp_path / "kept.pub"
    key.write_bytes(kept.pem)
    code, found = verified(log, "--key", key)
    assert (code, found["fault"]["check"], found["fault"]["seq"]) == (1, "key", 4)
    assert found["fault"]["expected"] == f"a key that is trusted: {kept.id}"
    key.write_text("no key")
    done = run("verify", log, "--key", key)
    assert "is no public key of an audit log" in str(done.exception)


def test_a_log_whose_process_was_killed_is_good_and_says_what_is_torn(
    log: Path, written: Written
) -> None:
    """Before the next start, and after it, which sets the torn line aside and tells of it."""
    file = log / "audit-00000002.jsonl"
    whole = file.read_bytes()
    file.write_bytes(whole + b'{"api":"chat/comp')
    done = run("verify", log)
    assert done.exit_code == 0
    assert f"{file}, line 4: 17 bytes without an end" in done.output
    torn = Happening(
        "audit.torn", NOW, subject=file.name, detail={"bytes": 17, "kept": "torn-7.bin"}
    )
    ended = Happening("audit.unclean_end", NOW, subject="worker", detail={"may_be_missing": "0.1"})
    written.add(torn, ended).save(log, 3)
    done = run("verify", log)
    assert done.exit_code == 0
    assert (
        "seq 7 2026-06-01T12:00:00Z audit.torn audit-00000002.jsonl bytes=17 kept=torn-7.bin\n"
        "seq 8 2026-06-01T12:00:00Z audit.unclean_end worker may_be_missing=0.1\n"
    ) in done.output


def removed(written: Written) -> Happening:
    """The word of the removal of the first segment."""
    detail: dict[str, str | int] = {"first_seq": 1, "last_seq": 3}
    last = json.loads(written.lines[3])["prev"]
    return Happening("audit.deleted", NOW, subject="audit-1", detail={**detail, "last_hash": last})


def test_a_log_may_begin_later_where_it_says_why(log: Path, written: Written) -> None:
    """The hash of the last line that was removed is that which the first one left names."""
    (log / "audit-00000001.jsonl").unlink()
    code, found = verified(log)
    assert (code, found["fault"]["check"], found["first"]) == (1, "beginning", 4)
    written.add(removed(written)).save(log, 3)
    (log / "audit-00000001.jsonl").unlink()
    done = run("verify", log)
    assert done.exit_code == 0
    assert "audit.deleted audit-1 first_seq=1 last_hash=" in done.output


def test_the_word_of_another_removal_does_not_do(log: Path, written: Written) -> None:
    """Of other lines with the same numbers."""
    said = removed(written)
    other = Happening(said.event, NOW, detail={**said.detail, "last_hash": "0" * 64})
    written.add(other).save(log, 3)
    (log / "audit-00000001.jsonl").unlink()
    assert verified(log)[1]["fault"]["check"] == "beginning"


def test_a_missing_segment_is_named(written: Written, tmp_path: Path) -> None:
    """By the files beside it."""
    written.save(tmp_path, 2, 4)
    (tmp_path / "audit-00000002.jsonl").unlink()
    code, found = verified(tmp_path)
    assert (code, found["fault"]["check"], found["fault"]["seq"]) == (1, "segment", 3)
    assert found["fault"]["found"] == (
        "seq 5: 2 lines are not here, of files between audit-00000001.jsonl and this one"
    )


def test_lines_that_a_running_gateway_missed_are_missing(log: Path, written: Written) -> None:
    """Though the chain goes on from where it was cut off."""
    shortened = Happening("audit.shortened", NOW, detail={"seq": 9, "left": 6, "hash": "x"})
    written.add(shortened).save(log, 3)
    code, found = verified(log)
    assert (code, found["fault"]["check"], found["seq"]) == (1, "shortened", 7)
    assert found["fault"]["expected"] == "lines up to seq 9, which had been written"


def test_a_log_that_is_not_there_is_no_good_log(tmp_path: Path) -> None:
    done = run("verify", tmp_path)
    assert done.exit_code == 1
    assert "there is no audit log in" in str(done.exception)


def test_the_tail_says_of_a_request_what_a_person_asks(log: Path) -> None:
    """In one line each."""
    assert run("tail", log, "-n", 4).output.splitlines() == [
        "2026-06-01 12:00:00.000Z  vendor.banned openai by local:root: an order",
        f"2026-06-01 12:00:00.000Z  checkpoint 4, signed by {Signer().id}",
        "2026-06-01 12:00:03.000Z  k1 shop/checkout  gpt-4o → openai/gpt-4o  allow by vendors  "
        "served 200  812 ms (first 300)  14+8 tokens",
        "2026-06-01 12:00:04.000Z  k1 shop/checkout  gpt-4o → openai/gpt-4o  allow by vendors  "
        "served 200  812 ms (first 300)  14+8 tokens",
    ]
    assert len(run("tail", log, "--kind", "event").output.splitlines()) == 1
    assert len(run("tail", log, "--outcome", "served").output.splitlines()) == 4
    (line,) = run("tail", log, "-n", 1, "--format", "json").output.splitlines()
    assert json.loads(line)["served_by"] == "openai/gpt-4o"


def test_the_tail_says_what_the_gateway_asked_by_itself(tmp_path: Path) -> None:
    asked = request(1, origin="canary", key=None)
    Written().add(asked).save(tmp_path, 1)
    assert "  canary shop/checkout  gpt-4o → " in run("tail", tmp_path).output


def test_what_an_app_chose_does_not_steer_the_terminal(tmp_path: Path) -> None:
    """Escape sequences are shown as what they are not."""
    Written().add(request(1, model="a\x1b[2Jb\r\n\x9bc")).save(tmp_path)
    line = run("tail", tmp_path).output.removesuffix("\n")
    assert line.isprintable()
    assert "a\ufffd[2Jb\ufffd\ufffd\ufffdc → " in line


@pytest.fixture
def following(log: Path) -> Iterator[subprocess.Popen[str]]:
    words = ("tail", str(log), "-n", "1", "-f", "--kind", "request")
    code = "from gateway.cli import main; main()"
    # Whoever runs the tests in the background has it ignore SIGINT, and its children with it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [sys.executable, "-c", code, "audit", *words], stdout=subprocess.PIPE, text=True
    )
    signal.signal(signal.SIGINT, before)
    yield process
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def test_the_tail_goes_on_over_the_end_of_a_segment_until_it_is_stopped(
    log: Path, written: Written, following: subprocess.Popen[str]
) -> None:
    """Each line once."""
    assert following.stdout is not None
    assert "12:00:04" in following.stdout.readline()
    written.add(request(5), BAN, request(6))
    with (log / "audit-00000002.jsonl").open("ab") as stream:
        stream.write(joined(written.lines[6:7]))
    assert "12:00:05" in following.stdout.readline()
    (log / "audit-00000003.jsonl").write_bytes(joined(written.lines[7:]))
    assert "12:00:06" in following.stdout.readline()
    os.kill(following.pid, signal.SIGINT)
    assert following.wait(timeout=10) == 0


def test_a_query_shows_lines_and_what_they_come_to(log: Path) -> None:
    """In text, as data, and as the lines of the log themselves."""
    done = run("query", log, "--team", "shop", "--since", "2026-06-01T12:00:02Z")
    assert done.exit_code == 0
    assert done.output.splitlines()[-2:] == [
        "3 requests: 3 served",
        "42 + 24 tokens, cost 0.000345",
    ]
    assert run("query", log, "--event", "vendor").output.splitlines()[-1] == "1 event"
    told = json.loads(run("query", log, "--limit", 2, "--format", "json").output)
    assert [line["id"] for line in told["lines"]] == ["req-1", "req-2"]
    assert told["sums"] == {
        "requests": 2,
        "events": 0,
        "outcomes": {"served": 2},
        "prompt_tokens": 28,
        "completion_tokens": 16,
        "silent": 0,
        "cost": 230,
        "priceless": 0,
        "bad_lines": 0,
    }
    empty = json.loads(run("query", log, "--team", "none", "--format", "json").output)
    assert empty["lines"] == []
    lines = run("query", log, "--format", "jsonl", "--event").output
    assert lines.encode() == joined(Written().add(request(1), request(2), BAN).lines[2:])


@pytest.mark.parametrize("format_", ["ocsf", "csv", "parquet"])
def test_an_export_is_a_file_for_its_owner_alone(log: Path, tmp_path: Path, format_: str) -> None:
    """Which replaces what was there, when it is whole."""
    out = tmp_path / "out"
    out.write_text("before")
    done = run("export", log, "--format", format_, "--out", out)
    assert done.output == f"{out}: 5 lines of the log\n"
    assert out.stat().st_mode & 0o777 == 0o600
    assert out.read_bytes()[:4] in (b'{"ac', b"kind", b"PAR1")
    assert list(tmp_path.glob(".out*")) == []


def test_an_export_that_leaves_lines_out_says_so(log: Path, tmp_path: Path) -> None:
    """And where that cannot be written, nothing is left behind."""
    file = log / "audit-00000001.jsonl"
    file.write_bytes(b"nonsense\n" + file.read_bytes())
    done = run("export", log, "--format", "csv", "--out", tmp_path / "out")
    assert done.exit_code == 1
    assert f"1 line left out, the first in {file}, line 1" in done.output
    done = run("export", log, "--format", "csv", "--out", tmp_path / "none" / "out")
    assert "cannot be written: No such file or directory" in str(done.exception)


def test_without_its_extra_parquet_says_what_to_install(log: Path, tmp_path: Path) -> None:
    """In an interpreter that has no arro3."""
    code = "import sys; sys.modules['arro3'] = None\nfrom gateway.cli import main; main()"
    words = ("audit", "export", log, "--format", "parquet", "--out", tmp_path / "out")
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "pip install 'sovereign-gateway[parquet]'" in done.stderr
    assert list(tmp_path.glob("*out*")) == []


def test_content_is_opened_by_who_has_the_key(tmp_path: Path) -> None:
    """As it was, or for a person; another key opens nothing."""
    pem, public = generate()
    key = tmp_path / "content.pem"
    key.write_bytes(pem)
    sha256 = Contents(tmp_path / "sealed", recipient(public, tmp_path)).keep(
        "req-1", NOW, b'{"model":"m"}', [b"an \x1b[2J", b"answer"]
    )
    (file,) = (tmp_path / "sealed").glob("*/req-1.sealed")
    done = run("open-content", file, "--key", key)
    assert done.exit_code == 0
    assert done.stderr == f"req-1 of 2026-06-01T12:00:00+00:00, file sha256 {sha256}\n"
    assert done.stdout == (
        '--- request, 13 bytes\n{"model":"m"}\n--- answer, 13 bytes\nan \ufffd[2Janswer\n'
    )
    assert run("open-content", file, "--key", key, "--part", "answer").stdout_bytes == (
        b"an \x1b[2Janswer"
    )
    key.write_bytes(generate()[0])
    done = run("open-content", file, "--key", key)
    assert "this content is for another key, or was altered" in str(done.exception)
