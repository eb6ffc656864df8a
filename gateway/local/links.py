"""The connections to all local models, and how one takes the place of another."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from pathlib import Path

from gateway.background import Background
from gateway.local.link import Link

LOOK_EVERY = 0.05
"""Seconds between two looks whether a connection has nothing to do any more."""


class Links:
    """By the models' names. One that is given up is closed at the end of its last answer."""

    def __init__(self, background: Background) -> None:
        self._background = background
        self._links: dict[str, Link] = {}
        self._tasks: dict[Link, asyncio.Task[None]] = {}
        self._coming: dict[str, Link] = {}
        self._waiting: dict[str, asyncio.Task[None]] = {}
        self._added: set[str] = set()
        self._leaving: set[asyncio.Task[None]] = set()

    def start(self, sockets: Mapping[str, Path], on_demand: Collection[str]) -> None:
        """Begin to connect."""
        for name, path in sockets.items():
            self._links[name] = self._connect(name, path, on_demand)

    def change(
        self, sockets: Mapping[str, Path], on_demand: Collection[str], at_once: Collection[str]
    ) -> None:
        """Connect to these, and to no other. A socket that is another takes over once it is ready;
        ``at_once`` or loaded on demand, from now on.
        """
        for name in [name for name in self._links if name not in sockets]:
            self._forget(name)
            self._added.discard(name)
            self._let_go(self._links.pop(name))
        for name, path in sockets.items():
            before = self._links.get(name)
            if before is None:
                self._added.add(name)
                self._links[name] = self._connect(name, path, on_demand)
                continue
            there = [one for one in (before, self._coming.get(name)) if one and one.path == path]
            if there:
                there[0].become(on_demand=name in on_demand)
                continue
            self._forget(name)
            link = self._connect(name, path, on_demand)
            link.expected = True
            if name in at_once or name in on_demand:
                self._added.add(name)
                self._links[name] = link
                self._let_go(before)
            else:
                self._coming[name] = link
                self._waiting[name] = asyncio.create_task(self._take_over(name, link))

    async def stop(self) -> None:
        """Close all."""
        tasks = [*self._tasks.values(), *self._waiting.values(), *self._leaving]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks.clear()

    def get(self, name: str) -> Link | None:
        return self._links.get(name)

    def of(self, name: str) -> Link:
        """Raises KeyError for a name that is not there."""
        return self._links[name]

    def coming(self, name: str) -> bool:
        """Whether it was added or replaced after the start, and has not been ready since."""
        link = self._links.get(name)
        return link is not None and name in self._added and not link.greeted

    def _connect(self, name: str, path: Path, on_demand: Collection[str]) -> Link:
        link = Link(name, path, on_demand=name in on_demand)
        self._tasks[link] = asyncio.create_task(self._background.keep("local models", link.keep))
        return link

    async def _take_over(self, name: str, link: Link) -> None:
        while link.hello is None:  # noqa: ASYNC110 - its event is set by a loss as well
            # It is set, too, where the model was given up: then it may yet be configured anew.
            await asyncio.sleep(LOOK_EVERY)
        before, self._links[name] = self._links[name], link
        self._coming.pop(name)
        self._waiting.pop(name)
        self._let_go(before)

    def _forget(self, name: str) -> None:
        """Whatever was to take over the name does not."""
        waiting, link = self._waiting.pop(name, None), self._coming.pop(name, None)
        if waiting is not None:
            waiting.cancel()
        if link is not None:
            self._let_go(link)

    def _let_go(self, link: Link) -> None:
        task = asyncio.create_task(self._close(link))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)
        task.add_done_callback(self._background.over("local models"))

    async def _close(self, link: Link) -> None:
        while link.busy:  # noqa: ASYNC110 - rare, and no event for every answer
            await asyncio.sleep(LOOK_EVERY)
        task = self._tasks.pop(link)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
