"""Counters and histograms of one serving process, where the others can read them (decision 17).

They stand in files that the process has mapped into its memory, in the format of
prometheus_client's own mode for several processes, but without its global switch: each ``Counts``
is its own. To count is to write 16 bytes; nothing is lost when the process is killed, and a file
outlives its process, so that no sum over all of them ever goes backwards.
"""

from __future__ import annotations

import os
import secrets
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.core import Metric
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.utils import floatToGoString

from gateway.errors import StateError

INFINITE = float("inf")


@dataclass(frozen=True, slots=True)
class Counter:
    """Its samples are called ``name`` and ``_total``. Values only grow."""

    name: str
    help: str
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Histogram:
    """``buckets`` are upper bounds, rising, without the infinite one."""

    name: str
    help: str
    labels: tuple[str, ...]
    buckets: tuple[float, ...]


class _Value:
    """One double in the file; nobody else writes there."""

    __slots__ = ("_file", "_key", "value")

    def __init__(self, file: MmapedDict, key: str) -> None:
        self._file = file
        self._key = key
        self.set(0.0)

    def set(self, value: float) -> None:
        self.value = value
        self._file.write_value(self._key, value, 0.0)


class _Buckets:
    """One histogram for one set of labels. Each bucket's count stands for itself; the sum over
    those below it is made when it is read.
    """

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, file: MmapedDict, of: Histogram, labels: tuple[str, ...]) -> None:
        def value(suffix: str, names: tuple[str, ...], values: tuple[str, ...]) -> _Value:
            return _Value(file, _key(of, suffix, names, values))

        self._bounds = of.buckets
        self._counts = [
            value("_bucket", (*of.labels, "le"), (*labels, floatToGoString(bound)))
            for bound in (*of.buckets, INFINITE)
        ]
        self._sum = value("_sum", of.labels, labels)

    def observe(self, value: float) -> None:
        count = self._counts[bisect_left(self._bounds, value)]
        count.set(count.value + 1)
        self._sum.set(self._sum.value + value)


class Counts:
    """What this process counts, in files of its own in ``folder``. For one thread."""

    def __init__(self, folder: Path) -> None:
        # Not only the process's number: that may be given anew, and several apps may be in one.
        own = f"{os.getpid()}-{secrets.token_hex(4)}"
        try:
            self._counters = MmapedDict(str(folder / f"counter_{own}.db"))
            self._histograms = MmapedDict(str(folder / f"histogram_{own}.db"))
        except OSError as error:
            raise StateError(
                f"{folder} cannot be written ({error.strerror}): make it writable or set state.dir"
            ) from error
        self._values: dict[tuple[str, tuple[str, ...]], _Value] = {}
        self._buckets: dict[tuple[str, tuple[str, ...]], _Buckets] = {}

    def add(self, counter: Counter, labels: tuple[str, ...], amount: float = 1.0) -> None:
        """``labels`` are the values, in the order of the counter's names. With ``amount`` 0 it is
        there from then on, so that the first step is seen.
        """
        value = self._value(counter, labels)
        value.set(value.value + amount)

    def reach(self, counter: Counter, labels: tuple[str, ...], total: float) -> None:
        """What another part of this process counts by itself is ``total`` by now."""
        value = self._value(counter, labels)
        if value.value != total:
            value.set(total)

    def observe(self, histogram: Histogram, labels: tuple[str, ...], value: float) -> None:
        key = (histogram.name, labels)
        buckets = self._buckets.get(key)
        if buckets is None:
            buckets = self._buckets[key] = _Buckets(self._histograms, histogram, labels)
        buckets.observe(value)

    def close(self) -> None:
        """The files stay."""
        self._counters.close()
        self._histograms.close()

    def _value(self, counter: Counter, labels: tuple[str, ...]) -> _Value:
        key = (counter.name, labels)
        value = self._values.get(key)
        if value is None:
            value = _Value(self._counters, _key(counter, "_total", counter.labels, labels))
            self._values[key] = value
        return value


def summed(folder: Path) -> Iterable[Metric]:
    """All that processes count and have counted in ``folder``, those that ended included."""
    files = sorted(str(path) for path in folder.glob("*_*.db"))
    merged: Iterable[Metric] = MultiProcessCollector.merge(files)
    return sorted(merged, key=lambda metric: metric.name)


def _key(
    of: Counter | Histogram, suffix: str, names: tuple[str, ...], values: tuple[str, ...]
) -> str:
    return mmap_key(of.name, of.name + suffix, list(names), list(values), of.help)
