"""Counters and histograms of one serving process, where the others can read them (decision 17).

They stand in files that the process has mapped into its memory, in the format of
prometheus_client's own mode for several processes, but without its global switch: each ``Counts``
is its own. What is written is not lost when the process is killed, and a file outlives its process,
so that no sum over all of them ever goes backwards. What has changed is written once for all that
was counted together, 16 bytes each.
"""

from __future__ import annotations

import os
import secrets
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

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


class Cell:
    """One double; in the file, where nobody else writes there, as of the last ``write``."""

    __slots__ = ("_changed", "_file", "_key", "value")

    def __init__(self, file: MmapedDict, key: str, changed: set[Cell]) -> None:
        self._file = file
        self._key = key
        self._changed = changed
        self.value = 0.0
        self.write()

    def add(self, amount: float) -> None:
        self.value += amount
        self._changed.add(self)

    def reach(self, total: float) -> None:
        """What another part of this process counts by itself is ``total`` by now."""
        if self.value != total:
            self.add(total - self.value)

    def write(self) -> None:
        self._file.write_value(self._key, self.value, 0.0)


class Buckets:
    """One histogram for one set of labels. Each bucket's count stands for itself; the sum over
    those below it is made when it is read.
    """

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: tuple[float, ...], counts: Sequence[Cell], total: Cell) -> None:
        self._bounds = bounds
        self._counts = counts
        self._sum = total

    def add(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)].add(1.0)
        self._sum.add(value)


T = TypeVar("T")


class Labelled(dict[tuple[str, ...], T]):
    """What is counted under one name, by the values of its labels, in the order of their names.
    What is asked for is there from then on: a counter with 0, so that the first step is seen.
    """

    def __init__(self, make: Callable[[tuple[str, ...]], T]) -> None:
        super().__init__()
        self._make: Callable[[tuple[str, ...]], T] = make

    def __missing__(self, labels: tuple[str, ...]) -> T:
        found = self[labels] = self._make(labels)
        return found


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
        self._changed: set[Cell] = set()

    def counter(self, of: Counter) -> Labelled[Cell]:
        """Asked for once: each has values of its own."""

        def made(labels: tuple[str, ...]) -> Cell:
            return self._cell(self._counters, _key(of, "_total", of.labels, labels))

        return Labelled(made)

    def histogram(self, of: Histogram) -> Labelled[Buckets]:
        """As ``counter``."""

        def made(labels: tuple[str, ...]) -> Buckets:
            names = (*of.labels, "le")
            keys = [
                _key(of, "_bucket", names, (*labels, floatToGoString(bound)))
                for bound in (*of.buckets, INFINITE)
            ]
            counts = [self._cell(self._histograms, key) for key in keys]
            total = self._cell(self._histograms, _key(of, "_sum", of.labels, labels))
            return Buckets(of.buckets, counts, total)

        return Labelled(made)

    def write(self) -> None:
        """What has changed, for the others to read."""
        for cell in self._changed:
            cell.write()
        self._changed.clear()

    def close(self) -> None:
        """The files stay."""
        self.write()
        self._counters.close()
        self._histograms.close()

    def _cell(self, file: MmapedDict, key: str) -> Cell:
        return Cell(file, key, self._changed)


def summed(folder: Path) -> Iterable[Metric]:
    """All that processes count and have counted in ``folder``, those that ended included."""
    files = sorted(str(path) for path in folder.glob("*_*.db"))
    merged: Iterable[Metric] = MultiProcessCollector.merge(files)
    return sorted(merged, key=lambda metric: metric.name)


def _key(
    of: Counter | Histogram, suffix: str, names: tuple[str, ...], values: tuple[str, ...]
) -> str:
    return mmap_key(of.name, of.name + suffix, list(names), list(values), of.help)
