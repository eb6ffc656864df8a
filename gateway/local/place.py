"""Which layers of a model are on which device, as llama.cpp lays them out.

llama.cpp counts the output as a layer behind the last. The ``n`` layers that it is told to offload
are the last ones, and several devices get runs of them in the order of the devices, by the shares
of ``tensor_split``: the counts of ``split`` here are such shares. Keys and values are where their
layer is; a projector is on the first device. (``llama_model_base::load_tensors`` in
``src/llama-model.cpp``, ``clip_ctx`` in ``tools/mtmd/clip.cpp``.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gateway.local.fit import MARGIN, Needs


@dataclass(frozen=True, slots=True)
class Placed:
    """``gpu_layers`` of all ``layers``, the output among them, are on devices: ``split`` says how
    many on each, ``devices`` and ``memory`` the bytes there and in main memory. ``over`` are bytes
    that do not fit, which can only be where a number of layers was asked for.
    """

    layers: int
    gpu_layers: int
    split: tuple[int, ...]
    devices: tuple[int, ...]
    memory: int
    over: int = 0


def place(wanted: Needs, free: Sequence[int], asked: int | None = None) -> Placed:
    """As many layers as fit into the ``free`` bytes of the devices, each with its keys and values,
    on as few devices as possible; or the number that is ``asked`` for. Each device that is used
    keeps room for what a computation takes.
    """
    each = [weights + store for weights, store in zip(wanted.layers, wanted.stores, strict=True)]
    each.append(wanted.output)
    most = len(each) if asked is None else min(asked, len(each))
    least = 0 if asked is None else most
    for count in range(most, 0, -1) if free else ():
        sizes = each[len(each) - count :]
        for chosen in _choices(free):
            split = _spread(sizes, _room(wanted, free, chosen, all_there=count == len(each)))
            if split is not None:
                return _placed(wanted, free, chosen, sizes, split)
        if count == least:
            # Asked for, whatever fits: the device with the most room has them all.
            chosen = next(_choices(free))
            return _placed(wanted, free, chosen, sizes, [count])
    return Placed(len(each), 0, (0,) * len(free), (0,) * len(free), wanted.total)


def _choices(free: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """The devices one by one, the largest first, then all of them."""
    yield from ((index,) for index in sorted(range(len(free)), key=lambda index: -free[index]))
    if len(free) > 1:
        yield tuple(range(len(free)))


def _room(
    wanted: Needs, free: Sequence[int], chosen: tuple[int, ...], *, all_there: bool
) -> list[int]:
    """Bytes for layers on each of the chosen devices."""
    taken = MARGIN + _working(wanted, len(chosen), all_there=all_there)
    return [max(free[index] - taken - (0 if index else wanted.seeing), 0) for index in chosen]


def _working(wanted: Needs, devices: int, *, all_there: bool) -> int:
    """What a computation takes on each device. Prompts are computed there even for layers in main
    memory, one layer's weights at a time; between devices, copies are under way.
    """
    lent = 0 if all_there else max(wanted.layers, default=0)
    return wanted.working * (2 if devices > 1 else 1) + lent


def _spread(sizes: Sequence[int], room: Sequence[int]) -> list[int] | None:
    """How many of the layers, in their order, fill each device; ``None`` where they do not fit."""
    counts = [0] * len(room)
    device = used = 0
    for size in sizes:
        while device < len(room) and used + size > room[device]:
            device, used = device + 1, 0
        if device == len(room):
            return None
        counts[device] += 1
        used += size
    return counts


def _placed(
    wanted: Needs,
    free: Sequence[int],
    chosen: tuple[int, ...],
    sizes: Sequence[int],
    counts: Sequence[int],
) -> Placed:
    split, devices = [0] * len(free), [0] * len(free)
    layers = len(wanted.layers) + 1
    working = _working(wanted, len(chosen), all_there=len(sizes) == layers)
    at = 0
    for index, count in zip(chosen, counts, strict=True):
        split[index] = count
        devices[index] = sum(sizes[at : at + count]) + (working if count else 0)
        at += count
    devices[0] += wanted.seeing
    moved = sum(sizes) + wanted.seeing - (wanted.output if wanted.tied else 0)
    return Placed(
        layers=layers,
        gpu_layers=len(sizes),
        split=tuple(split),
        devices=tuple(devices),
        memory=wanted.total - moved,
        over=sum(
            max(used + MARGIN - left, 0) for used, left in zip(devices, free, strict=True) if used
        ),
    )
