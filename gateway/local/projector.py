"""A projector's file: what its header says of itself, and how much memory seeing takes.

A projector is a GGUF file beside a model's own, from the same maker: it encodes an image and
projects that into the model's embeddings. Source of its keys: ``tools/mtmd/clip-impl.h`` of
llama.cpp.
"""

from __future__ import annotations

from pathlib import Path

from gateway.errors import ModelFileError
from gateway.local.gguf import GgufHeader, read_header
from gateway.local.pictures import BYTES_A_PIXEL, MAX_PIXELS

PATCHES = 4096
"""Of an image at most, where the size of images is not fixed."""
ALIGNED = frozenset(("deepseek4v", "hunyuanvl"))
"""Types whose images depend on what stands before them, which here is computed apart."""


def read_projector(path: Path) -> GgufHeader:
    """Raises ModelFileError where the file is malformed, or is no projector of images."""
    header = read_header(path)
    if header.architecture != "clip" or header.metadata.get("clip.has_vision_encoder") is not True:
        raise ModelFileError(
            f"{path.name} is no projector of images: its header does not say so. Projectors are "
            "mostly called mmproj-….gguf"
        )
    kind = projector_type(header)
    if kind in ALIGNED:
        raise ModelFileError(f"{path.name} is a projector of type {kind}, which is not supported")
    return header


def projector_type(header: GgufHeader) -> str | None:
    """How it projects images; ``None`` where the file is no projector."""
    for key in ("clip.projector_type", "clip.vision.projector_type"):
        found = header.metadata.get(key)
        if isinstance(found, str):
            return found
    return None


def seeing(header: GgufHeader) -> int:
    """Bytes that a projector takes: its weights, what encoding one image does, and decoding it."""
    inner, forward = (_number(header, f"{key}_length") for key in ("embedding", "feed_forward"))
    patches = max((image_side(header) // max(_number(header, "patch_size"), 1)) ** 2, PATCHES)
    working = 4 * patches * (8 * inner + 3 * forward)
    return sum(tensor.size for tensor in header.tensors) + working + MAX_PIXELS * BYTES_A_PIXEL


def image_side(header: GgufHeader) -> int:
    """Pixels along a side of the images that a projector was made for."""
    return max(_number(header, "image_size"), 1)


def _number(header: GgufHeader, key: str) -> int:
    value = header.metadata.get(f"clip.vision.{key}")
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
