"""What a soak would find: its checks see what is wrong, and only that."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.faults.load import Tally
from tests.faults.process import Held
from tests.faults.soak_report import Ban, Findings
from tests.faults.verdict import INVALID, verdict

HELD = Held(descriptors=30, vendors=4, tasks=5, threads=7)
GOOD = Findings(
    seconds=60,
    rate=2,
    tally=Tally(began=[10.0, 20.0, 30.0], ids={"a", "b", "c"}, seconds=[0.1] * 3),
    bans=[Ban("openai", confirmed=15.0, ended=25.0)],
    reloads=1,
    seen={"openai": [(10.1, 0), (30.1, 2)], "mistral": [(20.1, 1)]},
    memory=[(float(second), 90.0) for second in range(60)],
    before=HELD,
    after=replace(HELD, descriptors=26, vendors=0),
    expired=True,
    records=["a", "b", "c"],
    troubles=[],
)


def test_a_good_run_misses_nothing() -> None:
    """The run that the other cases spoil."""
    assert GOOD.missed() == []


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"seen": {"openai": [(20.1, 1)]}}, "request 1, begun +5.000 s"),
        ({"seen": {"openai": [(17.0, 0)]}}, "request 0, begun -5.000 s"),
        ({"records": ["a", "b"]}, "2 audit records of 3 requests"),
        ({"records": ["a", "b", "b"]}, "some requests have two"),
        ({"records": ["a", "b", "d"]}, "1 answers have no audit record"),
        ({"memory": [(float(s), 90.0 + s) for s in range(60)]}, "memory grows by 60.00 MB"),
        ({"after": replace(HELD, descriptors=40, vendors=4)}, "36 file descriptors"),
        ({"after": replace(HELD, tasks=12)}, "12 tasks"),
        ({"after": HELD}, "4 connections to vendors are still open"),
        ({"troubles": ["gateway ban openai: no"]}, "gateway ban"),
    ],
)
def test_each_thing_that_is_wrong_is_named(change: dict[str, Any], found: str) -> None:
    """One thing at a time."""
    missed = replace(GOOD, **change).missed()
    assert any(found in line for line in missed), missed


def test_what_was_on_its_way_before_a_ban_may_arrive() -> None:
    """Begun before the confirmation and there within a second of it."""
    assert replace(GOOD, seen={"openai": [(15.5, 0)]}).missed() == []


def chunk(**choice: Any) -> bytes:
    """An event of a stream."""
    choices = [{"index": 0, "finish_reason": None, "delta": {}, **choice}]
    whole = {"id": "1", "object": "chat.completion.chunk", "model": "m", "choices": choices}
    return b"data: " + json.dumps(whole).encode() + b"\n\n"


ROLE = chunk(delta={"role": "assistant", "content": ""})
WORD = chunk(delta={"content": "word"})
END = chunk(finish_reason="stop")
DONE = b"data: [DONE]\n\n"
ERROR = json.dumps(
    {"error": {"message": "x", "type": "y", "param": None, "code": "stream_interrupted"}}
).encode()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (ROLE + WORD + END + DONE, "a whole stream"),
        (ROLE + WORD + b"data: " + ERROR + b"\n\n", "a stream, then stream_interrupted"),
        (ROLE + WORD + END, INVALID),
        (ROLE + WORD + DONE, INVALID),
        (ROLE + END + DONE, INVALID),
        (ROLE + WORD, INVALID),
        (ROLE + WORD + ROLE + END + DONE, INVALID),
        (ROLE + WORD + END + END + DONE, INVALID),
        (ROLE + WORD + END + DONE[:-1], INVALID),
        (ROLE + WORD.replace(b'"1"', b'"2"') + END + DONE, INVALID),
        (b"", INVALID),
    ],
)
def test_a_stream_is_judged_as_a_client_would(body: bytes, words: str) -> None:
    """A stream that is not whole is a stream that ended in a typed error, or invalid."""
    assert verdict(200, body, "m", stream=True).startswith(words)


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (503, "no_healthy_target", "503 no_healthy_target"),
        (451, "vendor_blocked", "451 vendor_blocked"),
        (500, "internal", INVALID),
        (503, "something", INVALID),
    ],
)
def test_an_error_must_be_one_that_can_happen(status: int, code: str, words: str) -> None:
    """An error of our own making is none that vendors can be blamed for."""
    body = ERROR.replace(b"stream_interrupted", code.encode())
    assert verdict(status, body, "m", stream=False).startswith(words)
    assert verdict(status, b"<html>", "m", stream=False).startswith(INVALID)
