"""What the gateway asks by itself goes the way of all requests, and is heard whole."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from gateway.audit.happening import Happening
from gateway.audit.journal import Journal
from gateway.audit.record import Record
from gateway.audit.transcript import Transcript
from gateway.domain.call import Api, Call, Chat
from gateway.domain.events import (
    Called,
    Delta,
    Event,
    Failed,
    FailureKind,
    Finished,
    FinishReason,
    Reasoned,
    Started,
    Usage,
)
from gateway.engine.heard import Heard, HeardCall, hear
from gateway.engine.routes import Route
from gateway.routing.groups import in_order
from tests.engine.test_engine import FIRST, SECOND, House, Scripted, policy

ANSWER: tuple[Event, ...] = (
    Started(),
    Reasoned("Hm."),
    Delta("Let "),
    Delta("me see."),
    Delta("another choice", choice=1),
    Called(1, '{"b"', "c2", "second"),
    Called(0, "{}", "c1", "first"),
    Called(1, ":1}"),
    Usage(3, 9),
    Finished((FinishReason.TOOL_CALLS, FinishReason.STOP)),
)


class Kept:
    """A log in memory that wants every request's words. Implements ``AuditSink``."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def begin(self) -> Transcript | None:
        return Transcript(heard=True)

    def write(self, told: Record | Happening, transcript: Transcript | None = None) -> None:
        assert isinstance(told, Record)
        # There was no body that anybody sent, and nothing is kept of none.
        assert transcript is None
        self.records.append(told)

    def check(self) -> None:
        """It can always be written."""

    def close(self) -> None:
        """There is nothing to close."""


async def heard(house: House, kept: Kept, route: Route | None = None) -> Heard:
    now = time.monotonic()
    call = Call("r1", Api.CHAT, "gpt", True, b"{}", Chat(()), now, now + 60, typed=True)
    record = Record(id="r1", at=datetime.now(UTC), api=call.api, origin="canary")
    return await hear(house.engine, Journal(kept), call, record, route)


async def test_all_of_an_answer_is_heard_and_written_down() -> None:
    """Of its first choice; calls in their own order, whichever piece came when."""
    kept = Kept()
    one = await heard(House(Scripted(openai=ANSWER)), kept)
    assert (one.text, one.thoughts) == ("Let me see.", "Hm.")
    assert one.calls == (HeardCall("first", "{}"), HeardCall("second", '{"b":1}'))
    assert (one.served_by, one.reason, one.usage) == (FIRST.id, "tool_calls", Usage(3, 9))
    assert one.first is not None
    assert 0 <= one.first <= one.seconds
    assert one.failure is None
    (record,) = kept.records
    assert (record.outcome, record.origin, record.model) == ("served", "canary", "gpt")


@pytest.mark.parametrize("route", [None, Route(in_order(SECOND), name="only the second")])
async def test_policy_is_asked_whichever_way_is_given(route: Route | None) -> None:
    house, kept = House(Scripted(), in_force=policy(openai="allow", mistral="deny")), Kept()
    one = await heard(house, kept, route)
    assert (one.code, one.served_by) == (
        (None, FIRST.id) if route is None else ("vendor_blocked", None)
    )
    assert house.backend.asked == ([FIRST.channel] if route is None else [])
    assert kept.records[0].outcome == ("served" if route is None else "vendor_blocked")


async def test_an_answer_that_breaks_off_is_heard_as_far_as_it_came() -> None:
    broken = (Started(), Delta("Hel"), Failed(FailureKind.TRUNCATED, "it ended"))
    house, kept = House(Scripted(openai=broken), FIRST, continuation=False), Kept()
    one = await heard(house, kept)
    assert (one.text, one.failure, one.code) == ("Hel", "it ended", "truncated")
    assert kept.records[0].outcome == "broken"


@pytest.mark.parametrize("answer", [ANSWER, (Failed(FailureKind.SERVER_ERROR, "no"),)])
async def test_what_is_noted_of_it_is_in_the_record_that_is_written(
    answer: tuple[Event, ...],
) -> None:
    """Not a moment later: what has been written is not written again."""
    house, kept, now = House(Scripted(openai=answer), FIRST), Kept(), time.monotonic()
    call = Call("r1", Api.CHAT, "gpt", True, b"{}", Chat(()), now, now + 60, typed=True)
    record = Record(id="r1", at=datetime.now(UTC), api=call.api, origin="canary")

    def noted(one: Heard) -> None:
        assert kept.records == []
        record.differs = ("failed",) if one.failure else ("finish",)

    one = await hear(house.engine, Journal(kept), call, record, noted=noted)
    assert kept.records[0].differs == (("failed",) if one.failure else ("finish",))


async def test_what_is_spare_says_nothing_of_its_target() -> None:
    """However often it fails, whoever comes next is not kept from trying."""
    lost = (Failed(FailureKind.SERVER_ERROR, "no"),)
    house, kept = House(Scripted(openai=lost), FIRST), Kept()
    for spare in (True, False):
        for _ in range(6):
            now = time.monotonic()
            task = Chat(())
            call = Call("r1", Api.CHAT, "gpt", True, b"{}", task, now, now + 60, typed=True)
            record = Record(id="r1", at=datetime.now(UTC), api=call.api, origin="canary")
            await hear(house.engine, Journal(kept), replace(call, spare=spare), record)
        failures = house.engine.health(FIRST.id).in_row
        assert (failures == 0) is spare
        assert house.engine.busy(FIRST.id) == 0
