"""Which models are in memory: loaded when asked for, unloaded when others need the room.

Pure. A model that is to be there always (``preload``) is never unloaded. Of the others those give
way that have nothing to do, whoever was used longest ago first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gateway.errors import ModelFileError


@dataclass(frozen=True, slots=True)
class Resident:
    """A loaded model: its ``size`` in bytes, whether it is at work, and when it was last ``used``
    (monotonic seconds).
    """

    name: str
    size: int
    always: bool
    busy: bool
    used: float


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


def to_unload(loaded: Sequence[Resident], size: int, budget: int | None) -> list[str] | None:
    """Who must give way to a model of ``size`` bytes, perhaps nobody; ``None`` where nobody can
    yet, since all who could are at work.
    """
    if budget is None:
        return []
    free = budget - sum(one.size for one in loaded)
    names: list[str] = []
    for one in sorted(_may_go(loaded), key=lambda one: one.used):
        if free >= size:
            break
        free += one.size
        names.append(one.name)
    return names if free >= size else None


def idle_since(loaded: Iterable[Resident], before: float) -> list[str]:
    """Who has had nothing to do since that time."""
    return [one.name for one in _may_go(loaded) if one.used <= before]


def _may_go(loaded: Iterable[Resident]) -> Iterable[Resident]:
    return (one for one in loaded if not one.always and not one.busy)
