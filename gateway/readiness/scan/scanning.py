"""Files to findings, by one process or several; a file that kills its process is told, and the
others are read all the same.
"""

from __future__ import annotations

import gc
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from pathlib import Path
from typing import TypeAlias

from gateway.config.shipped import load_catalog, load_signals
from gateway.readiness.scan.archives import ArchiveReader, unpacked
from gateway.readiness.scan.finding import Unread
from gateway.readiness.scan.reading import FileReader, Read
from gateway.readiness.scan.tree import Found, Kind

More: TypeAlias = Callable[[int], None]
"""Told how many bytes are done."""

ALONE = 400
"""Files up to which a second process would cost more than it brings."""
_BATCH_FILES = 64
_BATCH_BYTES = 4 << 20


def scan(files: Sequence[Found], processes: int, more: More) -> Read:
    """Read all files; the order of what is found is theirs."""
    texts = [one for one in files if one.kind is Kind.TEXT]
    streams = [one for one in files if one.kind is not Kind.TEXT]
    found = Read()
    if processes < 2 or len(texts) <= ALONE:
        found.add(read_batch(texts, more))
        for one in streams:
            found.add(read_one(one, more))
    else:
        batches = [*([one] for one in streams), *_batches(texts)]
        for read in _several(batches, processes, more):
            found.add(read)
    found.findings.sort(key=lambda one: (one.path, one.line, one.column, one.signal, one.value))
    found.unread.sort(key=lambda one: (one.path, one.reason))
    return found


def _several(batches: Sequence[list[Found]], processes: int, more: More) -> Iterator[Read]:
    """Where a process dies, those that may have been at work are set aside, and the rest goes on in
    new ones; then each of those by itself.
    """
    left, suspected = list(batches), list[list[Found]]()
    while left:
        broken: list[list[Found]] = []
        yield from _pooled(left, processes, more, broken)
        # One more than there are processes may have been handed out.
        suspected += broken[: processes + 1]
        left = broken[processes + 1 :]
    for batch in suspected:
        yield from _alone(batch, more)


def _alone(batch: list[Found], more: More) -> Iterator[Read]:
    """A batch in a process of its own; where that dies too, each of its files in one."""
    broken: list[list[Found]] = []
    yield from _pooled([batch], 1, more, broken)
    if broken and len(batch) > 1:
        for one in batch:
            yield from _alone([one], more)
    elif broken:
        reason = "the process that read it died"
        yield Read(files=1, unread=[Unread(batch[0].shown, reason)])


def _pooled(
    batches: Sequence[list[Found]], processes: int, more: More, broken: list[list[Found]]
) -> Iterator[Read]:
    """Read batches; ``broken`` gets those that were not read, in their order."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        futures: dict[Future[Read], int] = {}
        failed: list[int] = []
        for number, batch in enumerate(batches):
            try:
                futures[pool.submit(read_batch, batch)] = number
            except BrokenProcessPool:
                failed.append(number)
        for future in as_completed(futures):
            number = futures[future]
            try:
                read = future.result()
            except BrokenProcessPool:
                failed.append(number)
                continue
            more(sum(one.size for one in batches[number]))
            yield read
    broken += [batches[number] for number in sorted(failed)]


def _batches(files: Sequence[Found]) -> Iterator[list[Found]]:
    batch: list[Found] = []
    size = 0
    for one in files:
        batch.append(one)
        size += one.size
        if len(batch) >= _BATCH_FILES or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def read_batch(files: Sequence[Found], more: More | None = None) -> Read:
    """Read some files in this process."""
    found = Read()
    # Syntax trees have no cycles, and millions of nodes.
    collecting = gc.isenabled()
    gc.disable()
    try:
        for one in files:
            found.add(read_one(one, None))
            if more is not None:
                more(one.size)
    finally:
        if collecting:
            gc.enable()
    return found


def read_one(one: Found, more: More | None) -> Read:
    """Read one file. What the system says against it is told, and nothing of its content."""
    tell = more or _quiet
    try:
        if one.kind is Kind.ARCHIVE:
            return ArchiveReader(_reader()).read(Path(one.path), one.shown, tell)
        if one.kind is Kind.LOG:
            return _log(one, tell)
        return _reader().text(one.shown, Path(one.path).read_bytes())
    except (OSError, EOFError) as error:
        why = getattr(error, "strerror", None) or "it cannot be read"
        return Read(files=1, unread=[Unread(one.shown, str(why).lower())])
    except MemoryError:
        return Read(files=1, unread=[Unread(one.shown, "it needs more memory than there is")])


def _log(one: Found, more: More) -> Read:
    path = Path(one.path)
    with path.open("rb") as file:
        stream = unpacked(path, file)

        def lines() -> Iterator[bytes]:
            done = 0
            while line := stream.readline(1 << 16):
                yield line
                if file.tell() - done >= 1 << 20:
                    more(file.tell() - done)
                    done = file.tell()
            more(max(0, one.size - done))

        read = _reader().log(one.shown, lines(), certain=False)
    read.size = one.size
    return read


def _quiet(_: int) -> None:
    """Nobody is told."""


@cache
def _reader() -> FileReader:
    """Of this process."""
    catalog = load_catalog()
    return FileReader(catalog, load_signals(catalog))
