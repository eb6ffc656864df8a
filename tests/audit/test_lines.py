"""What a record is written as straight is what the long way makes of it, byte for byte."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.audit import lines
from gateway.audit.chain import GREATEST, Head, line
from gateway.audit.entries import MOST_TEXT, entry
from gateway.audit.lines import REMEMBERED, Lines
from gateway.audit.record import AttemptRecord, JudgedParty, JudgedTarget, Record, Seam
from gateway.domain.decision import Labels, Mode, Verdict
from gateway.domain.identity import Locality, Role
from gateway.domain.target import Capability

NOW = datetime(2026, 11, 26, 1, 2, 3, 400, tzinfo=UTC)
HEAD = Head(7, "a" * 64)
# Lone surrogates and what is beyond U+FFFF among them.
TEXT = st.text(st.characters(), max_size=8) | st.sampled_from(
    ["", "\ud83d", 'say "no\\thing"', "é" * 500, "x" * (MOST_TEXT + 1), '":1234567890123456']
)
WORD = st.none() | TEXT
COUNT = (
    st.none() | st.integers(-1, 10**6) | st.sampled_from([GREATEST, GREATEST + 1, 10**20, 10**5000])
)
LABELS = st.builds(
    Labels, WORD, WORD, WORD, WORD, st.frozensets(TEXT, max_size=3), st.none() | st.just(Labels())
)
TARGETS = st.builds(
    JudgedTarget,
    *(TEXT, TEXT, TEXT, TEXT),
    st.sampled_from(Locality),
    st.lists(st.builds(JudgedParty, st.sampled_from(Role), TEXT), max_size=2).map(tuple),
    st.sampled_from(Verdict),
    *(TEXT, TEXT),
    st.sampled_from(Role),
    reason=TEXT,
    region=WORD,
    mode=st.sampled_from(Mode),
    shadowed=st.lists(TEXT, max_size=2).map(tuple),
)
ATTEMPTS = st.builds(
    AttemptRecord,
    *(TEXT, TEXT, COUNT, TEXT, COUNT, COUNT, WORD, WORD),
    st.none() | st.builds(Seam, st.integers(0, 9), st.integers(0, 9)),
    *(COUNT, COUNT, COUNT, COUNT, COUNT),
)


@st.composite
def records(draw: st.DrawFn) -> Record:
    record = Record(draw(TEXT), NOW, draw(TEXT))
    words = ("client_request_id", "traceparent", "key", "peer", "served_by", "locality", "failover")
    counts = ("status", "prompt_tokens", "cached_tokens", "reasoning_tokens", "cost")
    for name in (*words, "prompt_hmac", "content", "drill", "origin", "repeats"):
        setattr(record, name, draw(WORD))
    for name in (*counts, "completion_tokens", "sent_characters", "duration_us"):
        setattr(record, name, draw(COUNT))
    for name in ("model", "policy", "outcome"):
        setattr(record, name, draw(TEXT))
    record.stream = draw(st.booleans())
    record.labels = draw(LABELS)
    record.needs = tuple(draw(st.lists(st.sampled_from(Capability), max_size=2)))
    record.differs = tuple(draw(st.lists(st.sampled_from(("finish", "tools")), max_size=2)))
    record.targets = tuple(draw(st.lists(TARGETS, max_size=2)))
    record.attempts = draw(st.lists(ATTEMPTS, max_size=2))
    return record


@given(records())
@example(Record("", NOW, ""))
@example(Record("1", NOW, "chat", model="é😀\ue000"))
def test_it_is_what_the_long_way_makes(record: Record) -> None:
    assert Lines().line(HEAD, record) == line(HEAD, *entry(record))


@pytest.mark.parametrize(
    ("fields", "long"),
    [
        ({}, False),
        ({"model": "é😀"}, False),
        ({"model": "m" * MOST_TEXT}, True),
        ({"model": "\ud83d"}, True),
        ({"cost": GREATEST + 1}, True),
    ],
)
def test_the_usual_record_does_not_go_the_long_way(
    fields: dict[str, Any], long: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone: list[Record] = []

    def noted(record: Record) -> Any:
        gone.append(record)
        return entry(record)

    monkeypatch.setattr(lines, "entry", noted)
    Lines().line(HEAD, Record("1", NOW, "chat/completions", **fields))
    assert bool(gone) is long


def test_what_is_remembered_is_of_its_own_record_only() -> None:
    """Also where there are more than are remembered, and where one is gone whose place another
    takes in memory.
    """
    all_lines = Lines()
    for number in [*range(REMEMBERED + 10), *range(10)]:
        record = Record("1", NOW, "chat", labels=Labels(team=f"t{number}"))
        assert all_lines.line(HEAD, record) == line(HEAD, *entry(record))
