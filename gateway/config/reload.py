"""The policy in force: loaded, watched, swapped as a whole, and never lost.

A version on disk that does not load changes nothing: the one in force stays, and ``problem`` says
why. Each folder and its parent are watched, so that a deleted folder is seen too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

import structlog

from gateway.config import last_good
from gateway.config.sources import Files, Sources
from gateway.config.watching import Stamp, follow
from gateway.errors import StartupError, StateError
from gateway.policy.compile import Policy

Load: TypeAlias = Callable[[Sources, Files], Policy]
"""Makes a policy of the bytes of its files, or raises StartupError."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A policy, and the very bytes that it was made of. ``fresh`` says that these are on disk."""

    policy: Policy
    sources: Sources
    files: Files
    fresh: bool = True


class PolicyStore:
    """Holds the policy in force. It changes with the files, and with ``load`` where the
    configuration does (``adopt``); whoever changes it has the ``turn``.
    """

    def __init__(self, sources: Sources, state_dir: Path, load: Load) -> None:
        self._sources = sources
        self._state_dir = state_dir
        self._load = load
        self._log = structlog.get_logger("gateway.policy")
        self._in_force: Loaded | None = None
        self._problem: str | None = None
        self._loaded_at: datetime | None = None
        self._seen: Stamp | None = None
        self.turn = asyncio.Lock()

    @property
    def current(self) -> Policy:
        """The policy in force; only after ``start``."""
        held = self._in_force
        return self._held.policy if held is None else held.policy

    @property
    def files(self) -> Files:
        """The very bytes that the policy in force was made of; only after ``start``."""
        return self._held.files

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
            loaded = self._read(self._load)
        except StartupError as error:
            self._start_from_last_good(error)
            return
        self._accept(loaded)
        self.keep()

    def reload(self) -> bool:
        """Try the files as they are now; whether another policy is in force afterwards. What is
        neither taken nor refused, because of something that nobody foresaw, is tried again.
        """
        seen = self._sources.stamp()
        try:
            loaded = self._read(self._load)
        except StartupError as error:
            self._seen = seen
            self._refuse(error)
            return False
        self._seen = seen
        changed = self._accept(loaded)
        self.keep()
        return changed

    def stamp(self) -> Stamp:
        """Of the files as they are now."""
        return self._sources.stamp()

    def under(self, load: Load) -> Loaded:
        """The policy as ``load`` makes it: of the files as they are now or, where these are wrong
        whoever loads them, of those in force. Changes nothing. Raises StartupError where ``load``
        takes neither.
        """
        try:
            return self._read(load)
        except StartupError:
            if self._takes_files():
                raise
        held = self._held
        return replace(held, policy=load(held.sources, held.files), fresh=False)

    def adopt(self, load: Load, loaded: Loaded) -> None:
        """What ``under`` has found is in force from now on, and ``load`` makes what follows."""
        self._load = load
        problem = self._problem
        self._accept(loaded)
        if not loaded.fresh:
            self._problem = problem

    def keep(self) -> None:
        """Make the policy in force the one that outlives a restart. Blocks."""
        try:
            last_good.keep(self._state_dir, self._held.files)
        except StateError as error:
            self._log.warning("policy.last_good_not_kept", error=error.message)

    async def watch(
        self, on_change: Callable[[Policy | None], None], stop_event: asyncio.Event
    ) -> None:
        """Follow the folder until ``stop_event``.

        Calls back on this loop: with the policy after a swap, with None where the policy in force
        stayed and only ``problem`` is another.
        """

        async def look() -> None:
            async with self.turn:
                await self._look(on_change)

        await follow(self._around, look, stop_event)

    def _around(self) -> Iterator[Path]:
        for folder in self._sources.folders.values():
            yield from (folder, folder.parent)

    async def _look(self, on_change: Callable[[Policy | None], None]) -> None:
        if self._sources.stamp() == self._seen:
            return
        problem = self._problem
        if await asyncio.to_thread(self.reload):
            on_change(self.current)
        elif self._problem != problem:
            on_change(None)

    @property
    def _held(self) -> Loaded:
        if self._in_force is None:
            raise StateError("no policy is loaded yet")
        return self._in_force

    def _read(self, load: Load) -> Loaded:
        files = self._sources.read()
        return Loaded(load(self._sources, files), self._sources, files)

    def _takes_files(self) -> bool:
        """Whether the files as they are now load by what loads them at present."""
        try:
            self._read(self._load)
        except StartupError:
            return False
        return True

    def _accept(self, loaded: Loaded) -> bool:
        before = self._in_force
        self._in_force = loaded
        self._loaded_at = datetime.now(UTC)
        self._problem = None
        policy = loaded.policy
        changed = before is None or before.policy.revision != policy.revision
        if changed:
            old = before.policy.revision if before is not None else None
            self._log.info(
                "policy.in_force", old=old, new=policy.revision, files=sorted(loaded.files)
            )
        return changed

    def _refuse(self, error: StartupError) -> None:
        self._problem = error.message
        self._log.error("policy.refused", in_force=self.current.revision, problem=error.message)

    def _start_from_last_good(self, error: StartupError) -> None:
        kept = last_good.find(self._state_dir)
        if kept is None:
            raise error
        folder, files = kept
        sources = Sources.under(folder)
        try:
            policy = self._load(sources, files)
        except StartupError:
            raise error from None
        self._in_force = Loaded(policy, sources, files, fresh=False)
        self._loaded_at = datetime.now(UTC)
        self._refuse(error)
