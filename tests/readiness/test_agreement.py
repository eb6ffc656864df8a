"""How often canaries agreed on the last day; the score has no part in it."""

from __future__ import annotations

from typing import Any

from gateway.audit.record import AttemptRecord, Record
from gateway.errors import PolicyDenied
from gateway.readiness.score.report import Agreement, Difference
from tests.readiness.days import LOCAL, NOW, day, of, own, record, routes, score

HOUR = int(NOW.timestamp()) // 3600


def canary(*differs: str, minute: float = 0, **fields: Any) -> Record:
    """One that repeats an app's request for ``gpt``."""
    said = {"origin": "canary", "repeats": "r0", "differs": differs}
    return record(LOCAL, served=LOCAL, minute=minute, **{**said, **fields})


def own_canary(*differs: str, **fields: Any) -> Record:
    return canary(*differs, **{"repeats": None, "model": LOCAL.id, **fields})


def test_those_agree_whose_answer_did_nothing_otherwise() -> None:
    """What differed is told by how often it did, and beside a score that stays as it was."""
    report = score(
        record(),
        *(canary(minute=n) for n in range(4)),
        canary("format"),
        canary("finish", "format"),
        own_canary(),
    )
    assert report.canaries == (
        Agreement(
            "gpt", LOCAL.id, 6, 4, 0.6666, (Difference("format", 2), Difference("finish", 1))
        ),
        Agreement(None, LOCAL.id, 1, 1, 1.0, ()),
    )
    assert report.requests == 1
    assert of(report, "openai") == of(score(record()), "openai")
    assert report.brief().canaries == report.canaries
    assert report.of("openai").canaries == report.canaries


def test_of_no_canary_there_is_nothing_to_say() -> None:
    assert score(record()).canaries == ()


def test_what_came_to_no_answer_for_no_fault_of_its_own_is_not_counted() -> None:
    gave_way = AttemptRecord(LOCAL.id, "busy", 1000, "r1")
    report = score(
        canary("failed", attempts=[gave_way], outcome="queue_full", served_by=None),
        canary(outcome="cancelled", served_by=None),
        canary("failed", outcome=PolicyDenied.code, served_by=None, attempts=[]),
        record(LOCAL, served=LOCAL, origin="drill"),
        record(LOCAL, served=LOCAL, origin="eval", differs=("format",)),
    )
    assert report.canaries == ()


def test_one_that_failed_is_of_the_target_that_it_was_asked_of() -> None:
    report = score(canary("failed", outcome="upstream_unavailable", served_by=None))
    assert report.canaries == (Agreement("gpt", LOCAL.id, 1, 0, 0.0, (Difference("failed", 1),)),)


def test_a_model_or_a_target_that_is_configured_no_more_is_not_told_of() -> None:
    asked = (canary(), own_canary(), canary(model="gone"))
    assert [one.model for one in score(*asked).canaries] == ["gpt", None]
    assert score(*asked, routes_=routes(own("another"))).canaries == ()


def test_what_is_older_than_a_day_is_forgotten() -> None:
    found = day(canary("empty", minute=90), canary())
    found.keep(HOUR - 2, HOUR)
    assert sum(len(cells) for cells in found.canaries.hours.values()) == 2
    found.keep(HOUR, HOUR + 1)
    assert list(found.canaries.hours) == [HOUR]
    (one,) = found.canaries.told({("gpt", LOCAL.id)})
    assert (one.canaries, one.share) == (1, 1.0)
