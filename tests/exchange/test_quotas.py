"""What an app is told of its limits, and what its requests are taken to have used."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.access.account import Ask, Refusal, Rooms, Used
from gateway.access.bucket import PARTS
from gateway.access.callers import Caller
from gateway.access.keys import Key, Limits
from gateway.access.layout import FILE
from gateway.access.ledger import Held, Ledger
from gateway.access.prices import Prices
from gateway.audit.record import AttemptRecord, Record
from gateway.domain.call import Api, Call, Chat, Dialect, Message
from gateway.domain.decision import Labels
from gateway.domain.events import Usage
from gateway.errors import ModelNotFound, StateError, Unavailable
from gateway.http.quotas import Quotas, told, usage_of

NOW = datetime(2026, 11, 26, tzinfo=UTC)
CALL = Call(
    "1", Api.CHAT, "m", False, b"", Chat((Message("user", "Hello"),), max_tokens=5), 0.0, 1.0
)
ROOMY = Limits(requests_per_minute=5)


class Broken:
    """A ledger that has no room for another key."""

    def admit(self, key: str, limits: Limits, ask: Ask) -> tuple[Refusal | Held, Rooms]:
        raise StateError("no room")

    def settle(self, held: Held, used: Used) -> None:
        raise AssertionError("nothing was admitted")

    def rooms(self, key: str, limits: Limits) -> Rooms:
        raise StateError("no room")


def caller(limits: Limits = ROOMY) -> Caller:
    return Caller(Key("k", "app", "", NOW, limits=limits), Labels(), "k")


def nobody_serves(model: str) -> Any:
    raise ModelNotFound(model)


@pytest.mark.parametrize(
    ("micros", "written"),
    [
        (0, "0s"),
        (1, "1ms"),
        (20_000, "20ms"),
        (999_001, "1s"),
        (1_500_000, "1.5s"),
        (59_999_900, "1m0s"),
        (360_000_000, "6m0s"),
        (61_250_000, "1m1.25s"),
    ],
)
def test_a_time_is_written_as_openai_writes_it(micros: int, written: str) -> None:
    rooms = Rooms(Limits(requests_per_minute=9), requests=9 * PARTS - 9 * micros)
    remaining = 9 - -(-9 * micros // PARTS)
    assert told(rooms, Dialect.OPENAI).decode() == (
        "x-ratelimit-limit-requests: 9\r\n"
        f"x-ratelimit-remaining-requests: {max(0, remaining)}\r\n"
        f"x-ratelimit-reset-requests: {written}\r\n"
    )


def test_the_headers_of_either_dialect() -> None:
    """What is told of one bucket, in one instant or the next."""
    rooms = Rooms(Limits(tokens_per_minute=9), tokens=3 * PARTS)
    before = datetime.now(UTC)
    lines = told(rooms, Dialect.ANTHROPIC).decode().split("\r\n")
    *others, reset, nothing = lines
    assert (others, nothing) == (
        [
            "x-ratelimit-limit-tokens: 9",
            "x-ratelimit-remaining-tokens: 3",
            "x-ratelimit-reset-tokens: 40s",
            "anthropic-ratelimit-tokens-limit: 9",
            "anthropic-ratelimit-tokens-remaining: 3",
        ],
        "",
    )
    name, _, when = reset.partition(": ")
    assert name == "anthropic-ratelimit-tokens-reset"
    assert when.endswith("Z")
    wait = (datetime.fromisoformat(when) - before).total_seconds()
    assert 40 <= wait <= 42


@pytest.mark.parametrize(
    ("outcome", "fields", "usage"),
    [
        ("served", {"prompt_tokens": 7, "completion_tokens": 2, "stored_tokens": 1},
         Usage(7, 2, stored=1)),
        ("truncated", {"prompt_tokens": 7, "cached_tokens": 3}, Usage(7, 0, cached=3)),
        ("served", {"seen_tokens": 4}, Usage(100, 4)),
        ("truncated", {"first_content_us": 5, "seen_tokens": 4}, Usage(100, 4)),
        ("cancelled", {}, Usage(100, 0)),
        ("server_error", {}, None),
        ("first_token_timeout", {}, None),
    ],
)  # fmt: skip
def test_what_an_attempt_used(outcome: str, fields: dict[str, Any], usage: Usage | None) -> None:
    assert usage_of(AttemptRecord("a/b", outcome, 1, "r", **fields), 100) == usage


def test_where_nothing_can_be_counted_nothing_is_served() -> None:
    quotas = Quotas(Broken(), Prices, nobody_serves)
    admission = quotas.admit(caller(), CALL)
    with pytest.raises(Unavailable) as raised, admission.settling(Record("1", NOW, "chat")):
        raise AssertionError("it came in")
    assert raised.value.code == "limits_unavailable"
    assert admission.headers() == quotas.headers(caller(), Dialect.OPENAI) == b""
    # Whoever has no key has no limits, and none that are missing.
    with quotas.admit(Caller(None, Labels(), ""), CALL).settling(Record("1", NOW, "chat")):
        pass


def test_a_model_that_nobody_has_is_not_told_here(tmp_path: Path) -> None:
    """The engine does that, with the names that there are."""
    ledger = Ledger(tmp_path / FILE)
    admission = Quotas(ledger, Prices, nobody_serves).admit(caller(Limits(budget=1)), CALL)
    record = Record("1", NOW, "chat")
    with pytest.raises(ModelNotFound), admission.settling(record):
        nobody_serves("m")
    assert record.cost == 0


FILLING = """\
import resource, sys
from pathlib import Path
from gateway.access.account import Ask
from gateway.access.keys import Limits
from gateway.access.ledger import Ledger
from gateway.errors import StateError

ledger = Ledger(Path(sys.argv[1]))
size = Path(sys.argv[1]).stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
for number in range(10_000):
    try:
        ledger.admit(f"k{number}", Limits(), Ask(1, 1))
    except StateError as error:
        print(number, error.message)
        break
ledger.admit("k0", Limits(), Ask(1, 1))
print("k0 goes on")
"""


def test_a_disk_that_is_full_keeps_out_new_keys_and_no_others(tmp_path: Path) -> None:
    """It ends no process, as writing to memory that no disk is behind would."""
    done = subprocess.run(
        [sys.executable, "-c", FILLING, str(tmp_path / FILE)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    first, last = done.stdout.splitlines()
    assert first.startswith("256 what keys have used cannot be kept in")
    assert last == "k0 goes on"
