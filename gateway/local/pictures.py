"""What an app's image is before anything decodes it: its bytes, its type, how large it is.

A decoder takes memory by what a file says of its size, so that is read here first, and bounded.
Sources: PNG (ISO 15948), JPEG (ITU T.81), GIF89a, and BMP's ``BITMAPINFOHEADER``.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TypeAlias

MAX_PIXELS = 40_000_000
"""Of one image: what cameras of telephones make."""
MAX_TOGETHER = 160_000_000
"""Pixels of all images of one request: decoding them keeps others' prompts waiting."""
BYTES_A_PIXEL = 12
"""Of memory while an image is decoded: a progressive JPEG's coefficients, planes and result."""
MOST_NARROW = 200
"""Times that one side may be as long as the other."""
_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers that begin a frame; the three others of that row begin tables."""
_JPEG_ALONE = frozenset((0x01, *range(0xD0, 0xD9)))
"""Markers that nothing follows."""


class PictureFault(Exception):
    """The image cannot be shown to a model; the message says why, to the app."""


class Crowded(Exception):
    """So many images wait to be looked at that there is no memory for more."""


@dataclass(frozen=True, slots=True)
class Picture:
    """An image, or a part of a large one, at its place in a prompt, where it takes ``size`` tokens.
    ``mark`` stands there for each of them: below zero, so it is no token, and the same for the
    same image alone. ``content`` is the model's own, to compute it from.
    """

    mark: int
    size: int
    content: object


Piece: TypeAlias = Picture | tuple[int, ...]
"""A part of a prompt: an image, or tokens."""


def marks(data: bytes) -> Iterator[int]:
    """What stands for the parts of the image with these bytes."""
    whole = sha256(data).digest()
    for part in itertools.count():
        yield -1 - int.from_bytes(sha256(whole + part.to_bytes(4, "big")).digest(), "big")


def decode(url: str) -> bytes:
    """The bytes of a base64 data URL. Raises PictureFault where it is none."""
    head, comma, data = url.partition(",")
    if not comma or not head.startswith("data:") or not head.lower().endswith(";base64"):
        raise PictureFault("an image is not a base64 data URL")
    try:
        found = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise PictureFault("an image's data is not valid base64") from None
    if not found:
        raise PictureFault("an image is empty")
    return found


def check(images: Sequence[bytes]) -> None:
    """Raises PictureFault where one is of no known type, or they are too large to be decoded."""
    together = 0
    for data in images:
        width, height = _size(data)
        if width < 1 or height < 1:
            raise PictureFault("an image is broken: it has no pixels")
        pixels = width * height
        if pixels > MAX_PIXELS:
            raise PictureFault(
                f"an image has {width} by {height} pixels, more than {MAX_PIXELS // 1_000_000} "
                "million: scale it down"
            )
        if max(width, height) > MOST_NARROW * min(width, height):
            raise PictureFault(
                f"an image has {width} by {height} pixels: one side may be at most {MOST_NARROW} "
                "times as long as the other"
            )
        together += pixels
        if together > MAX_TOGETHER:
            raise PictureFault(
                f"the images together have more than {MAX_TOGETHER // 1_000_000} million pixels: "
                "scale them down or send fewer"
            )


def _size(data: bytes) -> tuple[int, int]:
    """Width and height in pixels, as the file's header says."""
    try:
        if data.startswith(_PNG):
            width, height, bits = struct.unpack_from(">IIB", data, 16)
            # 16 bits a channel take twice the memory: counted as a larger image.
            return (width, height * 2) if bits == 16 else (width, height)
        if data.startswith(b"\xff\xd8"):
            return _jpeg_size(data)
        if data.startswith((b"GIF87a", b"GIF89a")):
            width, height = struct.unpack_from("<HH", data, 6)
            return width, height
        if data.startswith(b"BM"):
            return _bmp_size(data)
    except struct.error:
        raise PictureFault("an image is broken: it ends within its header") from None
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        raise PictureFault("an image is WebP, which is not supported here: send PNG or JPEG")
    raise PictureFault("an image is of an unknown type: send PNG, JPEG, GIF or BMP")


def _jpeg_size(data: bytes) -> tuple[int, int]:
    at = 2
    while True:
        (fill,) = struct.unpack_from("B", data, at)
        if fill != 0xFF:
            raise PictureFault("an image is broken: it is no whole JPEG")
        (code,) = struct.unpack_from("B", data, at + 1)
        if code == 0xFF:
            at += 1
        elif code in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        elif code in _JPEG_ALONE:
            at += 2
        else:
            (length,) = struct.unpack_from(">H", data, at + 2)
            at += 2 + max(length, 2)


def _bmp_size(data: bytes) -> tuple[int, int]:
    (header,) = struct.unpack_from("<I", data, 14)
    if header == 12:
        width, height = struct.unpack_from("<HH", data, 18)
        return width, height
    width, height = struct.unpack_from("<ii", data, 18)
    # The rows of some are written from the top: then the height is below zero.
    return width, abs(height)


def laid_out(pieces: Sequence[Piece]) -> tuple[list[int], tuple[tuple[int, Picture], ...]]:
    """A prompt of pieces as one list, marks for images, and the place of each image in it."""
    flat: list[int] = []
    placed: list[tuple[int, Picture]] = []
    for piece in pieces:
        if isinstance(piece, Picture):
            placed.append((len(flat), piece))
            flat += [piece.mark] * piece.size
        else:
            flat += piece
    return flat, tuple(placed)
