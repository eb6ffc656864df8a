"""The bounded reader of GGUF headers: real, truncated, altered and mutated files."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.errors import ModelFileError
from gateway.local.gguf import ArrayInfo, read_header
from tests.local.gguf_files import entry, string


def tiny(*, offset: int = 0, shape: int = 32, kind: int = 0, entries: bytes = b"") -> bytes:
    """A whole GGUF file with one tensor, two metadata entries and ``entries`` (one more)."""
    metadata = string("general.architecture") + struct.pack("<I", 8) + string("llama")
    metadata += string("llama.context_length") + struct.pack("<II", 4, 77)
    metadata += entries
    tensor = string("weight") + struct.pack("<IQIQ", 1, shape, kind, offset)
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, 3 if entries else 2) + metadata + tensor
    return head + bytes(-len(head) % 32) + bytes(128)


def test_reads_the_real_file(gguf: Path) -> None:
    """What the embedded model says of itself."""
    header = read_header(gguf)
    assert header.version == 3
    assert header.architecture == "llama"
    assert header.context_length == 8192
    assert header.chat_template is not None
    assert "<|im_start|>" in header.chat_template
    assert header.metadata["tokenizer.ggml.tokens"] == ArrayInfo("string", 49152)
    assert len(header.tensors) == 272
    assert max(header.data_start + t.offset + t.size for t in header.tensors) <= header.size


def test_reads_a_tiny_file(tmp_path: Path) -> None:
    """The smallest file that is whole; what the other tests break."""
    (tmp_path / "a.gguf").write_bytes(tiny())
    header = read_header(tmp_path / "a.gguf")
    assert header.context_length == 77
    assert [(t.name, t.shape, t.type, t.size) for t in header.tensors] == [
        ("weight", (32,), "F32", 128)
    ]


NESTED = struct.pack("<IQ", 9, 1) * 5 + struct.pack("<IQ", 0, 0)
BROKEN = {
    "magic": (b"GGUX" + tiny()[4:], "not a GGUF file"),
    "version": (b"GGUF" + struct.pack("<I", 1) + tiny()[8:], "version 1 is not supported"),
    "big endian": (b"GGUF" + struct.pack(">I", 3) + tiny()[8:], "big endian"),
    "tensor count": (tiny()[:8] + struct.pack("<Q", 1 << 60) + tiny()[16:], "tensors are said"),
    "entry count": (tiny()[:16] + struct.pack("<Q", 1 << 60) + tiny()[24:], "metadata entries"),
    "key length": (tiny()[:24] + struct.pack("<Q", 1 << 62) + tiny()[32:], "at most 65535"),
    "empty": (b"", "the magic number needs 4 bytes"),
    "string": (tiny(entries=entry(8, struct.pack("<Q", 9_999))), "truncated or altered"),
    "array": (tiny(entries=entry(9, struct.pack("<IQ", 10, 1 << 61))), "truncated or altered"),
    "strings": (tiny(entries=entry(9, struct.pack("<IQ", 8, 1 << 61))), "more than the rest"),
    "nesting": (tiny(entries=entry(9, NESTED)), "more than 3 deep"),
    "type": (tiny(entries=entry(99, b"")), "unknown type 99"),
    "alignment": (tiny(entries=entry(4, b"\3\0\0\0", "general.alignment")), "a power of two"),
    "twice": (tiny(entries=entry(4, b"\3\0\0\0", "general.architecture")), "stands twice"),
    "bounds": (tiny(offset=32), "ends at byte"),
    "aligned": (tiny(offset=8), "is not aligned"),
    "tensor type": (tiny(kind=4), "unknown type 4"),
    "shape": (tiny(kind=2, shape=31), "cannot have the shape"),
    "overflow": (tiny(shape=1 << 63), "ends at byte"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_says_what_is_broken(name: str, tmp_path: Path) -> None:
    """Each kind of damage is refused for its own reason, and the file is named."""
    data, reason = BROKEN[name]
    (tmp_path / "broken.gguf").write_bytes(data)
    with pytest.raises(ModelFileError, match=reason) as raised:
        read_header(tmp_path / "broken.gguf")
    assert raised.value.message.startswith("broken.gguf: ")


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    """A file cut at any byte is never taken for whole."""
    whole = tiny()
    path = tmp_path / "cut.gguf"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ModelFileError):
            read_header(path)


def test_missing_file_is_named(tmp_path: Path) -> None:
    """No bare OSError leaves the reader."""
    with pytest.raises(ModelFileError, match=r"gone\.gguf cannot be read: No such file"):
        read_header(tmp_path / "gone.gguf")


@settings(max_examples=400, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.integers(0, 300), st.binary(min_size=1, max_size=8)), max_size=5))
def test_mutations_do_not_crash_it(tmp_path: Path, patches: list[tuple[int, bytes]]) -> None:
    """Any bytes at any place: a header or a ModelFileError, nothing else."""
    data = bytearray(tiny(entries=entry(9, struct.pack("<IQ", 8, 2) + string("a") + string("b"))))
    for at, patch in patches:
        data[at : at + len(patch)] = patch
    path = tmp_path / "mutated.gguf"
    path.write_bytes(data)
    try:
        header = read_header(path)
    except ModelFileError:
        return
    assert all(header.data_start + t.offset + t.size <= len(data) for t in header.tensors)
