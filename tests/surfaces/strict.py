"""Answers by the typed models of the official SDKs, with nothing that they do not have."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from anthropic.types import Message, RawMessageStreamEvent
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import BaseModel, TypeAdapter

BEYOND = frozenset({"reasoning_content"})
"""What we write beyond the published shapes: thoughts, as DeepSeek's API has them, where the SDK of
that dialect has no place for any.
"""
CHOICE = {"index", "message", "logprobs", "finish_reason"}
MESSAGE = {"role", "content", "refusal"}
"""What the published document demands, though the SDK's models do without."""
_EVENTS: TypeAdapter[RawMessageStreamEvent] = TypeAdapter(RawMessageStreamEvent)


def chat(data: bytes) -> ChatCompletion:
    """A whole chat completion."""
    read = ChatCompletion.model_validate_json(data, strict=True)
    assert set(_beyond(read)) <= BEYOND
    for choice in json.loads(data)["choices"]:
        assert choice.keys() == CHOICE
        assert choice["message"].keys() >= MESSAGE
    assert read.id.startswith("chatcmpl-")
    return read


def chunks(stream: bytes) -> list[ChatCompletionChunk]:
    """The chunks of a stream, in the published order: for each choice a role, its content, and one
    finish; then the usage, and the terminator.
    """
    *events, done, after = stream.split(b"\n\n")
    assert (done, after) == (b"data: [DONE]", b"")
    found = []
    for event in events:
        name, _, data = event.partition(b": ")
        assert name == b"data"
        read = ChatCompletionChunk.model_validate_json(data, strict=True)
        assert set(_beyond(read)) <= BEYOND
        found.append(read)
    assert len({(read.id, read.created, read.model) for read in found}) == 1
    begun: set[int] = set()
    ended: set[int] = set()
    for read in found:
        for choice in read.choices:
            assert (choice.delta.role == "assistant") is (choice.index not in begun)
            assert choice.index not in ended
            begun.add(choice.index)
            if choice.finish_reason is not None:
                ended.add(choice.index)
                assert not choice.delta.model_dump(exclude_unset=True)
    assert begun == ended == set(range(len(ended)))
    assert all(read.choices for read in found[:-1])
    return found


def message(data: bytes) -> Message:
    """A whole message."""
    read = Message.model_validate_json(data, strict=True)
    assert not set(_beyond(read))
    assert read.id.startswith("msg_")
    assert read.stop_reason is not None
    assert "stop_sequence" in json.loads(data)
    return read


def events(stream: bytes) -> list[RawMessageStreamEvent]:
    """The events of a message's stream, in the published order: blocks one after the other, each
    with its beginning and its end.
    """
    found = []
    for event in stream.removesuffix(b"\n\n").split(b"\n\n"):
        name, _, data = event.partition(b"\ndata: ")
        kind = json.loads(data)["type"]
        assert name == b"event: " + kind.encode()
        if kind != "ping":
            read = _EVENTS.validate_json(data, strict=True)
            assert not set(_beyond(read))
            found.append(read)
    assert [found[0].type, found[-2].type, found[-1].type] == [
        "message_start",
        "message_delta",
        "message_stop",
    ]
    at, open = -1, False
    for read in found[1:-2]:
        match read.type:
            case "content_block_start":
                at, open = at + 1, not open
                assert open
            case "content_block_stop":
                assert open
                open = False
            case _:
                assert read.type == "content_block_delta"
                assert open
        assert getattr(read, "index", None) == at
    assert not open
    return found


def _beyond(read: Any) -> Iterator[str]:
    """Names that a model of the SDK does not have, in it or in any within it."""
    if isinstance(read, BaseModel):
        yield from read.model_extra or ()
        for name in type(read).model_fields:
            yield from _beyond(getattr(read, name))
    elif isinstance(read, list):
        for each in read:
            yield from _beyond(each)
