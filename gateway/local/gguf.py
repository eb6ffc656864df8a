"""A bounded reader of GGUF headers: what a file says of itself, before llama.cpp sees it.

Little endian, versions 2 and 3. Every length and count is checked against what is left of the file
before anything is read or kept, so a crafted file costs no more memory than its own size. Source of
the format: ``ggml/include/gguf.h`` and ``ggml/src/ggml-common.h`` of llama.cpp.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, NoReturn, TypeAlias

from gateway.errors import ModelFileError

MAGIC = b"GGUF"
VERSIONS = (2, 3)
DEFAULT_ALIGNMENT = 32
MAX_ALIGNMENT = 1 << 20
MAX_KEY = 65_535
MAX_STRING = 16 << 20
MAX_ENTRIES = 65_536
MAX_TENSORS = 65_536
MAX_TENSOR_NAME = 63
MAX_DIMENSIONS = 4
MAX_ARRAY_DEPTH = 3
MAX_KEPT = 1024
"""Whole numbers of an array that is kept: what a file says of each layer."""
WHOLE = frozenset((0, 1, 2, 3, 4, 5, 10, 11))
SMALLEST_ENTRY = 8 + 4 + 1
SMALLEST_TENSOR = 8 + 4 + 4 + 8

STRING = 8
ARRAY = 9
SCALARS: Mapping[int, tuple[str, struct.Struct]] = MappingProxyType(
    {
        0: ("uint8", struct.Struct("<B")),
        1: ("int8", struct.Struct("<b")),
        2: ("uint16", struct.Struct("<H")),
        3: ("int16", struct.Struct("<h")),
        4: ("uint32", struct.Struct("<I")),
        5: ("int32", struct.Struct("<i")),
        6: ("float32", struct.Struct("<f")),
        7: ("bool", struct.Struct("<?")),
        10: ("uint64", struct.Struct("<Q")),
        11: ("int64", struct.Struct("<q")),
        12: ("float64", struct.Struct("<d")),
    }
)

TENSOR_TYPES: Mapping[int, tuple[str, int, int]] = MappingProxyType(
    {
        # number: (name, elements of a block, bytes of a block)
        0: ("F32", 1, 4),
        1: ("F16", 1, 2),
        2: ("Q4_0", 32, 18),
        3: ("Q4_1", 32, 20),
        6: ("Q5_0", 32, 22),
        7: ("Q5_1", 32, 24),
        8: ("Q8_0", 32, 34),
        9: ("Q8_1", 32, 36),
        10: ("Q2_K", 256, 84),
        11: ("Q3_K", 256, 110),
        12: ("Q4_K", 256, 144),
        13: ("Q5_K", 256, 176),
        14: ("Q6_K", 256, 210),
        15: ("Q8_K", 256, 292),
        16: ("IQ2_XXS", 256, 66),
        17: ("IQ2_XS", 256, 74),
        18: ("IQ3_XXS", 256, 98),
        19: ("IQ1_S", 256, 50),
        20: ("IQ4_NL", 32, 18),
        21: ("IQ3_S", 256, 110),
        22: ("IQ2_S", 256, 82),
        23: ("IQ4_XS", 256, 136),
        24: ("I8", 1, 1),
        25: ("I16", 1, 2),
        26: ("I32", 1, 4),
        27: ("I64", 1, 8),
        28: ("F64", 1, 8),
        29: ("IQ1_M", 256, 56),
        30: ("BF16", 1, 2),
        34: ("TQ1_0", 256, 54),
        35: ("TQ2_0", 256, 66),
        39: ("MXFP4", 32, 17),
        40: ("NVFP4", 64, 36),
        41: ("Q1_0", 128, 18),
        42: ("Q2_0", 64, 18),
    }
)


@dataclass(frozen=True, slots=True)
class ArrayInfo:
    """An array that is not kept: the type of its elements and how many there are."""

    type: str
    length: int


Value: TypeAlias = int | float | bool | str | ArrayInfo | tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """``offset`` and ``size`` are in bytes; ``offset`` counts from the start of the tensor data."""

    name: str
    shape: tuple[int, ...]
    type: str
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What a GGUF file says of itself. ``data_start`` and ``size`` (of the file) are in bytes."""

    version: int
    metadata: Mapping[str, Value]
    tensors: tuple[TensorInfo, ...]
    alignment: int
    data_start: int
    size: int

    @property
    def architecture(self) -> str | None:
        return self._text("general.architecture")

    @property
    def name(self) -> str | None:
        return self._text("general.name")

    @property
    def chat_template(self) -> str | None:
        """The Jinja source, as the file has it."""
        return self._text("tokenizer.chat_template")

    @property
    def context_length(self) -> int | None:
        """The trained context in tokens."""
        value = self.metadata.get(f"{self.architecture}.context_length")
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def _text(self, key: str) -> str | None:
        value = self.metadata.get(key)
        return value if isinstance(value, str) else None


