"""A BERT of a few thousand random weights, as converters write such a file: encoders are real in
tests, though their vectors mean nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

from tests.local.gguf_files import entry, number, string, text

WIDTH, LAYERS, HEADS, INNER, CONTEXT = 32, 2, 4, 64, 64
SPECIAL = {100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 103: "[MASK]"}
WORDS = ("cat", "dog", "law", "tax", "sat", "the", "mat")
MEAN, CLS = 1, 2
"""``bert.pooling_type``."""


def vocabulary() -> list[str]:
    """Where the tokens stand that llama.cpp expects of a BERT."""
    pieces = [SPECIAL.get(token, f"[unused{token}]") for token in range(104)]
    return pieces + [f"\u2581{word}" for word in WORDS]


def _strings(key: str, values: Sequence[str]) -> bytes:
    return entry(9, struct.pack("<IQ", 8, len(values)) + b"".join(map(string, values)), key)


def _shapes(size: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (WIDTH, size),
        "token_types.weight": (WIDTH, 2),
        "position_embd.weight": (WIDTH, CONTEXT),
        "token_embd_norm.weight": (WIDTH,),
        "token_embd_norm.bias": (WIDTH,),
    }
    for layer in range(LAYERS):
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            shapes[f"blk.{layer}.{name}.weight"] = (WIDTH, WIDTH)
            shapes[f"blk.{layer}.{name}.bias"] = (WIDTH,)
        for name in ("attn_output_norm", "layer_output_norm"):
            shapes[f"blk.{layer}.{name}.weight"] = (WIDTH,)
            shapes[f"blk.{layer}.{name}.bias"] = (WIDTH,)
        shapes[f"blk.{layer}.ffn_up.weight"] = (WIDTH, INNER)
        shapes[f"blk.{layer}.ffn_up.bias"] = (INNER,)
        shapes[f"blk.{layer}.ffn_down.weight"] = (INNER, WIDTH)
        shapes[f"blk.{layer}.ffn_down.bias"] = (WIDTH,)
    return shapes


def tiny_bert(pooling: int = MEAN) -> bytes:
    """The whole file."""
    pieces = vocabulary()
    kinds = [3 if piece.startswith("[") else 1 for piece in pieces]
    entries = [
        text("general.architecture", "bert"),
        text("general.name", "tiny"),
        number("bert.context_length", CONTEXT),
        number("bert.embedding_length", WIDTH),
        number("bert.feed_forward_length", INNER),
        number("bert.block_count", LAYERS),
        number("bert.attention.head_count", HEADS),
        entry(6, struct.pack("<f", 1e-12), "bert.attention.layer_norm_epsilon"),
        entry(7, struct.pack("<?", False), "bert.attention.causal"),
        number("bert.pooling_type", pooling),
        number("tokenizer.ggml.token_type_count", 2),
        text("tokenizer.ggml.model", "bert"),
        _strings("tokenizer.ggml.tokens", pieces),
        entry(
            9,
            struct.pack(f"<IQ{len(kinds)}i", 5, len(kinds), *kinds),
            "tokenizer.ggml.token_type",
        ),
    ]
    random = np.random.default_rng(7)
    infos, weights = b"", b""
    shapes = _shapes(len(pieces))
    for name, shape in shapes.items():
        infos += string(name)
        infos += struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, len(weights))
        values = random.normal(0.0, 0.3, shape)
        data = (values + 1.0 if "norm.weight" in name else values).astype("<f4").tobytes()
        weights += data + bytes(-len(data) % 32)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(shapes), len(entries)) + b"".join(entries) + infos
    return head + bytes(-len(head) % 32) + weights
