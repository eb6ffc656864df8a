"""The policy in force: loaded, watched, swapped as a whole, and never lost.

A version on disk that does not load changes nothing: the one in force stays, and ``problem`` says
why. What changed is told by the kernel (each folder and its parent, so that a renamed-over file, a
deleted folder and Kubernetes' symlink swap are all seen) and, where that fails, by looking at the
files' stamp four times a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path

import structlog
import watchfiles

from gateway.config import last_good
from gateway.config.sources import Files, Sources, Stamp
from gateway.errors import StartupError, StateError
from gateway.policy.compile import Policy

POLL_SECONDS = 0.25
STEP_MS = 20
DEBOUNCE_MS = 200


class PolicyStore:
    """Holds the policy in force. ``load`` makes a policy of the bytes of its files, or raises."""

    def __init__(
        self, sources: Sources, state_dir: Path, load: Callable[[Sources, Files], Policy]
    ) -> None:
        self._sources = sources
        self._state_dir = state_dir
        self._load = load
        self._log = structlog.get_logger("gateway.policy")
        self._current: Policy | None = None
        self._problem: str | None = None
        self._loaded_at: datetime | None = None
        self._seen: Stamp | None = None

    @property
    def current(self) -> Policy:
        """The policy in force; only after ``start``."""
        if self._current is None:
            raise StateError("no policy is loaded yet")
        return self._current

    @property
    def problem(self) -> str | None:
        """Why the newest version on disk is not in force; None where it is."""
        return self._problem

    @property
    def loaded_at(self) -> datetime:
        """When the policy in force was loaded (UTC); only after ``start``."""
        if self._loaded_at is None:
            raise StateError("no policy is loaded yet")
        return self._loaded_at

    def start(self) -> None:
        """Load the files, or else the last known good policy; raises where there is neither."""
        self._seen = self._sources.stamp()
        try:
            policy, files = self._read()
        except StartupError as error:
            self._start_from_last_good(error)
            return
        self._accept(policy, files)

    def reload(self) -> bool:
        """Try the files as they are now; whether another policy is in force afterwards."""
        self._seen = self._sources.stamp()
        try:
            policy, files = self._read()
        except StartupError as error:
            self._refuse(error)
            return False
        return self._accept(policy, files)

    async def watch(
        self, on_change: Callable[[Policy | None], None], stop_event: asyncio.Event
    ) -> None:
        """Follow the folder until ``stop_event``.

        Calls back on this loop: with the policy after a swap, with None where the policy in force
        stayed and only ``problem`` is another.
        """
        while not stop_event.is_set():
            try:
                await self._follow(on_change, stop_event)
            except (OSError, RuntimeError) as error:
                # No folder to watch, or no more inotify watches: looking still works.
                self._log.debug("policy.watch_failed", error=str(error))
                await self._look(on_change)
                await _pause(stop_event)

    async def _follow(
        self, on_change: Callable[[Policy | None], None], stop_event: asyncio.Event
    ) -> None:
        """One run of the kernel's watch; ends when the folder it is bound to is another one."""
        folders = self._sources.folders.values()
        bound = [_inode(folder) for folder in folders]
        around = {path for folder in folders for path in (folder, folder.parent) if path.is_dir()}
        if not around:
            raise FileNotFoundError("there is no folder to watch")
        changes = watchfiles.awatch(
            *sorted(around),
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
                await self._look(on_change)
                if [_inode(folder) for folder in folders] != bound:
                    return

    async def _look(self, on_change: Callable[[Policy | None], None]) -> None:
        if self._sources.stamp() == self._seen:
            return
        problem = self._problem
        if await asyncio.to_thread(self.reload):
            on_change(self.current)
        elif self._problem != problem:
            on_change(None)

    def _read(self) -> tuple[Policy, Files]:
        """A policy, and the very bytes that it was made of."""
        files = self._sources.read()
        return self._load(self._sources, files), files

    def _accept(self, policy: Policy, files: Files) -> bool:
        before = self._current
        self._current = policy
        self._loaded_at = datetime.now(UTC)
        self._problem = None
        changed = before is None or before.revision != policy.revision
        if changed:
            old = before.revision if before is not None else None
            self._log.info("policy.in_force", old=old, new=policy.revision, files=sorted(files))
        try:
            last_good.keep(self._state_dir, files)
        except StateError as error:
            self._log.warning("policy.last_good_not_kept", error=error.message)
        return changed

    def _refuse(self, error: StartupError) -> None:
        self._problem = error.message
        self._log.error("policy.refused", in_force=self.current.revision, problem=error.message)

    def _start_from_last_good(self, error: StartupError) -> None:
        kept = last_good.find(self._state_dir)
        if kept is None:
            raise error
        folder, files = kept
        try:
            self._current = self._load(Sources.under(folder), files)
        except StartupError:
            raise error from None
        self._loaded_at = datetime.now(UTC)
        self._refuse(error)


def _inode(folder: Path) -> tuple[int, int] | None:
    try:
        stat = folder.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


async def _pause(stop_event: asyncio.Event) -> None:
    try:
        await asyncio.wait_for(stop_event.wait(), POLL_SECONDS)
    except TimeoutError:
        return
