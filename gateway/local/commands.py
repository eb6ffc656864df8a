"""Loading and unloading a model by command, whatever its configuration says of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from gateway.errors import NotThere
from gateway.local.keeper import Keeper, ModelState
from gateway.local.supervisor import KNOWN_WITHIN, RETIRE_EVERY, Supervisor

AFTER_ANSWERS = "to be unloaded when its answers are done"


class Commands:
    """On the event loop of the ``supervisor``. ``changed`` is called when serving processes have
    to know of something.
    """

    def __init__(self, supervisor: Supervisor, changed: Callable[[], None]) -> None:
        self._supervisor = supervisor
        self._changed = changed
        self._unloading: dict[str, asyncio.Task[None]] = {}

    async def load(self, name: str) -> None:
        """Have a model in memory, its files checked as at the start; does not wait for it to be
        ready. One that was given up gets another start. Raises ``NotThere``, and ModelFileError
        where it cannot be.
        """
        keeper = self._keeper(name)
        if (task := self._unloading.pop(name, None)) is not None:
            task.cancel()
            keeper.detail = ""
        if keeper.state is ModelState.FAILED:
            await self._supervisor.renew(name)
            keeper = self._keeper(name)
        elif not keeper.loaded:
            await self._supervisor.verify(keeper)
        preload = self._supervisor.preloads(name)
        if keeper.model.preload is not preload:
            keeper.model = replace(keeper.model, preload=preload)
        self._changed()
        if keeper.state is ModelState.UNLOADED:
            self._supervisor.begin(_wake(keeper))

    async def unload(self, name: str, *, cut: bool) -> None:
        """Have it in memory no more, until it is asked for or loaded: after its answers, or with
        ``cut`` at once. Does not wait for that. Raises ``NotThere``.
        """
        keeper = self._keeper(name)
        known = True
        if keeper.model.preload:
            # Or the serving processes would connect again, which is how it is asked for.
            keeper.model = replace(keeper.model, preload=False)
            known = False
            self._changed()
        if (task := self._unloading.pop(name, None)) is not None:
            task.cancel()
        if keeper.loaded:
            self._unloading[name] = self._supervisor.begin(self._unload(keeper, cut, known))

    async def _unload(self, keeper: Keeper, cut: bool, known: bool) -> None:
        if not known:
            await asyncio.sleep(KNOWN_WITHIN)
        process = keeper.process
        keeper.detail = "" if cut else AFTER_ANSWERS
        while process is not None and keeper.process is process:
            if cut or not keeper.greeted:
                keeper.dismiss()
            else:
                keeper.retire()
            await asyncio.sleep(RETIRE_EVERY)

    def _keeper(self, name: str) -> Keeper:
        try:
            return self._supervisor.keeper(name)
        except KeyError:
            raise NotThere(
                f"there is no local model {name[:64]!r}: `gateway models list` shows all",
                code="unknown_model",
            ) from None


async def _wake(keeper: Keeper) -> None:
    """Ask for a model as a client does, by connecting."""
    with suppress(OSError):
        _, writer = await asyncio.open_unix_connection(keeper.path)
        try:
            while keeper.state not in (ModelState.READY, ModelState.FAILED, ModelState.STOPPED):
                keeper.changed.clear()
                await keeper.changed.wait()
        finally:
            writer.close()
