"""What is counted of canaries, and that nothing of them is counted of apps."""

from __future__ import annotations

from typing import Any

from gateway.audit.record import Record
from gateway.telemetry.canaries import Skipped
from tests.telemetry.test_tally import Counted, attempt, counted, record

__all__ = ["counted"]


def canary(**fields: Any) -> Record:
    usual = {
        "model": "gpt-4o-mini",
        "stream": True,
        "outcome": "served",
        "served_by": "local/s",
        "locality": "local",
        "origin": "canary",
        "repeats": "r0",
        "attempts": [attempt("local/s", us=900_000, first_content_us=200_000)],
        "duration_us": 900_000,
        "completion_tokens": 9,
        "prompt_tokens": 9,
    }
    return record(**(usual | fields))


def test_a_canary_is_counted_apart(counted: Counted) -> None:
    """By the configured name of the model; its time beside the vendor's; what it did otherwise."""
    counted.take(canary(differs=("finish", "tools")))
    counted.canaries.first("gpt-*", "openai/gpt-4o-mini", 0.1)
    found = counted.all()
    assert found["canaries_total", "gpt-*", "served", "local/s"] == 1
    assert found["canary_differences_total", "gpt-*", "local/s", "finish"] == 1
    assert found["canary_differences_total", "gpt-*", "local/s", "tools"] == 1
    assert found["canary_time_to_first_token_seconds_sum", "gpt-*", "local/s"] == 0.2
    assert found["canary_time_to_first_token_seconds_sum", "gpt-*", "openai/gpt-4o-mini"] == 0.1
    assert {key[0].partition("_")[0] for key in found} == {"canaries", "canary"}


def test_one_that_gave_way_is_skipped(counted: Counted) -> None:
    counted.take(canary(outcome="broken", attempts=[attempt("local/s", "busy")]))
    counted.canaries.skipped(Skipped.AT_ONCE)
    assert counted.all() == {
        ("canaries_skipped_total", "busy"): 1,
        ("canaries_skipped_total", "at_once"): 1,
    }


def test_what_the_gateway_asks_of_its_own_has_no_configured_name(counted: Counted) -> None:
    counted.take(canary(repeats=None, model="local/s"))
    assert counted.all()["canaries_total", "(own)", "served", "local/s"] == 1


def test_what_a_drill_or_an_evaluation_asks_is_counted_of_nobody(counted: Counted) -> None:
    for origin in ("drill", "eval"):
        counted.take(canary(origin=origin, repeats=None))
    assert counted.all() == {}
