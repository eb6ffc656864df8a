"""Metrics of a gateway, in the text formats of Prometheus and OpenMetrics.

A scrape reaches one serving process and is answered for all of them: what they have counted is
summed, and what each of them is like now is put together, as each name's text says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.registry import Collector

from gateway.telemetry.counts import summed
from gateway.telemetry.processes import processes
from gateway.telemetry.readiness import READINESS, OfReadiness, ReadinessReading, readiness
from gateway.telemetry.readings import ModelReading, Reading, Shared

Label: TypeAlias = tuple[str, ...]
Samples: TypeAlias = Mapping[Label, float]


@dataclass(frozen=True, slots=True)
class Gauge:
    """``read`` makes its samples of what all serving processes say."""

    name: str
    help: str
    labels: Label
    read: Callable[[Sequence[Reading]], Samples] = field(compare=False)

    def family(self, now: Sequence[Reading]) -> Metric:
        return _family(GaugeMetricFamily(self.name, self.help, labels=self.labels), self.read(now))


@dataclass(frozen=True, slots=True)
class OfModel:
    """One figure of each local model; ``counter`` where it only grows."""

    name: str
    help: str
    read: Callable[[ModelReading], float] = field(compare=False)
    counter: bool = False

    def family(self, models: Iterable[ModelReading]) -> Metric:
        kind = CounterMetricFamily if self.counter else GaugeMetricFamily
        samples: Samples = {(model.name,): self.read(model) for model in models}
        return _family(kind(self.name, self.help, labels=("model",)), samples)


def _all(read: Callable[[Reading], Mapping[str, bool | None]]) -> Callable[..., Samples]:
    """1 where every process says so; nothing where none knows."""

    def samples(now: Sequence[Reading]) -> Samples:
        found: dict[Label, float] = {}
        for reading in now:
            for name, true in read(reading).items():
                if true is not None:
                    found[(name,)] = min(found.get((name,), 1), true)
        return found

    return samples


def _sum(read: Callable[[Reading], Mapping[Label, float]]) -> Callable[..., Samples]:
    def samples(now: Sequence[Reading]) -> Samples:
        found: dict[Label, float] = {}
        for reading in now:
            for label, value in read(reading).items():
                found[label] = found.get(label, 0) + value
        return found

    return samples


def _most(read: Callable[[Reading], Mapping[Label, float]]) -> Callable[..., Samples]:
    def samples(now: Sequence[Reading]) -> Samples:
        found: dict[Label, float] = {}
        for reading in now:
            for label, value in read(reading).items():
                found[label] = max(found.get(label, value), value)
        return found

    return samples


def _each(values: Mapping[str, float]) -> dict[Label, float]:
    return {(name,): value for name, value in values.items()}


GAUGES = (
    Gauge(
        "gateway_serving_processes",
        "Serving processes that are alive.",
        (),
        lambda now: {(): len(now)},
    ),
    Gauge(
        "gateway_ready",
        "1 where every serving process can serve: no local model is still being loaded.",
        (),
        lambda now: {(): min((reading.ready for reading in now), default=False)},
    ),
    Gauge(
        "gateway_offline",
        "1 where nothing is dialled that is not declared local or sovereign.",
        (),
        _most(lambda one: {(): one.offline}),
    ),
    Gauge(
        "gateway_requests_in_flight",
        "Requests that have arrived and are not over.",
        (),
        _sum(lambda one: {(): one.requests}),
    ),
    Gauge(
        "gateway_attempts_in_flight",
        "Attempts on a target that are not over.",
        ("target",),
        _sum(lambda one: _each(one.attempts)),
    ),
    Gauge(
        "gateway_local_model_ready",
        "1 where a local model is loaded and has generated a token.",
        ("model",),
        _all(lambda one: one.local),
    ),
    Gauge(
        "gateway_last_local_success_timestamp_seconds",
        "When a local target answered last, whoever asked: an app or the gateway itself.",
        ("target",),
        _most(lambda one: _each(one.successes)),
    ),
    Gauge(
        "gateway_target_ready",
        "1 where a request could be sent to a target now, if policy lets it.",
        ("target",),
        _all(lambda one: one.targets),
    ),
    Gauge(
        "gateway_target_obstacle",
        "Serving processes that may not try a target now, by why: breaker_open, resting, "
        "vendor_blocked, misconfigured.",
        ("target", "reason"),
        _sum(lambda one: dict.fromkeys(one.obstacles.items(), 1)),
    ),
    Gauge(
        "gateway_breaker_state",
        "Of a target: 0 closed, 1 half open, 2 open; the worst of all serving processes.",
        ("target",),
        _most(lambda one: _each(one.breakers)),
    ),
    Gauge(
        "gateway_sovereign_up",
        "1 where a server of our own answers, 0 where it does not; absent while not known.",
        ("channel",),
        _all(lambda one: one.servers),
    ),
    Gauge(
        "gateway_route_gap",
        "1 where no local target of a configured model can do what another of its targets can.",
        ("model", "capability"),
        _most(lambda one: dict.fromkeys(_gaps(one), 1)),
    ),
    Gauge(
        "gateway_drill",
        "1 while a ban of the vendor is practised.",
        ("vendor",),
        _most(lambda one: {(one.drill,): 1} if one.drill else {}),
    ),
    Gauge(
        "gateway_policy_info",
        "Serving processes by the policy that they have in force.",
        ("revision", "mode"),
        _sum(lambda one: {(one.policy, one.mode): 1}),
    ),
    Gauge(
        "gateway_policy_loaded_timestamp_seconds",
        "When the policy in force came into force; its age is time() less this.",
        (),
        _most(lambda one: {(): one.policy_since}),
    ),
    Gauge(
        "gateway_policy_shadow_rules",
        "Rules of the policy in force that stand in shadow.",
        (),
        _most(lambda one: {(): one.shadow_rules}),
    ),
    Gauge(
        "gateway_policy_degraded",
        "1 where the newest policy on disk is not in force.",
        (),
        _most(lambda one: {(): one.degraded}),
    ),
    Gauge(
        "gateway_configuration_info",
        "Serving processes by the configuration that they have in force.",
        ("revision",),
        _sum(lambda one: {(one.configuration,): 1}),
    ),
    Gauge(
        "gateway_configuration_loaded_timestamp_seconds",
        "When the configuration in force came into force.",
        (),
        _most(lambda one: {(): one.configuration_since}),
    ),
    Gauge(
        "gateway_configuration_degraded",
        "1 where the newest configuration on disk is not in force.",
        (),
        _most(lambda one: {(): one.outdated}),
    ),
    Gauge(
        "gateway_audit_waiting_records",
        "Records that are not in the audit log yet.",
        (),
        _sum(lambda one: {(): one.audit_waiting}),
    ),
    Gauge(
        "gateway_audit_failing",
        "1 where the audit log cannot be written now.",
        (),
        _most(lambda one: {(): one.audit_fails}),
    ),
)

MODELS = (
    OfModel("gateway_local_queue_length", "Requests that wait for a slot.", lambda m: m.waiting),
    OfModel("gateway_local_slots", "Answers that can be generated at once.", lambda m: m.slots),
    OfModel("gateway_local_slots_busy", "Answers that are being generated.", lambda m: m.busy),
    OfModel(
        "gateway_local_memory_bytes",
        "Main memory that a loaded model is reckoned to need.",
        lambda m: m.memory if m.pid is not None else 0,
    ),
    OfModel(
        "gateway_local_restarts",
        "Workers that ended and were started again.",
        lambda m: m.restarts,
        counter=True,
    ),
    OfModel(
        "gateway_local_prompt_tokens",
        "Tokens of prompts that got a slot, those included whose answer nobody waited for.",
        lambda m: m.prompt,
        counter=True,
    ),
    OfModel(
        "gateway_local_cached_tokens",
        "Of those, tokens that a slot held already and that were not computed again.",
        lambda m: m.cached,
        counter=True,
    ),
    OfModel(
        "gateway_local_completion_tokens",
        "Tokens that were generated, those included that nobody waited for.",
        lambda m: m.completion,
        counter=True,
    ),
)
STATE = "gateway_local_model_state"
STATE_HELP = "1 for the state that a local model is in."
STATES = ("starting", "ready", "restarting", "unloaded", "failed", "stopped")


class Metrics:
    """What a scrape of the gateway whose processes share a folder is answered."""

    def __init__(self, shared: Shared, version: str) -> None:
        self._shared = shared
        self._version = version

    def scrape(self, accept: str) -> tuple[bytes, str]:
        """All metrics in the format that an ``Accept`` header prefers, and its media type."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Once(self._families()))
        encode, media = choose_encoder(accept)
        return encode(registry), media

    def _families(self) -> Iterator[Metric]:
        now, models = self._shared.serving(), self._shared.models()
        yield InfoMetricFamily("gateway_build", "This gateway.", {"version": self._version})
        yield from (gauge.family(now) for gauge in GAUGES)
        yield from (figure.family(models) for figure in MODELS)
        yield _states(models)
        found = readiness(self._shared.readiness())
        yield from (_of_readiness(gauge, found) for gauge in READINESS)
        yield from summed(self._shared.folder)
        yield from processes(self._shared.main, now, models)
        yield from PlatformCollector(registry=None).collect()


class _Once(Collector):
    """Families that were made already."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        return self._families


def _states(models: Iterable[ModelReading]) -> Metric:
    samples: Samples = {
        (model.name, state): float(model.state == state) for model in models for state in STATES
    }
    return _family(GaugeMetricFamily(STATE, STATE_HELP, labels=("model", "state")), samples)


def _of_readiness(gauge: OfReadiness, found: ReadinessReading | None) -> Metric:
    samples = {} if found is None else gauge.read(found)
    return _family(GaugeMetricFamily(gauge.name, gauge.help, labels=gauge.labels), samples)


def _gaps(reading: Reading) -> Iterator[Label]:
    for model, words in reading.lacking.items():
        yield from ((model, word) for word in sorted(words))


def _family(
    family: GaugeMetricFamily | CounterMetricFamily, samples: Mapping[Label, float]
) -> Metric:
    for labels, value in samples.items():
        family.add_metric(labels, value)
    return family
