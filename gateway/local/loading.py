"""Who comes into memory, and where: room is made or waited for, and devices are shared."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import structlog

from gateway.local.attendance import PING_EVERY
from gateway.local.gpus import Gpus
from gateway.local.keeper import Keeper, ModelState
from gateway.local.layout import Layout
from gateway.local.machine import free_memory
from gateway.local.place import Placed
from gateway.local.residency import Resident, Room, idle_since, lay_out, make_room
from gateway.local.spawning import knock
from gateway.local.wanted import Wanted

COMING = (ModelState.STARTING, ModelState.RESTARTING)


class Loading:
    """For one supervisor: ``keepers`` are its models by name, and ``leaving`` those that it lets go
    of; ``wanted`` is what all of them may have. ``moved`` is set whenever something is otherwise
    with one.
    """

    def __init__(
        self,
        gpus: Gpus,
        keepers: Callable[[], Mapping[str, Keeper]],
        leaving: Sequence[Keeper],
        wanted: Callable[[], Wanted],
    ) -> None:
        self.moved = asyncio.Event()
        self._gpus = gpus
        self._keepers = keepers
        self._leaving = leaving
        self._wanted = wanted
        self._turn = asyncio.Lock()
        self._log = structlog.get_logger()

    async def asked_for(self, keeper: Keeper) -> None:
        """Wait until somebody wants the model, and until there is room for it."""
        keeper.become(ModelState.UNLOADED)
        await knock(keeper.listener)
        async with self._turn:
            rooms = await self._rooms(keeper)
            while True:
                loaded = self._residents()
                plan = make_room(
                    loaded, keeper.needs, keeper.model.gpu_layers, self._wanted().budget, rooms
                )
                if plan is not None and not plan.unload:
                    break
                self.moved.clear()
                for name in plan.unload if plan is not None else ():
                    self._keepers()[name].retire()
                await self.moved.wait()
                if len(self._residents()) != len(loaded):
                    rooms = await self._rooms(keeper)
            self._placed(keeper, plan.placed, rooms)
            # At work until it says that it is not: nobody is loaded only to be unloaded.
            keeper.retiring, keeper.busy = False, True
            keeper.become(ModelState.STARTING)

    async def lay_out(self, keeper: Keeper) -> None:
        """Of a model that is to be in memory whatever else is, or was there and has its place."""
        rooms = await self._rooms(keeper)
        others = [one for one in self._residents() if one.name != keeper.model.name]
        placed = lay_out(keeper.needs, keeper.model.gpu_layers, rooms, others)
        self._placed(keeper, placed, rooms)

    def fits_beside(self, before: Keeper, keeper: Keeper) -> bool:
        """Whether a model can be loaded while the worker that it replaces still runs. It is not
        where that one has layers on devices: it would have to do with what is left there.
        """
        if not before.loaded or before.layout.gpu_layers:
            return False
        if not keeper.model.preload:
            return True
        taken, budget = sum(one.memory for one in self._residents()), self._wanted().budget
        needed = keeper.needs.total
        return needed <= free_memory() and (budget is None or taken + needed <= budget)

    async def unload_idle(self) -> None:
        """Those that are loaded on demand, whenever one has had nothing to do for so long."""
        while True:
            idle = self._wanted().idle
            await asyncio.sleep(PING_EVERY if idle is None else min(idle / 4, PING_EVERY))
            if idle is None:
                continue
            for name in idle_since(self._residents(), time.monotonic() - idle):
                self._keepers()[name].retire()

    async def _rooms(self, keeper: Keeper) -> tuple[Room, ...]:
        """The devices, without what those will take of them that are only being loaded."""
        if keeper.model.gpu_layers == 0 or keeper.without:
            return ()
        rooms = await self._gpus.look()
        loading = [
            share
            for other in self._keepers().values()
            if other is not keeper and other.laid_out and other.state in COMING
            for share in other.layout.devices
        ]
        return tuple(
            Room(
                room.name,
                room.free - sum(share.bytes for share in loading if share.device == room.name),
                room.limit,
            )
            for room in rooms
        )

    def _placed(self, keeper: Keeper, placed: Placed, rooms: Sequence[Room]) -> None:
        note = keeper.without
        if not rooms and not note and keeper.model.gpu_layers != 0 and self._gpus.supported:
            note = "there is no device"
        keeper.layout = Layout.of(placed, tuple(room.name for room in rooms), note)
        keeper.laid_out = True
        if self._gpus.supported and keeper.model.gpu_layers != 0:
            self._log.log(
                logging.WARNING if note else logging.INFO,
                "local_model_placed",
                model=keeper.model.name,
                gpu_layers=placed.gpu_layers,
                layers=placed.layers,
                **{share.device: share.bytes for share in keeper.layout.devices},
                **({"reason": note} if note else {}),
            )

    def _residents(self) -> list[Resident]:
        """Who is in memory, or about to be; who leaves is nobody's to unload."""
        found = [
            keeper.resident
            for keeper in self._keepers().values()
            if keeper.loaded or keeper.model.preload or keeper.state in COMING
        ]
        leaving = [keeper.resident for keeper in self._leaving if keeper.loaded]
        return [*found, *(replace(one, always=True) for one in leaving)]
