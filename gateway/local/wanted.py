"""What a supervisor is to run, and how one configuration differs from another to a worker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gateway.domain.local_model import LocalModel
from gateway.local.fit import Needs
from gateway.local.residency import Room, least_memory


@dataclass(frozen=True, slots=True)
class Wanted:
    """The models, and what they may have: ``budget`` is in bytes of main memory for all together,
    ``idle`` in seconds without work after which one that is loaded on demand is unloaded.
    """

    models: tuple[LocalModel, ...]
    budget: int | None = None
    idle: float | None = None


@dataclass(frozen=True, slots=True)
class Checked:
    """A model whose files are what they must be: the memory that it needs, and the Jinja source in
    place of the file's own template.
    """

    model: LocalModel
    needs: Needs
    template: str | None


def same_worker(before: LocalModel, now: LocalModel) -> bool:
    """Whether a worker of the one is a worker of the other: who made the weights and what their
    licence is, is for policy alone.
    """
    said = before.manifest
    manifest = replace(
        now.manifest,
        id=said.id,
        developer=said.developer,
        model=said.model,
        licence=said.licence,
        context=said.context,
        lineage=said.lineage,
        source=said.source,
    )
    return replace(now, manifest=manifest) == before


def least(checked: Sequence[Checked], rooms: Sequence[Room], *, preload: bool) -> dict[str, int]:
    """Bytes of main memory that models need at least."""
    return {
        one.model.name: least_memory(one.needs, rooms, one.model.gpu_layers)
        for one in checked
        if one.model.preload is preload
    }
