"""Files that are followed while they may change: a cheap sign of change, and when to look at it.

What changed is told by the kernel (folders, so that a renamed-over file and Kubernetes' symlink
swap are seen) and, where that fails, by looking four times a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import aclosing
from pathlib import Path
from typing import TypeAlias

import structlog
import watchfiles

POLL_SECONDS = 0.25
STEP_MS = 100
"""Milliseconds between two looks of the thread that waits for the kernel. For each it takes the
interpreter's lock from who serves; with 20, a gateway that has nothing to do woke twice as often.
"""
DEBOUNCE_MS = 200

Stamp: TypeAlias = tuple[tuple[str, int, int, int, int], ...]
"""A row for each file; equal as long as none was written, replaced or removed."""


def stamp(files: Iterable[tuple[str, Path]]) -> Stamp:
    """Of files by any name. Links are followed; one that cannot be looked at is told as zeros."""
    found = []
    for name, path in files:
        try:
            stat = path.stat()
        except OSError:
            found.append((name, 0, 0, 0, 0))
        else:
            found.append((name, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino))
    return tuple(found)


async def follow(
    folders: Callable[[], Iterable[Path]],
    look: Callable[[], Awaitable[None]],
    stop_event: asyncio.Event,
) -> None:
    """Call ``look`` until ``stop_event``, on this loop: whenever something has changed in one of
    the folders, as they are named at the time, and every ``POLL_SECONDS``.
    """
    while not stop_event.is_set():
        try:
            await _watch(folders, look, stop_event)
        except (OSError, RuntimeError) as error:
            # No folder to watch, or no more inotify watches: looking still works.
            structlog.get_logger("gateway.watching").debug("watch_failed", error=str(error))
            await look()
            await _pause(stop_event)


async def _watch(
    folders: Callable[[], Iterable[Path]],
    look: Callable[[], Awaitable[None]],
    stop_event: asyncio.Event,
) -> None:
    """One run of the kernel's watch; ends when the folders that it is bound to are others."""
    bound = _bound(folders())
    if not bound:
        raise FileNotFoundError("there is no folder to watch")
    changes = watchfiles.awatch(
        *sorted(bound),
        watch_filter=None,
        debounce=DEBOUNCE_MS,
        step=STEP_MS,
        stop_event=stop_event,
        rust_timeout=int(POLL_SECONDS * 1000),
        yield_on_timeout=True,
        recursive=False,
    )
    async with aclosing(changes):
        async for _ in changes:
            await look()
            if _bound(folders()) != bound:
                return


def _bound(folders: Iterable[Path]) -> dict[Path, tuple[int, int]]:
    """The folders that are there, each with what tells it from another of the same name."""
    found = {}
    for folder in folders:
        try:
            stat = folder.stat()
        except OSError:
            continue
        if folder.is_dir():
            found[folder] = (stat.st_dev, stat.st_ino)
    return found


async def _pause(stop_event: asyncio.Event) -> None:
    try:
        await asyncio.wait_for(stop_event.wait(), POLL_SECONDS)
    except TimeoutError:
        return
