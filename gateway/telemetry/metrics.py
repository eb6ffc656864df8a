"""Metrics of one serving process, in the text format of Prometheus.

Nothing is counted here: what the process is like is read when it is asked for, so that a metric
costs a request nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.domain.target import Capability

MEDIA_TYPE = CONTENT_TYPE_LATEST


@dataclass(frozen=True, slots=True)
class Reading:
    """What a process is like. ``local`` has the local models, ``targets`` all configured targets
    and ``servers`` our own model servers, each with whether it is ready or up (``None``: not
    known); ``lacking`` is what no local target of a configured model can do and another can, and
    ``unmet`` how many requests needed it. ``degraded`` says that the newest policy on disk is not
    in force, ``outdated`` the same of the configuration.
    """

    local: Mapping[str, bool]
    targets: Mapping[str, bool]
    servers: Mapping[str, bool | None]
    lacking: Mapping[str, frozenset[Capability]]
    unmet: Mapping[tuple[str, Capability], int]
    degraded: bool
    outdated: bool


class Metrics:
    """``read`` says what the process is like now. The registry is this app's own: several apps in
    one process do not know of each other.
    """

    def __init__(self, read: Callable[[], Reading]) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Readings(read))

    def text(self) -> bytes:
        """All metrics, as ``MEDIA_TYPE``."""
        return generate_latest(self._registry)


class _Readings(Collector):
    def __init__(self, read: Callable[[], Reading]) -> None:
        self._read = read

    def describe(self) -> Iterable[Metric]:
        # Whoever registers it is not to read anything yet.
        return ()

    def collect(self) -> Iterable[Metric]:
        now = self._read()
        yield _gauge(
            "gateway_local_model_ready",
            "1 where a local model is loaded and has generated a token.",
            "model",
            now.local,
        )
        yield _gauge(
            "gateway_target_ready",
            "1 where a request could be sent to a target now, if policy lets it.",
            "target",
            now.targets,
        )
        yield _gauge(
            "gateway_sovereign_up",
            "1 where a server of our own answers, 0 where it does not; absent while not known.",
            "channel",
            {name: up for name, up in now.servers.items() if up is not None},
        )
        yield _gaps(now)
        yield _unmet(now)
        yield _degraded("policy", now.degraded)
        yield _degraded("configuration", now.outdated)


def _degraded(of: str, true: bool) -> Metric:
    family = GaugeMetricFamily(
        f"gateway_{of}_degraded", f"1 where the newest {of} on disk is not in force."
    )
    family.add_metric((), true)
    return family


def _gauge(name: str, help: str, label: str, values: Mapping[str, bool]) -> Metric:
    family = GaugeMetricFamily(name, help, labels=(label,))
    for value, true in values.items():
        family.add_metric((value,), true)
    return family


def _gaps(now: Reading) -> Metric:
    family = GaugeMetricFamily(
        "gateway_route_gap",
        "1 where no local target of a configured model can do what another of its targets can.",
        labels=("model", "capability"),
    )
    for gap in _each_gap(now):
        family.add_metric(gap, 1)
    return family


def _unmet(now: Reading) -> Metric:
    family = CounterMetricFamily(
        "gateway_unmet_needs",
        "Requests that needed what no local target of their configured model can do.",
        labels=("model", "capability"),
    )
    # From zero on, so that the first one is seen as a step.
    for gap in _each_gap(now):
        family.add_metric(gap, now.unmet.get(gap, 0))
    return family


def _each_gap(now: Reading) -> Iterator[tuple[str, Capability]]:
    for model, words in now.lacking.items():
        yield from ((model, word) for word in sorted(words))
