"""Chat completions: what is read of a body, and what each mistake in one is told."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from gateway.domain.events import FinishReason, Usage
from gateway.domain.target import Capability
from gateway.errors import InvalidRequest
from gateway.wire.openai_chat import ChatWriter, parse

HELLO = [{"role": "user", "content": "hello"}]


def body(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "messages": HELLO} | fields).encode()


BAD = [
    # body, param, code
    (b"{", None, "invalid_json"),
    (b"", None, "invalid_json"),
    (b"\xff", None, "invalid_json"),
    (b'{"tools": ' + b"[" * 100_000, None, "invalid_json"),
    (b"[]", None, "invalid_type"),
    (b'{"messages": []}', "model", "missing_required_parameter"),
    (b'{"model": "m"}', "messages", "missing_required_parameter"),
    (body(messages=[]), "messages", "empty_array"),
    (body(model=""), "model", "invalid_value"),
    (body(model=3), "model", "invalid_type"),
    (body(messages="hello"), "messages", "invalid_type"),
    (body(messages=[{"role": "user", "content": 3}]), "messages[0].content", "invalid_type"),
    (body(messages=[{"content": "x"}]), "messages[0].role", "missing_required_parameter"),
    (body(messages=[{"role": "king", "content": "x"}]), "messages[0].role", "invalid_type"),
    (body(temperature=3), "temperature", "invalid_value"),
    (body(max_tokens=0), "max_tokens", "invalid_value"),
    (body(stop=["a"] * 5), "stop", "invalid_value"),
    (body(stream_options={"include_usage": True}), "stream_options", "invalid_value"),
]


@pytest.mark.parametrize(("raw", "param", "code"), BAD)
def test_a_mistake_is_named(raw: bytes, param: str | None, code: str) -> None:
    """The error names the parameter as the official API does."""
    with pytest.raises(InvalidRequest) as caught:
        parse(raw)
    assert (caught.value.param, caught.value.code) == (param, code)


NEEDS = [
    ({"tools": [{"type": "function"}]}, Capability.TOOLS),
    ({"response_format": {"type": "json_object"}}, Capability.JSON_OBJECT),
    ({"response_format": {"type": "json_schema"}}, Capability.JSON_SCHEMA),
    ({"logprobs": True}, Capability.LOGPROBS),
    ({"logit_bias": {"1": 2}}, Capability.LOGIT_BIAS),
    ({"n": 2}, Capability.SEVERAL_CHOICES),
    (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
        Capability.IMAGES,
    ),
    ({"messages": [{"role": "tool", "content": "x", "tool_call_id": "1"}]}, Capability.TOOLS),
]


@pytest.mark.parametrize(("fields", "need"), NEEDS)
def test_what_a_request_needs_of_a_target(fields: dict[str, Any], need: Capability) -> None:
    """Each parameter that a target may lack is told from the others."""
    assert parse(body(**fields)).needs == {need}


def test_what_needs_nothing() -> None:
    """Defaults that were written out, and tools that are forbidden to be used, need nothing."""
    assert parse(body(n=1, response_format={"type": "text"}, logprobs=False)).needs == frozenset()
    assert parse(body(tools=[{}], tool_choice="none")).needs == frozenset()


def test_messages_are_read_in_all_their_shapes() -> None:
    """Parts are joined, developer is system, no content is an empty turn."""
    parsed = parse(
        body(
            messages=[
                {"role": "developer", "content": "be brief"},
                {
                    "role": "user",
                    "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
                },
                {"role": "assistant"},
            ],
            max_completion_tokens=7,
            stop="x",
        )
    )
    read = [(message.role, message.content) for message in parsed.chat.messages]
    assert read == [("system", "be brief"), ("user", "ab"), ("assistant", "")]
    assert (parsed.chat.max_tokens, parsed.chat.stop) == (7, ("x",))


def writer(include_usage: bool = False) -> ChatWriter:
    return ChatWriter(id="chatcmpl-1", model="gpt-4o", created=1, include_usage=include_usage)


def chunks(stream: bytes) -> list[ChatCompletionChunk]:
    events = [event.removeprefix(b"data: ") for event in stream.split(b"\n\n") if event]
    assert events.pop() == b"[DONE]"
    return [ChatCompletionChunk.model_validate_json(event, strict=True) for event in events]


def test_a_stream_is_one_role_its_text_one_finish_and_its_usage() -> None:
    """What the official SDK's typed model accepts in strict mode, in the published order."""
    written = writer(include_usage=True)
    stream = written.piece("Par") + written.piece("is")
    written.count(Usage(10, 2, 4))
    read = chunks(stream + written.end(FinishReason.LENGTH))
    assert [c.choices[0].delta.role for c in read[:3]] == ["assistant", None, None]
    assert "".join(c.choices[0].delta.content or "" for c in read[:3]) == "Paris"
    assert read[2].choices[0].finish_reason == "length"
    assert read[3].choices == []
    assert read[3].usage is not None
    assert read[3].usage.total_tokens == 12
    assert {c.model for c in read} == {"gpt-4o"}


def test_a_stream_without_text_still_has_a_role() -> None:
    """An answer that ends at once is a well-formed stream."""
    read = chunks(writer().end(None))
    assert read[0].choices[0].delta.role == "assistant"
    assert read[-1].choices[0].finish_reason == "stop"


def test_a_whole_answer_is_what_the_sdk_reads() -> None:
    """The body of an answer that is not streamed, in strict mode."""
    written = writer()
    written.keep("Paris")
    written.count(Usage(10, 2))
    read = ChatCompletion.model_validate_json(written.whole(FinishReason.STOP), strict=True)
    assert read.choices[0].message.content == "Paris"
    assert read.usage is not None
    assert read.usage.prompt_tokens == 10
