"""Embeddings: what is read of a body, what each mistake in one is told, and how vectors are
written, our own and a vendor's.
"""

from __future__ import annotations

import json
import struct
from base64 import b64decode, b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types import CreateEmbeddingResponse

from gateway.domain.call import Embedding, Prompt
from gateway.domain.events import Finished, Usage
from gateway.errors import InvalidRequest
from gateway.wire.openai_embeddings import parse
from gateway.wire.openai_embeddings_answer import EmbeddingWriter
from gateway.wire.openai_embeddings_relay import EmbeddingSpeech


def body(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "input": "cat"} | fields).encode()


BAD = [
    # body, param, code
    (b"{", None, "invalid_json"),
    (b'{"model": "m"}', "input", "missing_required_parameter"),
    (b'{"input": "a"}', "model", "missing_required_parameter"),
    (body(model=""), "model", "invalid_value"),
    (body(input=None), "input", "invalid_type"),
    (body(input=""), "input", "invalid_value"),
    (body(input=[]), "input", "empty_array"),
    (body(input=["a", ""]), "input[1]", "invalid_value"),
    (body(input=[[1], []]), "input[1]", "invalid_value"),
    (body(input=["a", [1]]), "input[1]", "invalid_type"),
    (body(input=[{"text": "a"}]), "input[0]", "invalid_type"),
    (body(input=["a"] * 2049), "input", "invalid_value"),
    (body(encoding_format="int8"), "encoding_format", "invalid_value"),
    (body(encoding_format=3), "encoding_format", "invalid_type"),
    (body(dimensions=0), "dimensions", "invalid_value"),
    (body(dimensions=1.5), "dimensions", "invalid_type"),
]


@pytest.mark.parametrize(("raw", "param", "code"), BAD)
def test_a_mistake_is_named(raw: bytes, param: str | None, code: str) -> None:
    """By the parameter to correct."""
    with pytest.raises(InvalidRequest) as caught:
        parse(raw)
    assert (caught.value.param, caught.value.code) == (param, code)


INPUTS: list[tuple[Any, tuple[Prompt, ...]]] = [
    ("cat", ("cat",)),
    (["cat", "dog"], ("cat", "dog")),
    ([1, 2], ((1, 2),)),
    ([[1, 2], [3]], ((1, 2), (3,))),
    (["a"] * 2048, ("a",) * 2048),
]


@pytest.mark.parametrize(("written", "inputs"), INPUTS)
def test_an_input_has_four_forms(written: Any, inputs: tuple[Prompt, ...]) -> None:
    """A text, texts, tokens, tokens of several."""
    request = parse(body(input=written, dimensions=8, input_type="query"))
    assert (request.embedding, request.base64) == (Embedding(inputs, 8), False)
    assert parse(body(encoding_format="base64")).base64


def vector(*numbers: float) -> bytes:
    return struct.pack(f"<{len(numbers)}f", *numbers)


def test_vectors_stand_in_the_order_of_their_inputs() -> None:
    """As numbers, with what was used."""
    made = EmbeddingWriter(model="m", base64=False)
    made.embed((vector(0.5, -0.25), vector(0.0, 1e-20)))
    made.embed((vector(1.0, 0.1),))
    made.count(Usage(7, 0))
    answer = made.whole(Finished())
    CreateEmbeddingResponse.model_validate_json(answer, strict=True)
    assert json.loads(answer) == {
        "object": "list",
        "data": [
            {"object": "embedding", "index": 0, "embedding": [0.5, -0.25]},
            {"object": "embedding", "index": 1, "embedding": [0, 9.99999968e-21]},
            {"object": "embedding", "index": 2, "embedding": [1, 0.100000001]},
        ],
        "model": "m",
        "usage": {"prompt_tokens": 7, "total_tokens": 7},
    }


def test_base64_is_of_32_bit_floats() -> None:
    """Little endian, as the SDKs read it."""
    made = EmbeddingWriter(model="m", base64=True)
    made.embed((vector(0.5, -0.25),))
    (row,) = json.loads(made.whole(Finished()))["data"]
    assert struct.unpack("<2f", b64decode(row["embedding"])) == (0.5, -0.25)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=1))
def test_numbers_lose_nothing(numbers: list[float]) -> None:
    """What is read is the same 32-bit float."""
    made = EmbeddingWriter(model="m", base64=False)
    made.embed((vector(*numbers),))
    (row,) = json.loads(made.whole(Finished()))["data"]
    read = struct.unpack(f"<{len(numbers)}f", vector(*row["embedding"]))
    assert list(read) == numbers


def vendors(*embeddings: object, **fields: Any) -> bytes:
    rows = [
        {"object": "embedding", "index": index, "embedding": one}
        for index, one in enumerate(embeddings)
    ]
    usage = {"prompt_tokens": 3, "total_tokens": 3}
    answer = {"object": "list", "data": rows, "model": "text-embedding-3-small", "usage": usage}
    return json.dumps(answer | fields, indent=1).encode()


def test_a_vendors_answer_is_the_apps_but_for_the_model() -> None:
    """And what the gateway must know is read."""
    raw = vendors([0.5, 0.25], [1.0, 0.0])
    answer = EmbeddingSpeech().answer(raw, "m", typed=False)
    assert answer.data == raw.replace(b"text-embedding-3-small", b"m")
    assert (answer.model, answer.usage) == ("text-embedding-3-small", Usage(3, 0))
    assert EmbeddingWriter(model="m", base64=False).relayed_whole(answer.data) is answer.data


@pytest.mark.parametrize(
    "raw", [b"{}", b'{"data": []}', b'{"data": [{"index": 0}]}', b"[]", b"{", b"\xff"]
)
def test_what_is_no_answer_is_none(raw: bytes) -> None:
    """The target has failed, then."""
    with pytest.raises(ValueError):
        EmbeddingSpeech().answer(raw, "m", typed=False)


def test_a_vendor_that_writes_otherwise_than_asked_is_rewritten() -> None:
    """Else an SDK that asked for base64 would read numbers as its bytes, or an app get a text."""
    numbers = [[0.5, -0.25], [0.1, 0.0]]
    written = [b64encode(vector(*one)).decode() for one in numbers]
    raw = vendors(*numbers, further={"kept": True})
    answer = json.loads(EmbeddingWriter(model="m", base64=True).relayed_whole(raw))
    assert [row["embedding"] for row in answer["data"]] == written
    assert [row["index"] for row in answer["data"]] == [0, 1]
    assert answer["further"] == {"kept": True}
    raw = vendors(*written)
    answer = json.loads(EmbeddingWriter(model="m", base64=False).relayed_whole(raw))
    assert [row["embedding"] for row in answer["data"]] == [[0.5, -0.25], [0.100000001, 0]]


@pytest.mark.parametrize("odd", ["no base64!", "abc", {"int8": [1]}])
def test_what_is_no_vector_is_left_as_it_is(odd: object) -> None:
    """The app sees what its vendor said."""
    raw = vendors(odd)
    assert EmbeddingWriter(model="m", base64=False).relayed_whole(raw) == raw
