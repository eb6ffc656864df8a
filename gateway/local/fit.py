"""How much memory a model takes, and how much of it fits where: from its file's header alone.

Weights are counted exactly. Keys and values are counted as llama.cpp allocates them, in 16 bits for
every token of every slot; models with sliding windows or a state instead of keys and values take
less. Working memory is an estimate from above of llama.cpp's buffers for one batch.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.local.gguf import GgufHeader
from gateway.local.projector import seeing

UBATCH = 512
"""Tokens of one computation."""
BASE = 192 << 20
"""Bytes of the worker itself: Python, the vocabulary, grammars, what a back end takes."""
_LAYER = re.compile(r"blk\.(\d+)\.")


@dataclass(frozen=True, slots=True)
class Needs:
    """In bytes. ``layers`` has the weights and ``stores`` the keys and values of each layer;
    ``rest`` is the weights of no layer, ``working`` what one computation takes, ``seeing`` what a
    projector does.
    """

    layers: tuple[int, ...]
    stores: tuple[int, ...]
    rest: int
    working: int
    seeing: int = 0

    @property
    def weights(self) -> int:
        return sum(self.layers) + self.rest

    @property
    def store(self) -> int:
        """Keys and values of all layers."""
        return sum(self.stores)

    @property
    def total(self) -> int:
        return self.weights + self.store + self.working + self.seeing + BASE


@dataclass(frozen=True, slots=True)
class Placed:
    """How a model is laid out: ``gpu_layers`` of its ``layers`` on the devices, and the bytes there
    and in main memory.
    """

    layers: int
    gpu_layers: int
    device: int
    memory: int


def needs(
    header: GgufHeader, context: int, slots: int, projector: GgufHeader | None = None
) -> Needs:
    """What a model needs with ``context`` tokens for each of ``slots`` answers at once, and with
    its ``projector`` where it has one.
    """
    count = _number(header, "block_count") or 0
    layers = [0] * count
    rest = 0
    for tensor in header.tensors:
        found = _LAYER.match(tensor.name)
        if found is not None and int(found.group(1)) < count:
            layers[int(found.group(1))] += tensor.size
        else:
            rest += tensor.size
    embedding = _number(header, "embedding_length") or 0
    heads = _each(header, "attention.head_count", count)
    shared = _each(header, "attention.head_count_kv", count, heads)
    tokens = context * slots
    stores = []
    for own, kept in zip(heads, shared, strict=True):
        width = embedding // own if own else 0
        key = _number(header, "attention.key_length") or width
        value = _number(header, "attention.value_length") or width
        stores.append(tokens * kept * (key + value) * 2)
    forward = max(_each(header, "feed_forward_length", count), default=0)
    vocabulary = max(
        (t.shape[-1] for t in header.tensors if t.name == "token_embd.weight"), default=0
    )
    working = (
        4 * (UBATCH * (8 * embedding + 3 * forward) + slots * vocabulary) + 2 * tokens * UBATCH
    )
    if header.metadata.get(f"{header.architecture}.attention.causal") is False:
        # An encoder keeps nothing, and takes a text whole: llama.cpp has room for logits of it all.
        stores = [0] * count
        working += 4 * context * vocabulary
    sight = 0 if projector is None else seeing(projector)
    return Needs(tuple(layers), tuple(stores), rest, working, sight)


def place(wanted: Needs, free: Sequence[int], gpu_layers: int | None = None) -> Placed:
    """As many layers as fit into the ``free`` bytes of the devices, each with its keys and values,
    the last ones first as llama.cpp does it; or the number that is asked for. Each device keeps
    room for what a computation takes.
    """
    count = len(wanted.layers)
    if not free or gpu_layers == 0:
        return Placed(count, 0, 0, wanted.total)
    each = [weights + store for weights, store in zip(wanted.layers, wanted.stores, strict=True)]
    room = [max(bytes_ - wanted.working, 0) for bytes_ in free]
    on_device = used = 0
    for size in reversed(each):
        fits = next((index for index, left in enumerate(room) if left >= size), None)
        if gpu_layers is None and fits is None:
            break
        if gpu_layers is not None and on_device == gpu_layers:
            break
        if fits is not None:
            room[fits] -= size
        on_device += 1
        used += size
    used += wanted.working if on_device else 0
    return Placed(
        count, on_device, used, wanted.total - used + (wanted.working if on_device else 0)
    )


def largest(
    header: GgufHeader, context: int, slots: int, free: int, projector: GgufHeader | None = None
) -> tuple[int, int] | None:
    """The largest context, then the most slots, up to those given, with which a model fits into
    ``free`` bytes of main memory; ``None`` where it does not with one slot of 512 tokens.
    """
    while needs(header, context, slots, projector).total > free:
        if slots > 1:
            slots -= 1
        elif context > 512:
            context = max(context // 2, 512)
        else:
            return None
    return context, slots


def _number(header: GgufHeader, key: str) -> int | None:
    value = header.metadata.get(f"{header.architecture}.{key}")
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _each(
    header: GgufHeader, key: str, count: int, otherwise: Sequence[int] | None = None
) -> list[int]:
    """A figure of each layer, which a file may give once for all."""
    value = header.metadata.get(f"{header.architecture}.{key}")
    if isinstance(value, tuple) and len(value) == count:
        return list(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return [value] * count
    return list(otherwise) if otherwise is not None else [0] * count
