"""Which models are in memory: loaded when asked for, unloaded when others need the room.

Pure. A model that is to be there always (``preload``) is never unloaded. Of the others those give
way that have nothing to do, whoever was used longest ago first. For room in main memory a model
waits; for room on a device it does not, and goes with fewer layers (decision 8).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from gateway.errors import ModelFileError
from gateway.local.fit import Needs
from gateway.local.place import Placed, place


@dataclass(frozen=True, slots=True)
class Resident:
    """A loaded model: the bytes of main memory and of each device that it is reckoned to take,
    whether it is at work, and when it was last ``used`` (monotonic seconds).
    """

    name: str
    memory: int
    always: bool
    busy: bool
    used: float
    devices: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Room:
    """A device: the bytes that are free now, and those that all our models may have of it."""

    name: str
    free: int
    limit: int


@dataclass(frozen=True, slots=True)
class Plan:
    """How a model is to be laid out, and who must be unloaded before."""

    placed: Placed
    unload: tuple[str, ...] = ()


def check_budget(always: Mapping[str, int], others: Mapping[str, int], budget: int | None) -> None:
    """Raises ModelFileError where some model could never be loaded: sizes and budget in bytes."""
    if budget is None:
        return
    sum_of_always = sum(always.values())
    if sum_of_always > budget:
        listed = ", ".join(f"{name} {size:,}" for name, size in always.items())
        raise ModelFileError(
            f"the models with `preload: true` need {sum_of_always:,} bytes ({listed}), but "
            f"local.memory_gb allows {budget:,}: let one be loaded on demand, lower its context or "
            "slots, or raise it"
        )
    for name, size in others.items():
        if sum_of_always + size > budget:
            raise ModelFileError(
                f"local model {name} needs {size:,} bytes beside the {sum_of_always:,} of those "
                f"with `preload: true`, but local.memory_gb allows {budget:,}: lower its context "
                "or slots, or raise it"
            )


def least_memory(wanted: Needs, rooms: Sequence[Room], asked: int | None) -> int:
    """Bytes of main memory that a model needs when the devices are all its own."""
    return place(wanted, [room.limit for room in rooms], asked).memory


def lay_out(
    wanted: Needs,
    asked: int | None,
    rooms: Sequence[Room],
    staying: Iterable[Resident],
    leaving: Iterable[Resident] = (),
) -> Placed:
    """Beside those who stay, when those who leave are gone."""
    staying, leaving = list(staying), list(leaving)
    free = [
        min(
            room.free + sum(one.devices.get(room.name, 0) for one in leaving),
            room.limit - sum(one.devices.get(room.name, 0) for one in staying),
        )
        for room in rooms
    ]
    return place(wanted, free, asked)


def make_room(
    loaded: Sequence[Resident],
    wanted: Needs,
    asked: int | None,
    budget: int | None,
    rooms: Sequence[Room] = (),
) -> Plan | None:
    """The most layers on devices for a model, as few as possible unloaded for it, perhaps nobody;
    ``None`` where there is no room in main memory yet, since all who could go are at work.
    """
    leaving = sorted(_may_go(loaded), key=lambda one: one.used)
    plans = []
    for count in range(len(leaving) + 1):
        plan = _plan(loaded, leaving[:count], wanted, asked, budget, rooms)
        if plan is not None:
            plans.append(plan)
    if not plans:
        return None
    best = max(plans, key=_worth)  # the first of equals: with the fewest unloaded
    # Whoever was used last is spared first, where it does not help that he goes.
    for one in reversed(leaving):
        names = set(best.unload) - {one.name}
        fewer = [other for other in leaving if other.name in names]
        plan = _plan(loaded, fewer, wanted, asked, budget, rooms)
        if plan is not None and len(names) < len(best.unload) and _worth(plan) == _worth(best):
            best = plan
    return best


def _plan(
    loaded: Sequence[Resident],
    leaving: Sequence[Resident],
    wanted: Needs,
    asked: int | None,
    budget: int | None,
    rooms: Sequence[Room],
) -> Plan | None:
    staying = [one for one in loaded if one not in leaving]
    placed = lay_out(wanted, asked, rooms, staying, leaving)
    if budget is not None and sum(one.memory for one in staying) + placed.memory > budget:
        return None
    return Plan(placed, tuple(one.name for one in leaving))


def _worth(plan: Plan) -> tuple[int, int]:
    return plan.placed.gpu_layers, -plan.placed.over


def idle_since(loaded: Iterable[Resident], before: float) -> list[str]:
    """Who has had nothing to do since that time."""
    return [one.name for one in _may_go(loaded) if one.used <= before]


def _may_go(loaded: Iterable[Resident]) -> Iterable[Resident]:
    return (one for one in loaded if not one.always and not one.busy)
