"""The metrics of a gateway, as a scraper reads them."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as strict
from prometheus_client.parser import text_string_to_metric_families as plain

from gateway.domain.target import Capability
from gateway.telemetry.counts import Counter, Counts, Histogram
from gateway.telemetry.metrics import GAUGES, Metrics
from gateway.telemetry.readings import ModelReading, Reading, Shared

READING = Reading(
    pid=1,
    ready=True,
    offline=False,
    requests=3,
    local={"smollm2": True, "other": False},
    targets={"openai/gpt-4o": True, "lab/qwen3": False},
    servers={"lab": False, "near": True, "far": None},
    lacking={"gpt-4o": frozenset({Capability.IMAGES, Capability.AUDIO}), "own": frozenset()},
    breakers={"openai/gpt-4o": 0, "lab/qwen3": 2},
    obstacles={"lab/qwen3": "breaker_open"},
    attempts={"openai/gpt-4o": 2, "lab/qwen3": 0},
    drill="openai",
    policy="abc",
    mode="enforce",
    policy_since=1000.5,
    shadow_rules=1,
    configuration="def",
    configuration_since=999.0,
    degraded=True,
    outdated=False,
    audit_waiting=5,
    audit_fails=True,
    successes={"local/smollm2": 990.5},
)
MODEL = ModelReading("smollm2", "ready", None, 2, 4, 3, 1, 100, 40, 50, 1 << 20)
OPENMETRICS = "application/openmetrics-text; version=1.0.0"

Scrape = dict[tuple[str, ...], float]


def scraped(shared: Shared, accept: str = "") -> Scrape:
    """Each sample of ours by its name and the values of its labels, in the order of their names."""
    text, media = Metrics(shared, "1.2.3").scrape(accept)
    parse = strict if "openmetrics" in media else plain
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in parse(text.decode())
        for sample in family.samples
        if sample.name.startswith("gateway_")
    }


@pytest.fixture
def shared(tmp_path: Path) -> Shared:
    return Shared.begin(tmp_path)


def told(shared: Shared, number: int, reading: Reading) -> None:
    """As another process, which is alive, would tell it."""
    path = shared.folder / f"serving-{number}.msgpack"
    path.write_bytes(msgspec.msgpack.encode(reading))


@pytest.mark.parametrize("accept", ["", OPENMETRICS])
def test_everything_that_is_read_is_told(shared: Shared, accept: str) -> None:
    """A server of which nothing is known is not there. In both formats."""
    told(shared, 1, READING)
    shared.tell_models([MODEL])
    expected: Scrape = {
        ("gateway_build_info", "1.2.3"): 1,
        ("gateway_serving_processes",): 1,
        ("gateway_ready",): 1,
        ("gateway_offline",): 0,
        ("gateway_requests_in_flight",): 3,
        ("gateway_attempts_in_flight", "openai/gpt-4o"): 2,
        ("gateway_attempts_in_flight", "lab/qwen3"): 0,
        ("gateway_local_model_ready", "smollm2"): 1,
        ("gateway_local_model_ready", "other"): 0,
        ("gateway_last_local_success_timestamp_seconds", "local/smollm2"): 990.5,
        ("gateway_target_ready", "openai/gpt-4o"): 1,
        ("gateway_target_ready", "lab/qwen3"): 0,
        ("gateway_target_obstacle", "breaker_open", "lab/qwen3"): 1,
        ("gateway_breaker_state", "openai/gpt-4o"): 0,
        ("gateway_breaker_state", "lab/qwen3"): 2,
        ("gateway_sovereign_up", "lab"): 0,
        ("gateway_sovereign_up", "near"): 1,
        ("gateway_route_gap", "images", "gpt-4o"): 1,
        ("gateway_route_gap", "audio", "gpt-4o"): 1,
        ("gateway_drill", "openai"): 1,
        ("gateway_policy_info", "enforce", "abc"): 1,
        ("gateway_policy_loaded_timestamp_seconds",): 1000.5,
        ("gateway_policy_shadow_rules",): 1,
        ("gateway_policy_degraded",): 1,
        ("gateway_configuration_info", "def"): 1,
        ("gateway_configuration_loaded_timestamp_seconds",): 999,
        ("gateway_configuration_degraded",): 0,
        ("gateway_audit_waiting_records",): 5,
        ("gateway_audit_failing",): 1,
        ("gateway_local_queue_length", "smollm2"): 1,
        ("gateway_local_slots", "smollm2"): 4,
        ("gateway_local_slots_busy", "smollm2"): 3,
        ("gateway_local_memory_bytes", "smollm2"): 0,
        ("gateway_local_restarts_total", "smollm2"): 2,
        ("gateway_local_prompt_tokens_total", "smollm2"): 100,
        ("gateway_local_cached_tokens_total", "smollm2"): 40,
        ("gateway_local_completion_tokens_total", "smollm2"): 50,
    }
    states = ("starting", "ready", "restarting", "unloaded", "failed", "stopped")
    for state in states:
        expected["gateway_local_model_state", "smollm2", state] = state == "ready"
    assert scraped(shared, accept) == expected


def test_several_processes_are_told_as_one(shared: Shared) -> None:
    """What can be added is; a target is ready where it is for all; a breaker is the worst of all;
    who is half-way to another policy is seen.
    """
    other = msgspec.structs.replace(
        READING,
        requests=4,
        policy="new",
        degraded=False,
        targets={"openai/gpt-4o": False, "lab/qwen3": False},
        servers={"lab": True, "near": True, "far": True},
        breakers={"openai/gpt-4o": 1},
        obstacles={"openai/gpt-4o": "resting", "lab/qwen3": "breaker_open"},
    )
    told(shared, 1, READING)
    told(shared, 2, other)
    found = scraped(shared)
    assert found["gateway_serving_processes",] == 2
    assert found["gateway_requests_in_flight",] == 7
    assert found["gateway_attempts_in_flight", "openai/gpt-4o"] == 4
    assert found["gateway_target_ready", "openai/gpt-4o"] == 0
    assert found["gateway_sovereign_up", "lab"] == 0
    assert found["gateway_sovereign_up", "far"] == 1
    assert found["gateway_breaker_state", "openai/gpt-4o"] == 1
    assert found["gateway_target_obstacle", "breaker_open", "lab/qwen3"] == 2
    assert found["gateway_policy_info", "enforce", "abc"] == 1
    assert found["gateway_policy_info", "enforce", "new"] == 1
    assert found["gateway_policy_degraded",] == 1


def test_a_process_that_is_gone_is_told_no_more(shared: Shared) -> None:
    told(shared, 1, READING)
    told(shared, 2, msgspec.structs.replace(READING, pid=1 << 30))
    assert scraped(shared)["gateway_serving_processes",] == 1


ASKED = Counter("gateway_asked", "Asked.", ("model",))
LASTED = Histogram("gateway_lasted_seconds", "Lasted.", ("model",), (0.1, 1.0))


@pytest.mark.parametrize("accept", ["", OPENMETRICS])
def test_what_is_counted_is_summed_over_all_and_outlives_them(
    shared: Shared, accept: str, request: pytest.FixtureRequest
) -> None:
    first, second = Counts(shared.folder), Counts(shared.folder)
    asked, lasted = first.counter(ASKED), first.histogram(LASTED)
    asked["a",].add(1)
    asked["a",].add(2)
    assert asked['b"\\',].value == 0
    for seconds in (0.1, 0.5, 20):
        lasted["a",].add(seconds)
    first.close()
    second.counter(ASKED)["a",].add(1)
    second.histogram(LASTED)["a",].add(0.05)
    request.addfinalizer(second.close)
    assert scraped(shared, accept)["gateway_asked_total", "a"] == 3
    second.write()
    found = scraped(shared, accept)
    assert found["gateway_asked_total", "a"] == 4
    assert found["gateway_asked_total", 'b"\\'] == 0
    buckets = [found["gateway_lasted_seconds_bucket", le, "a"] for le in ("0.1", "1.0", "+Inf")]
    assert buckets == [2, 3, 4]
    assert found["gateway_lasted_seconds_count", "a"] == 4
    assert found["gateway_lasted_seconds_sum", "a"] == pytest.approx(20.65)


def test_what_another_part_counts_is_brought_level(shared: Shared) -> None:
    counts = Counts(shared.folder)
    asked = counts.counter(ASKED)["a",]
    asked.reach(0)
    assert scraped(shared)["gateway_asked_total", "a"] == 0
    asked.reach(5)
    asked.reach(5)
    counts.close()
    assert scraped(shared)["gateway_asked_total", "a"] == 5


def test_a_new_gateway_begins_from_nothing(tmp_path: Path) -> None:
    """The folders of gateways that have ended are gone, those of others stay."""
    (tmp_path / "metrics" / f"{1 << 30}-abcdef").mkdir(parents=True)
    running = Shared.begin(tmp_path)
    Shared.begin(tmp_path)
    assert running.folder.is_dir()
    assert len(list((tmp_path / "metrics").iterdir())) == 2
    assert running.folder.stat().st_mode & 0o077 == 0


def test_every_gauge_has_a_name_of_its_own_and_a_text() -> None:
    assert len({gauge.name for gauge in GAUGES}) == len(GAUGES)
    assert all(gauge.help.endswith(".") for gauge in GAUGES)
