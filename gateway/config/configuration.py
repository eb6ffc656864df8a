"""The configuration in force: watched, and swapped together with the policy or not at all.

Who is behind a target is said by the configuration, and policy's own tests ask for it: so each new
version is made together with the policy, and one of them that does not go with the other changes
nothing. A version that is refused is tried again whenever a file has changed, the policy's too, for
both may have to be written before they fit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import structlog

from gateway.config.documents import read_bytes
from gateway.config.reload import Load, PolicyStore
from gateway.config.watching import Stamp, follow, stamp
from gateway.errors import DocumentError, Problem, StartupError

SETTLED = 0.1
"""Seconds without a write after which a file that people and tools write is taken for whole: half
of a configuration may be a good one, without most of its models.
"""


class Version(Protocol):
    """One version of the configuration, made and checked. Of two with the same ``fingerprint`` it
    does not matter which is in force; ``load`` makes the policies that go with it.
    """

    @property
    def revision(self) -> str: ...
    @property
    def fingerprint(self) -> object: ...
    @property
    def load(self) -> Load: ...


V = TypeVar("V", bound=Version)


class Watched:
    """A file, and the files ``beside`` it that it refers to. It counts as whole once nothing was
    written for ``settled`` seconds.
    """

    def __init__(self, file: Path, *, settled: float = 0.0) -> None:
        self._file = file
        self.settled = settled
        self.beside: frozenset[Path] = frozenset()

    def stamp(self) -> Stamp:
        return stamp((str(path), path) for path in (self._file, *sorted(self.beside)))

    def folders(self) -> Collection[Path]:
        return {path.parent for path in (self._file, *self.beside)}

    def read(self) -> bytes:
        """The bytes of the file. Raises DocumentError where it cannot be read, or is empty: that
        is no configuration, but a file that is being written.
        """
        raw = read_bytes(self._file)
        if not raw.strip():
            raise DocumentError([Problem(str(self._file), 1, 1, "the file is empty")])
        return raw


class ConfigurationStore(Generic[V]):
    """Holds the version in force, ``current`` at first. ``make`` turns the file's bytes into a
    version, ``enact`` puts it in force; both raise StartupError where it cannot be. From the end of
    ``enact`` to that of ``on_change`` nothing else happens on this loop.
    """

    def __init__(
        self,
        watched: Watched,
        policies: PolicyStore,
        current: V,
        *,
        make: Callable[[bytes], Awaitable[V]],
        enact: Callable[[V], Awaitable[None]],
    ) -> None:
        self._watched = watched
        self._policies = policies
        self._make = make
        self._enact = enact
        self._log = structlog.get_logger("gateway.configuration")
        self._seen: tuple[Stamp, Stamp] = ((), ())
        self.current = current
        self.loaded_at = datetime.now(UTC)
        self.problem: str | None = None
        """Why the newest version on disk is not in force; None where it is."""

    async def watch(self, on_change: Callable[[], None], stop_event: asyncio.Event) -> None:
        """Follow the files until ``stop_event``; calls back on this loop after each attempt that
        was worth one.
        """

        async def look() -> None:
            async with self._policies.turn:
                await self._look(on_change)

        await follow(self._watched.folders, look, stop_event)

    async def _look(self, on_change: Callable[[], None]) -> None:
        now = (self._watched.stamp(), self._policies.stamp())
        waits_for_policy = self.problem is not None and now[1] != self._seen[1]
        if now[0] == self._seen[0] and not waits_for_policy:
            return
        if self._watched.settled:
            await asyncio.sleep(self._watched.settled)
            if self._watched.stamp() != now[0]:
                return
        try:
            version = await self._make(await asyncio.to_thread(self._watched.read))
            if version.fingerprint == self.current.fingerprint:
                self._seen = now
                self._settle(version, on_change)
                return
            loaded = await asyncio.to_thread(self._policies.under, version.load)
            await self._enact(version)
        except StartupError as error:
            self._seen = now
            self._refuse(error, on_change)
            return
        self._seen = now
        self._policies.adopt(version.load, loaded)
        self._accept(version)
        on_change()
        if loaded.fresh:
            await asyncio.to_thread(self._policies.keep)

    def _accept(self, version: V) -> None:
        before, self.current = self.current, version
        self.loaded_at = datetime.now(UTC)
        self.problem = None
        self._log.info("configuration.in_force", old=before.revision, new=version.revision)

    def _settle(self, version: V, on_change: Callable[[], None]) -> None:
        """What is on disk is what is in force: there is no problem any more."""
        self.current, self.problem = version, None
        on_change()

    def _refuse(self, error: StartupError, on_change: Callable[[], None]) -> None:
        if error.message == self.problem:
            return
        self.problem = error.message
        self._log.error(
            "configuration.refused", in_force=self.current.revision, problem=error.message
        )
        on_change()