def read_header(path: Path) -> GgufHeader:
    """Read and check the header of the GGUF file at ``path``; its weights are not read.

    Raises ModelFileError where the file is missing, unreadable, truncated or malformed.
    """
    try:
        with path.open("rb", buffering=1 << 16) as file:
            return _Reader(file, os.fstat(file.fileno()).st_size, path.name).header()
    except OSError as error:
        raise ModelFileError(f"{path.name} cannot be read: {error.strerror}") from error


class _Reader:
    """One pass over one file. ``left`` is how many bytes of it have not been consumed."""

    def __init__(self, file: BinaryIO, size: int, name: str) -> None:
        self._file = file
        self._size = size
        self._name = name
        self._at = 0

    def header(self) -> GgufHeader:
        version = self._preamble()
        tensor_count = self._count("tensors", MAX_TENSORS, SMALLEST_TENSOR)
        entry_count = self._count("metadata entries", MAX_ENTRIES, SMALLEST_ENTRY)
        metadata: dict[str, Value] = {}
        for _ in range(entry_count):
            key = self._string("a metadata key", MAX_KEY)
            if key in metadata:
                self._fail(f"metadata key {key[:80]!r} stands twice")
            metadata[key] = self._value(self._u32(f"the type of {key[:80]!r}"), key[:80])
        alignment = self._alignment(metadata)
        raw = [self._tensor() for _ in range(tensor_count)]
        start = (self._at + alignment - 1) // alignment * alignment
        tensors = self._checked(raw, start, alignment)
        return GgufHeader(
            version, MappingProxyType(metadata), tensors, alignment, start, self._size
        )

    def _preamble(self) -> int:
        magic = self._take(4, "the magic number")
        if magic != MAGIC:
            self._fail(f"expected the magic number {MAGIC!r}, got {magic!r}: not a GGUF file")
        version = self._u32("the version")
        if version & 0xFFFF == 0:
            self._fail("big endian files are not supported")
        if version not in VERSIONS:
            self._fail(f"version {version} is not supported; known are 2 and 3")
        return version

    def _value(self, kind: int, key: str) -> Value:
        if kind == STRING:
            return self._string(f"the value of {key!r}", MAX_STRING)
        if kind == ARRAY:
            return self._array(key, 1)
        if kind not in SCALARS:
            self._fail(f"{key!r} has the unknown type {kind}")
        _, layout = SCALARS[kind]
        value: int | float | bool = layout.unpack(self._take(layout.size, repr(key)))[0]
        return value

    def _array(self, key: str, depth: int) -> ArrayInfo | tuple[int, ...]:
        if depth > MAX_ARRAY_DEPTH:
            self._fail(f"{key!r} nests arrays more than {MAX_ARRAY_DEPTH} deep")
        kind = self._u32(f"the element type of {key!r}")
        length = self._u64(f"the length of {key!r}")
        if kind in SCALARS:
            name, layout = SCALARS[kind]
            if kind in WHOLE and length <= MAX_KEPT:
                data = self._take(length * layout.size, f"the array {key!r}")
                return tuple(number for (number,) in layout.iter_unpack(data))
            self._skip(length * layout.size, f"the array {key!r}")
            return ArrayInfo(name, length)
        if kind not in (STRING, ARRAY):
            self._fail(f"{key!r} is an array of the unknown type {kind}")
        # A string costs at least its length field, an array its type and length.
        least = 8 if kind == STRING else 12
        if length * least > self._left:
            self._fail(f"{key!r} says {length} elements, more than the rest of the file holds")
        for _ in range(length):
            if kind == STRING:
                self._skip(self._u64(key), f"a string of {key!r}")
            else:
                self._array(key, depth + 1)
        return ArrayInfo("string" if kind == STRING else "array", length)

    def _alignment(self, metadata: Mapping[str, Value]) -> int:
        value = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
        if not isinstance(value, int) or not 0 < value <= MAX_ALIGNMENT or value & (value - 1):
            self._fail(f"general.alignment must be a power of two up to {MAX_ALIGNMENT}")
        return value

    def _tensor(self) -> tuple[str, tuple[int, ...], int, int]:
        name = self._string("a tensor's name", MAX_TENSOR_NAME)
        dimensions = self._u32(f"the dimensions of {name!r}")
        if not 0 < dimensions <= MAX_DIMENSIONS:
            self._fail(f"tensor {name!r} has {dimensions} dimensions; 1 to {MAX_DIMENSIONS} are")
        shape = tuple(self._u64(f"the shape of {name!r}") for _ in range(dimensions))
        kind = self._u32(f"the type of {name!r}")
        return name, shape, kind, self._u64(f"the offset of {name!r}")

    def _checked(
        self, raw: list[tuple[str, tuple[int, ...], int, int]], start: int, alignment: int
    ) -> tuple[TensorInfo, ...]:
        seen: set[str] = set()
        tensors: list[TensorInfo] = []
        for name, shape, kind, offset in raw:
            if name in seen:
                self._fail(f"tensor {name!r} stands twice")
            seen.add(name)
            if kind not in TENSOR_TYPES:
                self._fail(f"tensor {name!r} has the unknown type {kind}")
            label, elements, size_of_block = TENSOR_TYPES[kind]
            count = 1
            for extent in shape:
                count *= extent
            if count == 0 or shape[0] % elements:
                self._fail(f"tensor {name!r} of type {label} cannot have the shape {shape}")
            size = count // elements * size_of_block
            if offset % alignment:
                self._fail(f"tensor {name!r} is not aligned to {alignment} bytes")
            if start + offset + size > self._size:
                self._fail(
                    f"tensor {name!r} ends at byte {start + offset + size}, but the file has "
                    f"{self._size}: it is truncated or altered"
                )
            tensors.append(TensorInfo(name, shape, label, offset, size))
        return tuple(tensors)

    @property
    def _left(self) -> int:
        return self._size - self._at

    def _count(self, what: str, most: int, least_size: int) -> int:
        count = self._u64(f"the number of {what}")
        if count > most or count * least_size > self._left:
            self._fail(f"{count} {what} are said to be in a file of {self._size} bytes")
        return count

    def _string(self, what: str, most: int) -> str:
        length = self._u64(f"the length of {what}")
        if length > most:
            self._fail(f"{what} is {length} bytes long; at most {most} are taken")
        # Tokenizers may hold bytes that are no UTF-8; a key or template that does is still shown.
        return self._take(length, what).decode("utf-8", "replace")

    def _u32(self, what: str) -> int:
        return int.from_bytes(self._take(4, what), "little")

    def _u64(self, what: str) -> int:
        return int.from_bytes(self._take(8, what), "little")

    def _take(self, count: int, what: str) -> bytes:
        self._room(count, what)
        data = self._file.read(count)
        if len(data) != count:
            self._fail(f"the file became shorter while {what} was read")
        self._at += count
        return data

    def _skip(self, count: int, what: str) -> None:
        self._room(count, what)
        self._file.seek(count, os.SEEK_CUR)
        self._at += count

    def _room(self, count: int, what: str) -> None:
        if count > self._left:
            self._fail(
                f"{what} needs {count} bytes at byte {self._at}, but the file has only "
                f"{self._size}: it is truncated or altered"
            )

    def _fail(self, why: str) -> NoReturn:
        raise ModelFileError(f"{self._name}: {why}")
