"""Reports of drills, out of records that are written by hand: one case for each thing that can be
wrong, and what is said of it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.audit.record import AttemptRecord, JudgedTarget, Record
from gateway.cli.drill_text import markdown, text
from gateway.domain.decision import Labels, Verdict
from gateway.domain.drill import Drill
from gateway.domain.drilled import End, Held, Moved, Report
from gateway.domain.identity import Locality, Role
from gateway.readiness.capacity import Capacity
from gateway.readiness.drill.counting import Times
from gateway.readiness.drill.report import report
from gateway.readiness.drill.sampling import Queue, sampled
from gateway.telemetry.readings import ModelReading

BEGAN = datetime(2026, 11, 26, 8, tzinfo=UTC)
SECONDS = 100
END = End(BEGAN + timedelta(seconds=SECONDS))
OPENAI, LOCAL, LAB, MISTRAL = "openai/gpt-4o", "local/smollm2", "lab/qwen3", "mistral/large"
LOCALITIES = {"openai": "cloud", "mistral": "cloud", "local": "local", "lab": "sovereign"}


def drill(**fields: Any) -> Drill:
    base: dict[str, Any] = {
        "id": "d1",
        "vendor": "openai",
        "started": BEGAN,
        "until": END.at,
        "actor": "local:ops",
        "reason": "a test",
    }
    return Drill(**(base | fields))


def judged(target: str, left_out: str = "") -> JudgedTarget:
    locality = Locality(LOCALITIES[target.partition("/")[0]])
    return JudgedTarget(
        *(target, "c", "d", "m", locality, (), Verdict.ALLOW, "r", "p", Role.CHANNEL), left_out
    )


def attempt(target: str, outcome: str = "served", ms: int = 100, first: int = 40) -> AttemptRecord:
    done = first * 1000 if outcome == "served" else None
    return AttemptRecord(target, outcome, ms * 1000, "rev", first_content_us=done)


def record(
    served_by: str | None,
    *attempts: AttemptRecord,
    outcome: str = "served",
    app: str | None = "web",
    left_out: str = "",
    others: tuple[JudgedTarget, ...] | None = None,
    **fields: Any,
) -> Record:
    """Of a drill of openai on ``gpt-4o: [openai, local]``; ``left_out`` is why local is, ``others``
    stand in its place.
    """
    ours = (judged(LOCAL, left_out),) if others is None else others
    base: dict[str, Any] = {
        "id": "r",
        "at": BEGAN,
        "api": "chat/completions",
        "model": "gpt-4o",
        "labels": Labels(app=app),
        "targets": (judged(OPENAI, "drill"), *ours),
        "attempts": list(attempts),
        "outcome": outcome,
        "served_by": served_by,
        "locality": served_by and LOCALITIES[served_by.partition("/")[0]],
        "prompt_tokens": 10,
        "completion_tokens": 20,
        "duration_us": 100_000,
        "drill": "d1",
    }
    return Record(**(base | fields))


def served(**fields: Any) -> Record:
    return record(LOCAL, attempt(LOCAL), **fields)


def rescued(kind: str = "", **fields: Any) -> Record:
    before = (attempt(LOCAL, kind),) if kind else ()
    return record(OPENAI, *before, attempt(OPENAI), **fields)


def told(*records: Record, practised: Drill | None = None, **more: Any) -> Report:
    base: dict[str, Any] = {"queues": {}, "capacity": {}, "now": END.at, "end": END}
    fields = base | more
    return report(
        practised or drill(), records, fields.pop("queues"), fields.pop("capacity"), **fields
    )


CASES = [
    ([served()], "local"),
    ([record(LAB, attempt(LAB), others=(judged(LAB),))], "sovereign"),
    ([record(MISTRAL, attempt(MISTRAL), others=(judged(MISTRAL),))], "other"),
    ([rescued("busy")], "rescued"),
    ([record(None, attempt(LOCAL, "busy"), outcome="queue_full")], "failed"),
    ([record(LOCAL, attempt(LOCAL, "worker_lost"), outcome="broken")], "failed"),
    ([record(None, outcome="cancelled")], "neither"),
    (
        [record(None, attempt(LOCAL, "busy"), attempt(OPENAI, "server_error"), outcome="x")],
        "neither",
    ),
    ([record(None, outcome="cancelled", origin="drill", duration_us=9_999_999)], "neither"),
    ([record(None, outcome="cancelled", origin="drill", duration_us=10_000_000)], "failed"),
]


@pytest.mark.parametrize(("records", "fate"), CASES, ids=[fate for _, fate in CASES])
def test_each_request_is_counted_once(records: list[Record], fate: str) -> None:
    """By what became of it; what says nothing counts in no share."""
    found = told(*records)
    assert found.parts.requests == 1
    assert getattr(found.parts, fate) == 1
    good = fate in ("local", "sovereign", "other")
    assert found.share == (None if fate == "neither" else float(good))
    names = ("local", "sovereign", "other", "rescued", "failed", "neither")
    assert sum(getattr(found.parts, name) for name in names) == 1


GAPS = [
    (rescued(left_out="capability", needs=("tools",)), "tools", (LOCAL,), True),
    (rescued(left_out="capability", needs=("images", "tools")), "images", (LOCAL,), True),
    (rescued(left_out="other_vectors"), "other vectors", (LOCAL,), True),
    (rescued("context_overflow"), "context", (LOCAL,), True),
    (rescued("incapable"), "incapable", (LOCAL,), True),
    (rescued(others=()), "no local target", (), True),
    (rescued(others=(judged(MISTRAL, "policy"),)), "no local target", (), True),
    (rescued(left_out="policy"), "policy", (LOCAL,), True),
    (rescued("busy"), "busy", (LOCAL,), False),
    (rescued("worker_lost"), "worker_lost", (LOCAL,), False),
    (rescued(left_out="not_ready"), "not_ready", (LOCAL,), False),
    (record(None, attempt(LOCAL, "cancelled"), outcome="deadline"), "too slow", (LOCAL,), False),
    (record(None, outcome="deadline"), "not reached", (LOCAL,), False),
]


@pytest.mark.parametrize(("one", "what", "targets", "lasting"), GAPS, ids=[g[1] for g in GAPS])
def test_a_gap_says_what_was_lacking(
    one: Record, what: str, targets: tuple[str, ...], lasting: bool
) -> None:
    """And whether it would have been the same a minute later. What a target is known to have is
    none.
    """
    found = told(*[served()] * 9, one, can={LOCAL: {"tools"} if what == "images" else set()})
    (gap,) = found.apps[0].gaps
    assert (gap.what, gap.targets, gap.lasting) == (what, targets, lasting)
    assert (gap.app, gap.model, gap.requests) == ("web", "gpt-4o", 1)
    assert found.verdict is (Held.GAPS if lasting else Held.FAILS)
    assert found.changes
    assert any(name in found.changes[0] for name in (*targets, "gpt-4o"))


@pytest.mark.parametrize(
    ("records", "more", "verdict"),
    [
        ([], {}, Held.UNKNOWN),
        ([record(None, outcome="cancelled")], {}, Held.UNKNOWN),
        ([served()], {}, Held.HOLDS),
        ([served()], {"moved": (Moved("gpt-4o", LOCAL, "local"),)}, Held.HOLDS),
        ([served()], {"moved": (Moved("only", None, None),)}, Held.GAPS),
        ([served(), rescued(left_out="other_vectors")], {}, Held.GAPS),
        ([served()] + [rescued(left_out="other_vectors")] * 2, {}, Held.FAILS),
        ([served()] * 99 + [rescued("busy")], {}, Held.GAPS),
        ([served()] * 98 + [rescued("busy")], {}, Held.FAILS),
    ],
)
def test_the_verdict(records: list[Record], more: dict[str, Any], verdict: Held) -> None:
    """One in a hundred may fail by chance; what lasts is a gap, until it is more than half."""
    assert told(*records, **more).verdict is verdict


def reading(**fields: Any) -> ModelReading:
    base: dict[str, Any] = {
        "name": "smollm2",
        "state": "ready",
        "pid": 1,
        "restarts": 0,
        "slots": 4,
        "busy": 0,
        "waiting": 0,
        "prompt": 0,
        "cached": 0,
        "completion": 0,
        "memory": 0,
    }
    return ModelReading(**(base | fields))


def queues(*readings: ModelReading) -> dict[str, Queue]:
    found: dict[str, Queue] = {}
    for one in readings:
        found = sampled(found, [one])
    return found


CAPACITY = {"smollm2": Capacity(100.0, 50.0, 4, "sha", BEGAN, 2)}
"""100 tokens of prompts a second, or 50 of answers."""


def test_the_queue_and_the_rate_are_told_against_the_capacity() -> None:
    """10 requests of 10 and 20 tokens in 100 s take 0.1 + 0.4 of... 1 + 4 seconds of 100; a tenth
    of the traffic, so all of it takes ten times that, and what others do comes to it.
    """
    seen = queues(
        reading(prompt=1000, cached=500, completion=100),
        reading(busy=4, waiting=7, prompt=1600, cached=500, completion=300),
        reading(busy=3, waiting=0, prompt=1700, cached=600, completion=800, restarts=1),
    )
    found = told(
        *[served()] * 10, practised=drill(share=0.1), queues=seen, capacity=CAPACITY, can={}
    )
    (load,) = found.local
    assert (load.seen, load.full, load.waited) == (3, 1, 1)
    assert (load.most_busy, load.slots, load.most_waiting, load.restarts) == (4, 4, 7, 1)
    assert (load.prompt, load.completion) == (1.0, 2.0)
    # In all 600 tokens of prompts and 700 of answers: 6 + 14 seconds.
    assert load.busy == pytest.approx(0.20)
    # Of these 100 and 200 were the drill's: 500 + 1000 tokens, and 500 + 2000: 15 + 50 seconds.
    assert load.whole == pytest.approx(0.65)
    assert found.verdict is Held.HOLDS
    assert any("3 of 4" not in one and "4 of 4 slots" in one for one in found.changes)
    assert any("started again" in one for one in found.changes)


def test_what_does_not_fit_does_not_hold() -> None:
    """Also where all that was asked was served: it was but a share."""
    found = told(*[served()] * 100, practised=drill(share=0.1), capacity=CAPACITY)
    assert found.local[0].whole == pytest.approx((10_000 / 100 + 20_000 / 50) / SECONDS)
    assert found.verdict is Held.FAILS
    assert "5.0 times" in found.changes[0]


def test_what_was_refused_belongs_to_the_work() -> None:
    """A queue that turns requests away has not stood them."""
    found = told(served(), rescued("busy"), capacity=CAPACITY)
    assert found.local[0].refused == 1
    assert found.local[0].whole == pytest.approx((20 / 100 + 40 / 50) / SECONDS)
    assert found.local[0].busy == pytest.approx((10 / 100 + 20 / 50) / SECONDS)


def test_of_its_own_requests_nothing_is_reckoned_up() -> None:
    """They are no share of anything; without a measurement nothing is reckoned at all."""
    own = told(served(app=None), practised=drill(rate=2.0), capacity=CAPACITY)
    assert (own.local[0].busy is not None, own.local[0].whole) == (True, None)
    unmeasured = told(served())
    assert (unmeasured.local[0].measured, unmeasured.local[0].busy) == (False, None)
    assert "not measured" in text(unmeasured)


def test_times_are_from_the_request_on() -> None:
    """What was lost on the way to local counts; what the vendor took does not."""
    found = told(
        served(),
        record(LOCAL, attempt(MISTRAL, "server_error", 200), attempt(LOCAL, first=50)),
        rescued("busy"),
        *[record(LOCAL, attempt(LOCAL, first=1000), duration_us=5_000_000)] * 18,
    )
    assert found.first_token is not None
    assert found.answer is not None
    assert (found.first_token.count, found.first_token.p50) == (20, 1000)
    assert (found.first_token.most, found.answer.p50, found.answer.p95) == (1000, 5000, 5000)
    fast = told(served(), record(LOCAL, attempt(MISTRAL, "server_error", 200), attempt(LOCAL)))
    assert fast.first_token is not None
    assert (fast.first_token.p50, fast.first_token.most) == (40, 240)


def test_spreads_are_right_to_three_digits() -> None:
    """Against the numbers themselves, in no order."""
    times, numbers = Times(), [(n * 7919) % 100_003 + 1 for n in range(20_000)]
    for one in numbers:
        times.add(one)
    spread = times.spread()
    assert spread is not None
    ordered = sorted(numbers)
    assert spread.count == len(numbers)
    assert spread.p50 == pytest.approx(ordered[len(ordered) // 2] / 1000, rel=0.01)
    assert spread.p95 == pytest.approx(ordered[int(len(ordered) * 0.95)] / 1000, rel=0.01)
    assert spread.most == pytest.approx(ordered[-1] / 1000, rel=0.01)


def test_apps_are_told_apart_by_their_own_word() -> None:
    """Each with its share; the one with most requests first."""
    said = Labels(app="key's", claimed=Labels(app="own"))
    found = told(
        *[served(app="a")] * 3,
        rescued("busy", app="a"),
        served(app=None),
        rescued(left_out="other_vectors", app=None, labels=said),
    )
    rows = [(one.app, one.parts.requests, one.share) for one in found.apps]
    assert rows == [("a", 4, 0.75), (None, 1, 1.0), ("own", 1, 0.0)]


def test_errors_are_counted_by_where_and_kind() -> None:
    """Of targets and, where the app saw one, what it saw; the vendor's last word is its own."""
    found = told(
        rescued("busy"),
        rescued("busy"),
        record(None, attempt(LOCAL, "worker_lost"), outcome="no_healthy_target"),
    )
    faults = {(one.where, one.kind): one.count for one in found.faults}
    assert faults == {
        (LOCAL, "busy"): 2,
        (LOCAL, "worker_lost"): 1,
        ("app", "no_healthy_target"): 1,
    }


