"""How much memory a model takes, and how much of it fits where: from its file's header alone.

Weights are counted exactly. Keys and values are counted as llama.cpp allocates them, in 16 bits for
every token of every slot; models with sliding windows or a state instead of keys and values take
less. Working memory is an estimate from above of llama.cpp's buffers for one computation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gateway.local.gguf import GgufHeader
from gateway.local.projector import seeing

UBATCH = 512
"""Tokens of one computation, where nothing else is configured."""
BASE = 192 << 20
"""Bytes of the worker itself: Python, the vocabulary, grammars, what a back end takes."""
MARGIN = 64 << 20
"""Bytes of each device that are left free: what a driver takes beside what it is asked for."""
SMALLEST = 512
"""Tokens of the smallest context that is chosen."""
COMFORT = 8192
"""Tokens of a context from which on several slots are worth more than a longer one."""
_LAYER = re.compile(r"blk\.(\d+)\.")
_OUTPUT = ("output.weight", "output.bias", "output_norm.weight", "output_norm.bias")
_INPUT = "token_embd.weight"


@dataclass(frozen=True, slots=True)
class Needs:
    """In bytes. ``layers`` has the weights and ``stores`` the keys and values of each layer;
    ``output`` is what the layer behind the last takes on a device, ``rest`` the weights that stay
    in memory wherever the layers are. A model without an output of its own uses its input for it
    (``tied``): a device has a copy. ``working`` is what one computation takes, ``seeing`` what a
    projector does.
    """

    layers: tuple[int, ...]
    stores: tuple[int, ...]
    rest: int
    working: int
    output: int = 0
    tied: bool = False
    seeing: int = 0

    @property
    def weights(self) -> int:
        """Those of the file, each once."""
        return sum(self.layers) + self.rest + (0 if self.tied else self.output)

    @property
    def store(self) -> int:
        """Keys and values of all layers."""
        return sum(self.stores)

    @property
    def total(self) -> int:
        """What the model takes in main memory where nothing of it is on a device."""
        return self.weights + self.store + self.working + self.seeing + BASE


def needs(
    header: GgufHeader,
    context: int,
    slots: int,
    ubatch: int = UBATCH,
    projector: GgufHeader | None = None,
) -> Needs:
    """What a model needs with ``context`` tokens for each of ``slots`` answers at once, computing
    ``ubatch`` tokens at a time, and with its ``projector`` where it has one.
    """
    count = _number(header, "block_count") or 0
    layers = [0] * count
    sizes: dict[str, int] = {}
    for tensor in header.tensors:
        found = _LAYER.match(tensor.name)
        if found is not None and int(found.group(1)) < count:
            layers[int(found.group(1))] += tensor.size
        else:
            sizes[tensor.name] = tensor.size
    encoder = header.metadata.get(f"{header.architecture}.attention.causal") is False
    tied = not encoder and "output.weight" not in sizes
    output = sum(sizes.get(name, 0) for name in _OUTPUT)
    rest = sum(sizes.values()) - (0 if tied else output)
    embedding = _number(header, "embedding_length") or 0
    tokens = context * slots
    forward = max(_each(header, "feed_forward_length", count), default=0)
    vocabulary = max((t.shape[-1] for t in header.tensors if t.name == _INPUT), default=0)
    working = (
        4 * (ubatch * (8 * embedding + 3 * forward) + slots * vocabulary) + 2 * tokens * ubatch
    )
    stores = tuple(tokens * width * 2 for width in _kept(header, embedding, count))
    if encoder:
        # It keeps nothing, and takes a text whole: llama.cpp has room for logits of it all.
        stores = (0,) * count
        working += 4 * context * vocabulary
    return Needs(
        layers=tuple(layers),
        stores=stores,
        rest=rest,
        working=working,
        output=output + (sizes.get(_INPUT, 0) if tied else 0),
        tied=tied,
        seeing=0 if projector is None else seeing(projector),
    )


def _kept(header: GgufHeader, embedding: int, count: int) -> Iterator[int]:
    """Numbers that each layer keeps of a token."""
    heads = _each(header, "attention.head_count", count)
    shared = _each(header, "attention.head_count_kv", count, heads)
    for own, kept in zip(heads, shared, strict=True):
        width = embedding // own if own else 0
        key = _number(header, "attention.key_length") or width
        value = _number(header, "attention.value_length") or width
        yield kept * (key + value)


def largest(
    header: GgufHeader,
    most: tuple[int, int],
    free: int,
    *,
    least: tuple[int, int] = (SMALLEST, 1),
    ubatch: int = UBATCH,
    projector: GgufHeader | None = None,
) -> tuple[int, int] | None:
    """The largest context and the most slots, between ``least`` and ``most``, with which a model
    fits into ``free`` bytes of main memory; ``None`` where it does not with the least. A context
    above ``COMFORT`` is halved first, then slots are given up, then context again.
    """
    context, slots = most
    while needs(header, context, slots, ubatch, projector).total > free:
        if context > max(COMFORT, least[0]):
            context = max(context // 2, COMFORT, least[0])
        elif slots > least[1]:
            slots -= 1
        elif context > least[0]:
            context = max(context // 2, least[0])
        else:
            return None
    return context, slots


@dataclass(frozen=True, slots=True)
class Wish:
    """One model that shares memory with others: at most ``most`` and at least ``least`` tokens of
    context and slots. ``always``: it is in memory whatever else is.
    """

    header: GgufHeader
    most: tuple[int, int]
    least: tuple[int, int]
    ubatch: int
    always: bool
    projector: GgufHeader | None = None


def shares(wishes: Sequence[Wish], budget: int, *, in_turns: bool) -> list[tuple[int, int]]:
    """Context and slots of each model, so that all of them together need ``budget`` bytes at most;
    the least where even that is too much. ``in_turns``: those that are not always in memory make
    room for each other, so that one share is enough for all of them.

    Each has the least that it can do with; what is left is shared equally, and what one has no use
    for by the others.
    """
    groups = [[wish] for wish in wishes if wish.always or not in_turns]
    groups += [[wish for wish in wishes if not wish.always]] if in_turns else []
    floors = [max((_total(wish, wish.least) for wish in group), default=0) for group in groups]
    most = [max((_total(wish, wish.most) for wish in group), default=0) for group in groups]
    greed = [wanted - floor for wanted, floor in zip(most, floors, strict=True)]
    left = max(budget - sum(floors), 0)
    sizes: list[tuple[Wish, tuple[int, int]]] = []
    for done, index in enumerate(sorted(range(len(groups)), key=lambda index: greed[index])):
        more = min(greed[index], left // (len(groups) - done))
        left -= more
        for wish in groups[index]:
            found = largest(
                wish.header,
                wish.most,
                floors[index] + more,
                least=wish.least,
                ubatch=wish.ubatch,
                projector=wish.projector,
            )
            sizes.append((wish, found or wish.least))
    return [next(size for known, size in sizes if known is wish) for wish in wishes]


def _total(wish: Wish, size: tuple[int, int]) -> int:
    return needs(wish.header, *size, wish.ubatch, wish.projector).total


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
