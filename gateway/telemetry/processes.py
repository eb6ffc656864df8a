"""The processes of a gateway, as the kernel sees them: the usual ``process_…`` metrics of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial

from prometheus_client.core import Metric
from prometheus_client.process_collector import ProcessCollector

from gateway.telemetry.readings import ModelReading, Reading


def processes(
    main: int, serving: Sequence[Reading], models: Sequence[ModelReading]
) -> Iterable[Metric]:
    """``role`` is serving, main where that one does not serve itself, or the local model's name
    behind ``model:``. ``main`` is its process id.
    """
    families: dict[str, Metric] = {}
    for role, pid in _roles(main, serving, models):
        for found in ProcessCollector(pid=partial(int, pid), registry=None).collect():
            family = families.setdefault(
                found.name, Metric(found.name, found.documentation, found.type)
            )
            for sample in found.samples:
                family.add_sample(sample.name, {"role": role, "pid": str(pid)}, sample.value)
    return families.values()


def _roles(
    main: int, serving: Sequence[Reading], models: Sequence[ModelReading]
) -> Iterator[tuple[str, int]]:
    pids = [reading.pid for reading in serving]
    if main not in pids:
        yield "main", main
    yield from (("serving", pid) for pid in pids)
    yield from ((f"model:{model.name}", model.pid) for model in models if model.pid is not None)
