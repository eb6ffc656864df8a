"""What the doctor says of the audit log, the disk and the clock."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.audit.log import Log
from gateway.audit.record import Record
from gateway.readiness.canary.successes import Successes
from gateway.readiness.doctor.clocks import behind, synchronised
from gateway.readiness.doctor.disk import growth, space
from gateway.readiness.doctor.examined import Examined, Segment, Volume
from tests.audit.logs import NOW, Written, request
from tests.doctor.checkout import Checkout, said

GB = 1 << 30


def served(number: int, **fields: Any) -> Record:
    return request(number, at=datetime.now(UTC), **fields)


@pytest.fixture
def log(checkout: Checkout) -> Path:
    """A log as the gateway writes it, with its own key."""
    written = Log(checkout.state / "audit")
    written.append([served(number) for number in range(1, 6)], sign=True)
    written.append([served(6, served_by="local/tiny")], sign=True)
    written.close()
    return checkout.state / "audit"


def test_a_log_that_is_whole_is_not_spoken_of(checkout: Checkout, log: Path) -> None:
    """But for what is missing elsewhere."""
    found = checkout.found(0, "--only", "audit")
    assert set(found) == {("copies", "audit.checkpoints.copy_to")}
    checkout.configured(more="audit: {checkpoints: {copy_to: copies.jsonl}}\n")
    assert checkout.found(0, "--only", "audit") == {}
    assert checkout.examined("audit").logged.walked == 8


def test_a_line_that_was_altered_is_wrong(checkout: Checkout, log: Path) -> None:
    """Taken out, altered, or signed by nobody who is known."""
    (segment,) = log.glob("audit-*.jsonl")
    whole = segment.read_bytes()
    segment.write_bytes(whole.replace(b'"cost":115', b'"cost":9', 1))
    ((level, subject, message),) = checkout.only("chain", 1)
    assert (level, subject) == ("error", f"{log}, seq 2")
    assert "by the check 'prev'" in message
    lines = whole.splitlines(keepends=True)
    segment.write_bytes(b"".join(lines[:2] + lines[3:]))
    assert "by the check 'seq'" in checkout.only("chain", 1)[0][2]
    segment.write_bytes(whole)
    for key in (log / "keys").glob("*.pub"):
        key.unlink()
    assert "by the check 'key'" in checkout.only("chain", 1)[0][2]


def test_a_line_that_is_just_being_written_is_well(checkout: Checkout, log: Path) -> None:
    """A gateway may run."""
    (segment,) = log.glob("audit-*.jsonl")
    segment.write_bytes(segment.read_bytes() + b'{"kind":"requ')
    assert checkout.only("chain") == []


def test_a_log_that_cannot_be_written_is_wrong(checkout: Checkout) -> None:
    """The folder itself, and where copies go."""
    checkout.state.mkdir()
    (checkout.state / "audit").write_text("a file")
    checkout.configured(more="audit: {checkpoints: {copy_to: gateway.yaml/copies}}\n")
    told = checkout.only("log-writable", 1)
    assert [row[:2] for row in told] == [("error", str(checkout.config / "copies"))]
    assert "is lost then" in told[0][2]


def test_a_key_that_the_log_lost_is_told_of(checkout: Checkout, log: Path) -> None:
    """And one that is named and is not there is wrong, as is a key for prompts."""
    assert checkout.only("log-keys") == []
    (log / "keys" / "signing.pem").unlink()
    ((level, _, message),) = checkout.only("log-keys")
    assert (level, message.endswith("and it is gone")) == ("warning", True)
    checkout.configured(more="audit: {signing_key: 'file:none.pem'}\n")
    assert "none.pem cannot be read" in checkout.only("log-keys", 1)[0][2]
    checkout.configured(more="audit: {prompt_hmac: {key: '${NO_SUCH_KEY}'}}\n")
    assert "audit.prompt_hmac" in checkout.only("log-keys", 1)[0][2]


def test_local_models_that_never_answered_are_named(checkout: Checkout) -> None:
    """Once a gateway ran here; by when each answered last, whoever asked."""
    assert checkout.only("unproven") == []
    written = Log(checkout.state / "audit")
    written.append([served(1)])
    written.close()
    assert [row[:2] for row in checkout.only("unproven")] == [("info", "local/tiny")]
    for days, levels in ((40, ["info"]), (1, [])):
        successes = Successes(checkout.state)
        at = datetime.now(UTC) - timedelta(days=days)
        successes.take(request(1, at=at, served_by="local/tiny", locality="local"))
        successes.exchange()
        assert [row[0] for row in checkout.only("unproven")] == levels


def test_a_clock_behind_the_log_is_wrong(checkout: Checkout, log: Path) -> None:
    """Or behind its files, or what somebody read."""
    assert checkout.only("behind") == []
    found = checkout.examined("clocks")
    (row,) = behind(replace(found, now=found.now - timedelta(hours=1)))
    assert (row.level, row.subject) == ("error", "clock")
    assert {"the last line of the audit log", "this installation"} <= {
        stamp.what for stamp in found.stamps
    }
    assert [*behind(replace(found, now=found.now - timedelta(minutes=1)))] == []


def test_a_log_of_the_future_is_a_clock_that_is_behind(checkout: Checkout) -> None:
    later = datetime.now(UTC) + timedelta(days=2)
    Written().add(request(1, at=later)).sign(later).save(checkout.state / "audit")
    ((_, _, message),) = checkout.only("behind", 1)
    assert "the last line of the audit log is of" in message


@pytest.mark.parametrize(("kept", "levels"), [(False, ["warning"]), (True, []), (None, [])])
def test_a_clock_that_nothing_keeps_is_a_warning(
    checkout: Checkout, kept: bool | None, levels: list[str]
) -> None:
    """Where the kernel says nothing, nothing is said."""
    found = checkout.examined()
    shown = replace(found, machine=replace(found.machine, synchronised=kept))
    assert [finding.level for finding in synchronised(shown)] == levels


def on_disk(
    found: Examined, free: int, *, inodes: int = 0, days: float = 0, size: int = 0
) -> Examined:
    """With so much free, and a log of so many bytes in so many days."""
    began = datetime.now(UTC) - timedelta(days=days)
    logged = replace(
        found.logged,
        segments=(Segment(Path("a"), size, NOW),),
        began=began,
        ended=began + timedelta(days=days),
    )
    volume = Volume(Path("/v"), ("the state", "the audit log"), free, 1000 if inodes else 0, inodes)
    return replace(found, volumes=(volume,), logged=logged)


def test_a_disk_that_is_nearly_full_is_told_of(checkout: Checkout) -> None:
    """By bytes, and by inodes where the file system counts them."""
    found = checkout.examined("disk")
    assert said([*space(on_disk(found, 3 * GB))]) == []
    assert said([*space(on_disk(found, GB))]) == [("warning", "/v")]
    assert said([*space(on_disk(found, 100_000_000))]) == [("error", "/v")]
    assert said([*space(on_disk(found, 3 * GB, inodes=49))]) == [("warning", "/v")]
    assert said([*space(on_disk(found, 3 * GB, inodes=50))]) == []
    (volume, *_) = found.volumes
    assert volume.uses[:2] == ("the state", "the audit log")
    assert volume.free > 0


def test_a_log_that_fills_the_disk_is_told_of(checkout: Checkout) -> None:
    """By the rate of its segments, where nothing is deleted."""
    found = checkout.examined("disk")
    (row,) = growth(on_disk(found, 100 * GB, days=2, size=2 * GB))
    assert (row.level, "room for 100 days" in row.message) == ("info", True)
    assert said([*growth(on_disk(found, 10 * GB, days=2, size=2 * GB))]) == [("warning", "/v")]
    assert said([*growth(on_disk(found, GB, days=2, size=2 * GB))]) == [("error", "/v")]
    # Of a log of minutes nobody can say what it is in a day.
    assert said([*growth(on_disk(found, GB, days=0.01, size=GB))]) == []


@pytest.mark.parametrize("keep", ["max_mb: 10000", "max_age: 864000"])
def test_what_the_log_may_still_grow_by_must_be_free(checkout: Checkout, keep: str) -> None:
    """By its size, or its age at the rate of its segments."""
    checkout.configured(more=f"audit: {{keep: {{{keep}}}}}\n")
    found = checkout.examined("disk")
    assert said([*growth(on_disk(found, 9 * GB, days=1, size=GB))]) == []
    assert said([*growth(on_disk(found, 8 * GB, days=1, size=GB))]) == [("warning", "audit.keep")]
