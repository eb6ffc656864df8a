"""The metrics of a process, as a scraper reads them."""

from __future__ import annotations

from dataclasses import replace

from prometheus_client.parser import text_string_to_metric_families

from gateway.domain.target import Capability
from gateway.telemetry.metrics import Metrics, Reading

READING = Reading(
    local={"smollm2": True, "other": False},
    targets={"openai/gpt-4o": True, "lab/qwen3": False},
    servers={"lab": False, "near": True, "far": None},
    lacking={"gpt-4o": frozenset({Capability.IMAGES, Capability.AUDIO}), "own": frozenset()},
    unmet={("gpt-4o", Capability.IMAGES): 3},
    degraded=True,
    outdated=False,
)


def scraped(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """Each sample by its name and the values of its labels, in the order of their names."""
    families = text_string_to_metric_families(metrics.text().decode())
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def test_everything_that_is_read_is_told() -> None:
    """A server of which nothing is known is not there; a need that nobody had yet counts zero."""
    assert scraped(Metrics(lambda: READING)) == {
        ("gateway_local_model_ready", "smollm2"): 1,
        ("gateway_local_model_ready", "other"): 0,
        ("gateway_target_ready", "openai/gpt-4o"): 1,
        ("gateway_target_ready", "lab/qwen3"): 0,
        ("gateway_sovereign_up", "lab"): 0,
        ("gateway_sovereign_up", "near"): 1,
        ("gateway_route_gap", "images", "gpt-4o"): 1,
        ("gateway_route_gap", "audio", "gpt-4o"): 1,
        ("gateway_unmet_needs_total", "images", "gpt-4o"): 3,
        ("gateway_unmet_needs_total", "audio", "gpt-4o"): 0,
        ("gateway_policy_degraded",): 1,
        ("gateway_configuration_degraded",): 0,
    }


def test_it_is_read_when_it_is_asked_for_and_not_before() -> None:
    """And anew each time; another app's metrics are its own."""
    readings = [replace(READING, degraded=False), READING]
    metrics, other = Metrics(lambda: readings.pop()), Metrics(lambda: READING)
    assert len(readings) == 2
    assert scraped(metrics)["gateway_policy_degraded",] == 1
    assert scraped(metrics)["gateway_policy_degraded",] == 0
    assert scraped(other)["gateway_policy_degraded",] == 1
