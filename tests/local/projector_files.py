"""Projectors that see nothing: small files with random weights, for the shipped model's width."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tests.local.gguf_files import entry, gguf, number, text

WIDTH = 576
"""Of the shipped model's embeddings."""
PATCH = 4
INNER, FORWARD, LAYERS = 16, 32, 2


def flag(key: str, value: bool) -> bytes:
    return entry(7, bytes([value]), key)


def real(key: str, value: float) -> bytes:
    return entry(6, struct.pack("<f", value), key)


def reals(key: str, values: Sequence[float]) -> bytes:
    return entry(9, struct.pack(f"<IQ{len(values)}f", 6, len(values), *values), key)


def wholes(key: str, values: Sequence[int]) -> bytes:
    return entry(9, struct.pack(f"<IQ{len(values)}i", 5, len(values), *values), key)


def projector(
    path: Path,
    kind: str = "mlp",
    *,
    side: int = 32,
    width: int = WIDTH,
    tiles: Sequence[int] = (),
) -> Path:
    """A file at ``path`` that projects images of ``side`` pixels. Of kind ``mlp`` it makes a token
    of each patch of 4 pixels, of ``gemma3`` one of four patches, which look at each other. With
    ``tiles`` (widths and heights) a large image is cut into several.
    """
    entries = [
        text("general.architecture", "clip"),
        text("general.name", f"random-{kind}"),
        flag("clip.has_vision_encoder", True),
        text("clip.projector_type", kind),
        flag("clip.use_gelu", True),
        number("clip.vision.image_size", side),
        number("clip.vision.patch_size", PATCH),
        number("clip.vision.embedding_length", INNER),
        number("clip.vision.feed_forward_length", FORWARD),
        number("clip.vision.block_count", LAYERS),
        number("clip.vision.projection_dim", width),
        number("clip.vision.attention.head_count", 2),
        number("clip.vision.projector.scale_factor", 2),
        real("clip.vision.attention.layer_norm_epsilon", 1e-5),
        reals("clip.vision.image_mean", [0.5] * 3),
        reals("clip.vision.image_std", [0.5] * 3),
    ]
    if tiles:
        entries.append(wholes("clip.vision.image_grid_pinpoints", tiles))
    tensors: dict[str, tuple[int, ...]] = {
        "v.patch_embd.weight": (PATCH, PATCH, 3, INNER),
        "v.position_embd.weight": (INNER, (side // PATCH) ** 2),
        "v.post_ln.weight": (INNER,),
        "v.post_ln.bias": (INNER,),
    }
    for layer in range(LAYERS):
        block = f"v.blk.{layer}"
        for part in ("attn_q", "attn_k", "attn_v", "attn_out"):
            tensors[f"{block}.{part}.weight"] = (INNER, INNER)
            tensors[f"{block}.{part}.bias"] = (INNER,)
        for part in ("ln1", "ln2"):
            tensors[f"{block}.{part}.weight"] = tensors[f"{block}.{part}.bias"] = (INNER,)
        # By the names that converters gave them, which are each other's.
        tensors[f"{block}.ffn_down.weight"] = (INNER, FORWARD)
        tensors[f"{block}.ffn_down.bias"] = (FORWARD,)
        tensors[f"{block}.ffn_up.weight"] = (FORWARD, INNER)
        tensors[f"{block}.ffn_up.bias"] = (INNER,)
    if kind == "gemma3":
        tensors["mm.input_projection.weight"] = (width, INNER)
        tensors["mm.soft_emb_norm.weight"] = (INNER,)
    elif kind == "idefics3":
        tensors["mm.model.fc.weight"] = (4 * INNER, width)
    else:
        tensors["mm.0.weight"] = (INNER, FORWARD)
        tensors["mm.0.bias"] = (FORWARD,)
        tensors["mm.2.weight"] = (FORWARD, width)
        tensors["mm.2.bias"] = (width,)
    empty = gguf(entries, tensors)
    # Every tensor's size is a multiple of the alignment, so there is nothing between them.
    weights = b"".join(_weights(name, shape) for name, shape in tensors.items())
    path.write_bytes(empty[: -len(weights)] + weights)
    return path


def _weights(name: str, shape: tuple[int, ...]) -> bytes:
    """Random, where it is of the pixels that they work; what is added or scales does nothing."""
    count = int(np.prod(shape))
    if name.endswith(".bias") or "position" in name:
        return bytes(4 * count)
    if ".ln" in name or "_ln" in name or "norm" in name:
        return np.ones(count, "<f4").tobytes()
    random = np.random.default_rng(zlib.crc32(name.encode()))
    return random.normal(0, 0.5, count).astype("<f4").tobytes()
