"""If a vendor were banned now: who hung on it, what local could have taken, what it lacks."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from msgspec.structs import replace

from gateway.audit.record import AttemptRecord, JudgedTarget, Record
from gateway.domain.decision import Verdict
from gateway.domain.identity import Locality, Role
from gateway.domain.target import Capability
from gateway.engine.routes import Routes
from gateway.policy.evaluate import evaluate
from gateway.policy.rules import Match, Rule, When
from gateway.readiness.score.report import ALL, Shares
from tests.readiness.days import (
    LOCAL,
    MISTRAL,
    NOW,
    OPEN,
    OPENAI,
    RESOLD,
    capacity,
    missing,
    of,
    own,
    policy,
    record,
    routes,
    score,
)

TOOLS, IMAGES = Capability.TOOLS, Capability.IMAGES
LAB = own("big", TOOLS, locality=Locality.SOVEREIGN, context=32_768)


def share(one: Shares | None) -> float:
    assert one is not None
    return one.local


# Who hung on whom.


def test_what_a_vendor_served_hung_on_it_and_what_local_can_do_is_its_score() -> None:
    report = score(record(), record(minute=1), record(served=LOCAL, left_out={OPENAI.id: "policy"}))
    one = of(report, "openai")
    assert (report.requests, one.requests, one.tokens) == (3, 2, 220)
    assert one.capability == Shares(local=1.0, sovereign=0.0, cloud=0.0, any=1.0)
    assert (one.capacity, one.score, one.missing, one.denied) == (1.0, 1.0, (), False)
    assert one.targets == (OPENAI.id,)


HANGS: list[tuple[str, Record, set[str]]] = [
    ("served", record(OPENAI, MISTRAL, LOCAL), {"openai"}),
    ("resold", record(RESOLD, LOCAL, served=RESOLD), {"openai", "openrouter"}),
    (
        "it could not just then, and another did",
        record(OPENAI, MISTRAL, LOCAL, served=MISTRAL),
        {"openai", "mistral"},
    ),
    (
        "its breaker was open",
        record(OPENAI, MISTRAL, served=MISTRAL, left_out={OPENAI.id: "breaker_open"}),
        {"openai", "mistral"},
    ),
    (
        "a drill was on",
        record(served=LOCAL, left_out={OPENAI.id: "drill"}, drill="d1"),
        {"openai"},
    ),
    ("nobody could", record(served=None), {"openai"}),
    ("it had no key", record(served=LOCAL, left_out={OPENAI.id: "no_credentials"}), set()),
    ("policy denied it", record(served=LOCAL, left_out={OPENAI.id: "policy"}), set()),
    ("it lacks what was needed", record(served=LOCAL, left_out={OPENAI.id: "capability"}), set()),
    ("local is the first choice", record(LOCAL, OPENAI, served=LOCAL), set()),
    ("only the weights are its", record(LOCAL, served=LOCAL), set()),
]


@pytest.mark.parametrize(("why", "one", "vendors"), HANGS, ids=[row[0] for row in HANGS])
def test_a_request_hangs_on_whoever_served_it_and_on_whom_it_was_for(
    why: str, one: Record, vendors: set[str]
) -> None:
    report = score(one, routes_=routes(OPENAI, MISTRAL, RESOLD, LOCAL))
    assert {found.vendor for found in report.vendors if found.requests} == vendors
    assert report.all.requests == bool(vendors)


UNCOUNTED: list[tuple[str, dict[str, Any]]] = [
    ("the gateway asked by itself", {"origin": "canary"}),
    ("nothing was decided", {"targets": ()}),
    ("it asked for a number", {"api": "messages/count_tokens"}),
    (
        "it was at fault itself",
        {"attempts": [AttemptRecord(OPENAI.id, "request_fault", 1, "r1", status=400)]},
    ),
]


@pytest.mark.parametrize(("why", "fields"), UNCOUNTED, ids=[row[0] for row in UNCOUNTED])
def test_what_says_nothing_of_readiness_is_not_counted(why: str, fields: dict[str, Any]) -> None:
    assert score(record(**fields)).requests == 0


def test_of_no_request_there_is_no_share() -> None:
    one = of(score(record(served=LOCAL, left_out={OPENAI.id: "no_credentials"})), "openai")
    assert (one.requests, one.capability, one.capacity, one.score) == (0, None, None, None)


def test_a_vendor_of_no_configured_target_is_not_told_of() -> None:
    report = score(record(MISTRAL, served=MISTRAL))
    assert [one.vendor for one in report.vendors] == ["openai"]
    assert report.all.requests == 1


# What local can do.


def test_a_request_that_needs_what_local_lacks_is_missing_by_app_and_model() -> None:
    able = routes(OPENAI, own("small", TOOLS))
    one = of(
        score(
            record(needs=("tools",)),
            record(needs=("images", "tools")),
            record(needs=("images",), app="scans"),
            record(needs=("images",), app="scans"),
            routes_=able,
        ),
        "openai",
    )
    assert share(one.capability) == 0.25
    assert missing(one) == [
        ("scans", "capability", "images", 2),
        ("shop", "capability", "images", 1),
    ]
    assert (one.capacity, one.score) == (1.0, 0.25)


def test_a_request_that_is_longer_than_the_context_is_missing() -> None:
    """Prompt and answer together; one that just fits is none."""
    fits = record(prompt_tokens=4000, completion_tokens=96)
    over = record(prompt_tokens=4000, completion_tokens=97)
    one = of(score(fits, over), "openai")
    assert share(one.capability) == 0.5
    assert missing(one) == [("shop", "context", "4096 tokens", 1)]


def test_the_second_local_target_counts_where_the_first_cannot() -> None:
    able = routes(OPENAI, LOCAL, own("seeing", IMAGES, context=2048))
    report = score(
        record(needs=("images",)),
        record(needs=("images",), prompt_tokens=3000),
        routes_=able,
        measured={"small": capacity(), "seeing": capacity()},
    )
    one = of(report, "openai")
    assert share(one.capability) == 0.5
    assert missing(one) == [("shop", "capability", "images", 1)]


def test_vectors_are_taken_only_from_the_same_space() -> None:
    embedder = own("small", Capability.EMBEDDINGS)
    asked = record(api="embeddings", needs=("embeddings",), completion_tokens=None)
    one = of(score(asked, routes_=routes(OPENAI, embedder)), "openai")
    assert (share(one.capability), missing(one)) == (0.0, [("shop", "other vectors", "", 1)])
    same = routes(OPENAI, embedder, equivalent=(OPENAI.id, embedder.id))
    assert of(score(asked, routes_=same), "openai").score == 1.0


def test_a_model_without_a_local_target_has_nobody() -> None:
    one = of(score(record(), routes_=routes(OPENAI, MISTRAL)), "openai")
    assert one.capability == Shares(local=0.0, sovereign=0.0, cloud=1.0, any=1.0)
    assert missing(one) == [("shop", "no local target", "", 1)]
    assert (one.capacity, one.score) == (None, 0.0)


def test_a_model_that_is_configured_no_more_is_missing() -> None:
    one = of(score(record(model="gone")), "openai")
    assert [(row.model, row.why) for row in one.missing] == [("(unknown)", "unconfigured")]


def test_old_records_that_tell_no_needs_and_no_tokens_count_as_asking_for_nothing() -> None:
    old = record(prompt_tokens=None, completion_tokens=None)
    one = of(score(old), "openai")
    assert (one.tokens, one.score) == (0, 1.0)


def test_a_need_that_a_newer_version_wrote_is_passed_over() -> None:
    assert of(score(record(needs=("telepathy",))), "openai").score == 1.0


# Who else is left.


def test_sovereign_targets_and_other_vendors_are_told_of_beside() -> None:
    able = routes(OPENAI, MISTRAL, LAB, LOCAL)
    one = of(score(record(needs=("tools",)), record(), routes_=able), "openai")
    assert one.capability == Shares(local=0.5, sovereign=1.0, cloud=1.0, any=1.0)


def test_a_developer_goes_with_all_that_resell_it_and_a_reseller_alone() -> None:
    able = routes(RESOLD, OPENAI, MISTRAL, LOCAL)
    report = score(record(RESOLD, OPENAI, LOCAL, served=RESOLD), routes_=able)
    under = policy(openai="allow", mistral="deny", openrouter="allow")
    alone = score(record(RESOLD, OPENAI, LOCAL, served=RESOLD), routes_=able, under=under)
    assert [of(report, name).requests for name in ("openai", "openrouter", "mistral")] == [1, 1, 0]
    assert of(alone, "openai").capability == Shares(local=1.0, sovereign=0.0, cloud=0.0, any=1.0)
    assert of(alone, "openrouter").capability == Shares(
        local=1.0, sovereign=0.0, cloud=1.0, any=1.0
    )
    assert of(alone, "openai").targets == (RESOLD.id, OPENAI.id)
    assert of(alone, "mistral").denied
    assert not of(alone, "openai").denied


def test_another_vendor_without_a_key_or_out_of_reach_is_no_help() -> None:
    for more in ({"without_credentials": frozenset({"mistral"})}, {"offline": True}):
        one = of(score(record(), routes_=routes(OPENAI, MISTRAL, LOCAL, **more)), "openai")
        assert one.capability == Shares(local=1.0, sovereign=0.0, cloud=0.0, any=1.0)


def test_if_all_clouds_went_only_our_own_are_left() -> None:
    able = routes(OPENAI, MISTRAL, LAB, LOCAL)
    report = score(record(), record(OPENAI, MISTRAL, served=MISTRAL), routes_=able)
    assert of(report, ALL).capability == Shares(local=1.0, sovereign=1.0, cloud=0.0, any=1.0)
    assert (report.all.requests, report.all.vendor) == (2, "(all)")


def test_a_vendor_that_is_banned_already_is_scored_by_what_came_before() -> None:
    before, after = record(), record(served=LOCAL, left_out={OPENAI.id: "policy"})
    one = of(score(before, after, under=policy(openai="deny")), "openai")
    assert (one.denied, one.requests, one.score) == (True, 1, 1.0)


def test_policy_that_keeps_local_from_an_app_is_a_reason() -> None:
    rule = Rule(
        "no-qwen-for-lawyers",
        Match(vendor=frozenset({"alibaba"}), roles=frozenset({Role.WEIGHTS})),
        Verdict.DENY,
        when=When(app=frozenset({"law"})),
        reason="Directive 9",
    )
    under = policy(rule, openai="allow")
    one = of(score(record(), record(app="law"), under=under), "openai")
    assert share(one.capability) == 0.5
    assert missing(one) == [("law", "policy", "Directive 9", 1)]
    assert (one.capacity, one.score) == (1.0, 0.5)


def test_a_risky_target_counts_where_the_model_takes_one_in_the_end() -> None:
    under = policy(openai="allow", mistral="risky")
    able = routes(OPENAI, MISTRAL)
    last = Routes({"gpt": dataclasses.replace(able.exact["gpt"], risky_last_resort=True)})
    shares = [of(score(record(), routes_=one, under=under), "openai") for one in (able, last)]
    assert [one.capability.any for one in shares if one.capability] == [0.0, 1.0]


# Whether there was time.


def test_a_minute_holds_what_fits_into_sixty_seconds_beside_what_local_did() -> None:
    """Of 1000 tokens of prompts and 100 of answers a second: 40 requests take 40 + 0.4 s."""
    hung = [record(prompt_tokens=1000, completion_tokens=1) for _ in range(40)]
    one = of(score(*hung), "openai")
    assert (one.capacity, one.crowded) == (1.0, 0)
    assert one.worst is not None
    assert (one.worst.at, one.worst.target) == (NOW, "local/small")
    assert one.worst.busy == pytest.approx(40.4 / 60)
    did = [record(LOCAL, served=LOCAL, prompt_tokens=1000, completion_tokens=0) for _ in range(40)]
    one = of(score(*hung, *did), "openai")
    # 20 s are left of that minute, for work of 40.4 s.
    assert one.capacity == one.score == pytest.approx(20 / 40.4, abs=1e-4)
    assert (one.requests, one.crowded) == (40, 1)
    assert one.worst is not None
    assert one.worst.busy == pytest.approx(80.4 / 60)


def test_another_minute_is_another_sixty_seconds() -> None:
    def burst(minute: int) -> list[Record]:
        return [record(minute=minute, prompt_tokens=2000) for _ in range(60)]

    one = of(score(*burst(0), record(minute=1), record(minute=2)), "openai")
    held = 60 * 60 / (120 + 6) + 2
    assert one.score == pytest.approx(held / 62, abs=1e-4)
    assert one.crowded == 1
    spread = [r for minute in range(3) for r in burst(minute)[:20]]
    assert of(score(*spread), "openai").score == 1.0


def test_what_local_held_already_it_need_not_compute_and_what_it_did_is_done() -> None:
    """It served what was for a vendor that was down, mostly from what it had in a slot."""
    down = {OPENAI.id: "breaker_open"}
    stood_in = [
        record(served=LOCAL, left_out=down, prompt_tokens=2000, cached_tokens=1900)
        for _ in range(40)
    ]
    other = [record(prompt_tokens=1000, completion_tokens=0) for _ in range(52)]
    # 40 * (0.1 + 0.1) s were done, and 52 s come on top: just all that there is.
    one = of(score(*stood_in, *other), "openai")
    assert (one.requests, one.score, one.crowded) == (92, 1.0, 0)
    # Of the double there is time for a half, and what was done is done.
    one = of(score(*stood_in, *other, *other), "openai")
    assert (one.requests, one.crowded) == (144, 1)
    assert one.score == pytest.approx((40 + 52) / 144, abs=1e-4)


def test_what_takes_no_time_finds_it_in_a_minute_that_is_full() -> None:
    """Requests that were cancelled before anybody had counted their tokens, while local did more
    than a minute's work.
    """
    did = [record(LOCAL, served=LOCAL, prompt_tokens=1000, completion_tokens=0) for _ in range(61)]
    gone = [record(prompt_tokens=None, completion_tokens=None) for _ in range(3)]
    one = of(score(*did, *gone), "openai")
    assert (one.requests, one.capacity, one.score, one.crowded) == (3, 1.0, 1.0, 0)


def test_what_policy_keeps_from_local_takes_none_of_its_time() -> None:
    """Minutes do not tell apps apart; of each kind as many land there as policy lets."""
    rule = Rule(
        "no-qwen-for-lawyers",
        Match(vendor=frozenset({"alibaba"}), roles=frozenset({Role.WEIGHTS})),
        Verdict.DENY,
        when=When(app=frozenset({"law"})),
    )
    apps = ["shop", "law"] * 120
    both = [record(app=app, prompt_tokens=1000, completion_tokens=0) for app in apps]
    one = of(score(*both, under=policy(rule, openai="allow")), "openai")
    # Of 120 s of work that may come there is time for 60.
    assert (one.capacity, one.score, one.crowded) == (0.5, 0.25, 1)
    assert one.worst is not None
    assert one.worst.busy == 2.0


def test_no_capacity_is_assumed_where_none_was_measured() -> None:
    one = of(score(record(), measured={}), "openai")
    assert share(one.capability) == 1.0
    assert (one.capacity, one.score, one.unmeasured) == (None, None, ("local/small",))


def test_capacity_is_of_what_local_can_take_and_the_score_of_all() -> None:
    able = [record(prompt_tokens=2000, completion_tokens=0) for _ in range(60)]
    unable = [record(needs=("images",)) for _ in range(60)]
    one = of(score(*able, *unable), "openai")
    assert (share(one.capability), one.capacity, one.score) == (0.5, 0.5, 0.25)


def test_no_share_is_rounded_up_to_all() -> None:
    many = [record(minute=n % 600) for n in range(20_000)]
    one = of(score(*many, record(needs=("images",))), "openai")
    assert (share(one.capability), one.score) == (0.9999, 0.9999)


def test_decisions_of_the_log_are_not_looked_at() -> None:
    """Only the policy in force counts: yesterday's verdicts are yesterday's."""
    judged = JudgedTarget.of(LOCAL, evaluate(OPEN, LOCAL.id, LOCAL.identity, record().labels, NOW))
    barred = replace(judged, left_out="policy", verdict=Verdict.DENY)
    asked = record()
    asked.targets = (asked.targets[0], barred)
    assert of(score(asked), "openai").score == 1.0
