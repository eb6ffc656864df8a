"""Chunks that are like others are read as if they had been parsed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.openai_completions_relay import CompletionReader
from gateway.wire.openai_relay import ChatReader
from gateway.wire.openai_told import ChunkReader
from gateway.wire.relay import Chunk

TEXTS = st.one_of(
    st.sampled_from(["model", "v", ",", ":", "assistant", "\\", '"', "\u00e9", "\x7f", "\ud83d"]),
    st.sampled_from(['"},"finish_reason":"stop"', '","content":"', "\n", "\x00", "é日本", ""]),
    st.text(max_size=5),
)
CHAT = {"index": 0, "delta": {"content": None}, "logprobs": None, "finish_reason": None}
SHAPES: list[dict[str, Any]] = [
    {"model": "v", "id": "x", "created": 1, "choices": [CHAT]},
    {"choices": [CHAT], "model": "v", "obfuscation": "abc"},
    {"model": "v", "choices": [CHAT], "provider": "assistant"},
    {"model": "v", "choices": [CHAT, {"index": 1, "delta": {"content": "b"}}]},
    {"model": "v", "choices": [{**CHAT, "finish_reason": "stop"}]},
    {"model": "v", "choices": [CHAT], "usage": {"prompt_tokens": 1, "completion_tokens": 1}},
    {"model": "v", "choices": [{**CHAT, "delta": {"content": None, "refusal": "no"}}]},
    {"model": "v", "choices": [{**CHAT, "delta": {"reasoning": "h", "content": None}}]},
    {"model": "v", "choices": [{**CHAT, "extra": {"model": "v"}}], "x": "assistant"},
    {"choices": [CHAT]},
    {"model": "v", "choices": [{"text": None, "index": 0}]},
]


def payload(shape: dict[str, Any], text: str, *, escapes: bool, spaces: bool) -> bytes:
    if "obfuscation" in shape:
        shape = {**shape, "obfuscation": text[::-1] + "pad"}
    written = json.dumps(
        shape, ensure_ascii=escapes, separators=None if spaces else (",", ":")
    ).replace("null", json.dumps(text, ensure_ascii=escapes), 1)
    return written.encode("utf-8", "surrogatepass")


@given(
    st.lists(st.tuples(st.sampled_from(SHAPES), TEXTS, st.booleans(), st.booleans()), max_size=8),
    st.sampled_from([ChatReader, CompletionReader]),
    st.booleans(),
)
def test_what_is_alike_is_read_as_what_it_is(
    drawn: list[tuple[dict[str, Any], str, bool, bool]],
    kind: type[ChunkReader[Any]],
    typed: bool,
) -> None:
    """Whatever came before a payload, what is told of it is what parsing it tells."""
    reader = kind("m", typed=typed)
    for shape, text, escapes, spaces in drawn:
        for said in (text, "plain", text * 2):
            one = payload(shape, said, escapes=escapes, spaces=spaces)
            assert reader.read(one) == kind("m", typed=typed)._read(one)


@given(st.lists(st.binary(max_size=4), max_size=6))
def test_bytes_that_are_no_text_are_malformed_all_the_same(parts: list[bytes]) -> None:
    """What stands in the text's place need not be any."""
    reader = learnt()
    for part in parts:
        one = b'{"model":"v","choices":[{"index":0,"delta":{"content":"%b"}}]}' % part
        assert reader.read(one) == ChatReader("m", typed=False)._read(one)


def learnt() -> ChatReader:
    """A reader that knows what chunks are like."""
    reader = ChatReader("m", typed=False)
    reader.read(b'{"model":"v","choices":[{"index":0,"delta":{"content":"hello"}}]}')
    return reader


def test_a_chunk_that_is_like_another_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the reason for all this."""
    reader = learnt()
    monkeypatch.setattr(reader, "_read", None)
    chunk = reader.read('{"model":"v","choices":[{"index":0,"delta":{"content":"é"}}]}'.encode())
    assert chunk == Chunk(
        'data: {"model":"m","choices":[{"index":0,"delta":{"content":"é"}}]}\n\n'.encode(),
        "é",
        choices=(0,),
        content=True,
        model="v",
    )


def test_padding_may_be_any(monkeypatch: pytest.MonkeyPatch) -> None:
    """By it a vendor hides how long the text is: it is passed on, and costs no parsing."""
    body = b'{"model":"v","choices":[{"index":0,"delta":{"content":"%b"}}],"obfuscation":"%b"}'
    reader = ChatReader("m", typed=False)
    reader.read(body % (b"hello", b"aXb"))
    monkeypatch.setattr(reader, "_read", None)
    for text, padding in ((b"you", b""), (b"there", b"hello"), (b"there", b"aXb")):
        chunk = reader.read(body % (text, padding))
        assert chunk.text == text.decode()
        assert chunk.data == b"data: %b\n\n" % (body % (text, padding)).replace(b'"v"', b'"m"')


def test_a_text_whose_place_is_in_doubt_is_not_learnt() -> None:
    """It stands twice, or where something else is told: each such chunk is parsed."""
    for shape in ('"provider":"hello",', '"id":"hello",', '"model":"hello",'):
        reader = ChatReader("m", typed=False)
        body = b'{%b"choices":[{"index":0,"delta":{"content":"hello"}}]}' % shape.encode()
        reader.read(body)
        assert reader.likeness is None