SENTENCES = [
    (rescued(others=()), "Give model gpt-4o a local target: 1 request had nowhere else to go."),
    (
        rescued(left_out="capability", needs=("tools",)),
        "App web needs tools of model gpt-4o (1 request): local/smollm2 cannot do that.",
    ),
    (rescued("context_overflow"), "prompts longer than the context of local/smollm2"),
    (rescued(left_out="other_vectors"), "embed again what is stored"),
    (rescued("busy"), "and 1 request found it full"),
    (rescued(left_out="not_ready"), "local/smollm2 was not ready for 1 request"),
    (rescued("worker_lost"), "local/smollm2 failed 1 request (worker lost)"),
    (rescued(left_out="policy"), "`gateway policy explain --model gpt-4o` says why"),
]


@pytest.mark.parametrize(("one", "said"), SENTENCES, ids=[said[:20] for _, said in SENTENCES])
def test_what_would_have_to_change_is_said(one: Record, said: str) -> None:
    """In the text and in Markdown as well."""
    found = told(served(), one)
    assert any(said in sentence for sentence in found.changes), found.changes
    assert said in text(found)
    assert said in markdown(found)


def test_a_report_reads_as_what_it_is() -> None:
    """Numbers in columns; Markdown with tables that nothing an app says breaks."""
    found = told(
        *[served()] * 3,
        rescued(left_out="capability", needs=("tools",), app="a|b"),
        moved=(Moved("gpt-4o", LOCAL, "local"), Moved("only", None, None)),
        practised=drill(share=0.1, apps=("web", "a|b")),
    )
    plain = text(found)
    assert "openai denied as channel and developer for 10% of the requests of web, a|b" in plain
    assert "Verdict: holds with gaps: 75.0% served without openai" in plain
    assert "2026-11-26 08:00:00+00:00, 100 seconds; ran its time." in plain
    assert "Give model only a local target." in plain
    table = [line for line in markdown(found).splitlines() if line.startswith("| a")]
    assert any("a\\|b" in line for line in table)
    cells = {line.replace("\\|", "").count("|") for line in table if "a\\|b" in line}
    assert cells == {5}


def test_no_reason_begins_a_line_of_its_own() -> None:
    """Nor does anything in it reach the terminal that it would obey."""
    found = told(served(), practised=drill(reason="a\u2028Verdict: fails\n\x1b[2J"))
    for written in (text(found), markdown(found)):
        assert "\x1b" not in written
        lines = [line for line in written.splitlines() if line.startswith("Verdict:")]
        assert [line.replace("*", "") for line in lines] == [
            "Verdict: holds: 100.0% served without openai"
        ]
