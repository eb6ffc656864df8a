"""What is counted of a request that is over."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.audit.record import AttemptRecord, JudgedTarget, Record, Seam
from gateway.domain.decision import Mode, Verdict
from gateway.domain.identity import Locality, Role
from gateway.telemetry.counts import Counts, summed
from gateway.telemetry.tally import Tally
from gateway.telemetry.timing import first_content, rate

AT = datetime(2026, 1, 1, tzinfo=UTC)
CONFIGURED = {"gpt-4o": "gpt-4o", "gpt-4o-mini": "gpt-*"}


class Counted:
    """A tally, and what its counters and histograms have come to."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.counts = Counts(folder)
        tally = Tally(self.counts, CONFIGURED.get)
        self.take, self.canaries = tally.take, tally.canaries

    def all(self) -> dict[tuple[str, ...], float]:
        self.counts.write()
        return {
            (s.name.removeprefix("gateway_"), *(v for _, v in sorted(s.labels.items()))): s.value
            for family in summed(self._folder)
            for s in family.samples
        }


@pytest.fixture
def counted(tmp_path: Path) -> Iterator[Counted]:
    found = Counted(tmp_path)
    yield found
    found.counts.close()


def record(**fields: Any) -> Record:
    return Record(id="r", at=AT, api="chat/completions", **fields)


def attempt(target: str, outcome: str = "served", us: int = 1000, **fields: Any) -> AttemptRecord:
    return AttemptRecord(target=target, outcome=outcome, duration_us=us, revision="p", **fields)


def judged(verdict: Verdict, **fields: Any) -> JudgedTarget:
    return JudgedTarget(
        target="t/m",
        channel="t",
        developer="d",
        model="m",
        locality=Locality.CLOUD,
        parties=(),
        verdict=verdict,
        rule="rule-1",
        party="vendor-1",
        role=Role.CHANNEL,
        **fields,
    )


def test_a_request_that_failed_over(counted: Counted) -> None:
    """Tokens, times and both attempts; the model by the pattern that it is configured under."""
    counted.take(
        record(
            model="gpt-4o-mini",
            stream=True,
            outcome="served",
            served_by="local/s",
            locality="local",
            failover="refused",
            prompt_tokens=20,
            cached_tokens=15,
            completion_tokens=11,
            cost=2_500_000,
            duration_us=3_000_000,
            attempts=[
                attempt("openai/x", "refused", 200_000),
                attempt("local/s", us=2_500_000, first_content_us=500_000),
            ],
        )
    )
    found = counted.all()
    of = ("gpt-*", "local/s")
    assert found["requests_total", "refused", "local", "gpt-*", "served", "local/s"] == 1
    assert found["request_duration_seconds_sum", *of] == 3
    assert found["request_duration_seconds_bucket", "2.5", *of] == 0
    assert found["request_duration_seconds_bucket", "5.0", *of] == 1
    assert found["time_to_first_token_seconds_sum", *of] == 1.0
    assert found["output_tokens_per_second_sum", *of] == 5.0
    assert found["attempts_total", "refused", "openai/x"] == 1
    assert found["attempts_total", "served", "local/s"] == 1
    assert found["attempt_duration_seconds_sum", "openai/x"] == 0.2
    assert found["tokens_total", "prompt", "local/s"] == 20
    assert found["tokens_total", "cached", "local/s"] == 15
    assert found["tokens_total", "completion", "local/s"] == 11
    assert ("tokens_total", "reasoning", "local/s") not in found
    assert found["cost_total", *of] == 2.5


@pytest.mark.parametrize(
    ("fields", "model", "outcome"),
    [
        ({"model": "sk-secret", "outcome": "model_not_found"}, "(unknown)", "model_not_found"),
        ({"model": "sk-secret", "outcome": "served"}, "(unknown)", "served"),
        ({"outcome": "invalid_api_key"}, "(unknown)", "invalid_api_key"),
        (
            {
                "model": "gpt-4o",
                "outcome": "whatever a vendor says",
                "attempts": [attempt("openai/x", "request_fault")],
            },
            "gpt-4o",
            "vendor_fault",
        ),
    ],
)
def test_no_label_is_what_somebody_else_wrote(
    counted: Counted, fields: dict[str, Any], model: str, outcome: str
) -> None:
    """Neither an app that asks for models by the thousand, nor a vendor with codes of its own."""
    counted.take(record(**fields))
    found = counted.all()
    assert found["requests_total", "", "", model, outcome, ""] == 1
    assert not any("secret" in word or "whatever" in word for key in found for word in key)


def test_verdicts_are_counted_by_rule_and_vendor(counted: Counted) -> None:
    """For each target; apart what was only decided in shadow, and rules that stand in it."""
    targets = (
        judged(Verdict.DENY),
        judged(Verdict.DENY, mode=Mode.SHADOW),
        judged(Verdict.ALLOW, shadowed=("rule-2", "rule-3")),
    )
    counted.take(record(model="gpt-4o", targets=targets))
    found = counted.all()
    assert found["policy_denied_total", "enforce", "rule-1", "vendor-1"] == 1
    assert found["policy_denied_total", "shadow", "rule-1", "vendor-1"] == 1
    assert found["policy_shadowed_total", "rule-2"] == 1
    assert found["policy_shadowed_total", "rule-3"] == 1


def test_tokens_that_were_only_counted_were_not_spent(counted: Counted) -> None:
    asked = record(model="gpt-4o", outcome="served", served_by="local/s", prompt_tokens=7)
    asked.api = "messages/count_tokens"
    counted.take(asked)
    assert not any(key[0] == "tokens_total" for key in counted.all())


def test_an_answer_that_broke_off_began_with_its_first_target() -> None:
    """The app had its first content of the attempt before the last."""
    gone_on = record(
        model="gpt-4o",
        stream=True,
        duration_us=5_000_000,
        attempts=[
            attempt("a/x", "refused", 1_000_000),
            attempt("b/x", "truncated", 2_000_000, first_content_us=300_000, seam=Seam(1, 1)),
            attempt("c/x", us=2_000_000, first_content_us=900_000),
        ],
    )
    assert first_content(gone_on) == 1.3


def test_there_is_no_rate_of_what_came_at_once() -> None:
    whole = record(
        model="gpt-4o",
        completion_tokens=50,
        duration_us=1_000_000,
        attempts=[attempt("a/x", us=1_000_000, first_content_us=999_900)],
    )
    first = first_content(whole)
    assert first is not None
    assert first == pytest.approx(0.9999)
    assert rate(whole, first) is None
    assert first_content(record(duration_us=5)) is None
    assert first_content(record(duration_us=5, attempts=[attempt("a/x", "refused")])) is None
