"""Messages of the Anthropic dialect: what is read of a body, and what each mistake is told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.domain.call import (
    Image,
    Message,
    Sampling,
    Shape,
    ShapeKind,
    Tool,
    ToolCall,
    ToolChoice,
    Tools,
)
from gateway.domain.target import Capability
from gateway.errors import InvalidRequest
from gateway.wire.anthropic_messages import MessagesRequest, parse

HELLO = [{"role": "user", "content": "hello"}]
DATA = "iVBORw0KGgo="
PNG = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": DATA}}
URL = f"data:image/png;base64,{DATA}"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
WEATHER = {"name": "weather", "description": "Of a city.", "input_schema": SCHEMA}
SEARCH = {"type": "web_search_20250305", "name": "web_search"}


def body(**fields: Any) -> bytes:
    asked = {"model": "m", "max_tokens": 5, "messages": HELLO} | fields
    return json.dumps({name: value for name, value in asked.items() if value is not None}).encode()


def read(**fields: Any) -> MessagesRequest:
    return parse(body(**fields))


def user(*blocks: Any) -> MessagesRequest:
    return read(messages=[{"role": "user", "content": list(blocks)}])


def text(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": text} | more


BAD = [
    # body, param, code
    (b"{", None, "invalid_json"),
    (b"", None, "invalid_json"),
    (b"\xff", None, "invalid_json"),
    (b'{"container": ' + b"[" * 100_000, None, "invalid_json"),
    (b"[]", None, "invalid_value"),
    (body(model=None), "model", "missing_required_parameter"),
    (body(model=""), "model", "invalid_value"),
    (body(max_tokens=None), "max_tokens", "missing_required_parameter"),
    (body(max_tokens=-1), "max_tokens", "invalid_value"),
    (body(max_tokens="5"), "max_tokens", "invalid_type"),
    (body(messages=None), "messages", "missing_required_parameter"),
    (body(messages=[]), "messages", "empty_array"),
    (body(messages="hello"), "messages", "invalid_type"),
    (body(messages=[{"role": "user"}]), "messages.0.content", "missing_required_parameter"),
    (body(messages=[*HELLO, {"role": "king", "content": ""}]), "messages.1.role", "invalid_type"),
    (body(temperature=1.5), "temperature", "invalid_value"),
    (body(top_p=2), "top_p", "invalid_value"),
    (body(top_k=-1), "top_k", "invalid_value"),
    (body(stop_sequences=[" "]), "stop_sequences", "invalid_value"),
    (body(system=[{"type": "text"}]), "system.content.0.text", "missing_required_parameter"),
    (body(tools=[{}]), "tools.0.custom.name", "missing_required_parameter"),
    (body(tools=[{"name": "f"}]), "tools.0.custom.input_schema", "missing_required_parameter"),
    (body(tool_choice={"type": "tool"}), "tool_choice.tool.name", "missing_required_parameter"),
    (body(tool_choice={"type": "tool", "name": "f"}), "tool_choice", "invalid_value"),
    (
        body(thinking={"type": "enabled"}),
        "thinking.enabled.budget_tokens",
        "missing_required_parameter",
    ),
    (
        body(thinking={"type": "enabled", "budget_tokens": 5}),
        "thinking.enabled.budget_tokens",
        "invalid_value",
    ),
    (
        body(output_config={"format": {"type": "json_schema"}}),
        "output_config.format",
        "invalid_value",
    ),
]


@pytest.mark.parametrize(("raw", "param", "code"), BAD)
def test_a_mistake_is_named(raw: bytes, param: str | None, code: str) -> None:
    """Its place stands in the message, since the dialect has no field for it."""
    with pytest.raises(InvalidRequest) as caught:
        parse(raw)
    assert (caught.value.param, caught.value.code) == (param, code)
    assert param is None or caught.value.message.startswith(f"{param}: ")


BAD_BLOCKS = [
    ({"type": "text"}, "text"),
    ({"type": "image"}, "source"),
    ({"type": "image", "source": {"type": "base64", "data": "x"}}, "source.base64.media_type"),
    (
        {"type": "image", "source": {"type": "base64", "media_type": "image/png"}},
        "source.base64.data",
    ),
    ({"type": "image", "source": {"type": "url"}}, "source.url.url"),
    ({"type": "tool_result"}, "tool_use_id"),
    ({"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text"}]}, "content.0.text"),
]


@pytest.mark.parametrize(("block", "field"), BAD_BLOCKS)
def test_a_mistake_in_a_block_is_named(block: dict[str, Any], field: str) -> None:
    """By its place: nothing is silently left out."""
    with pytest.raises(InvalidRequest) as caught:
        user(text("a"), block)
    assert caught.value.param == f"messages.0.content.1.{field}"


@pytest.mark.parametrize(
    ("block", "field"),
    [
        ({"type": "tool_use", "name": "f", "input": {}}, "id"),
        ({"type": "tool_use", "id": "t", "input": {}}, "name"),
        ({"type": "tool_use", "id": "t", "name": "f", "input": "x"}, "input"),
    ],
)
def test_a_mistake_in_a_call_is_named(block: dict[str, Any], field: str) -> None:
    """As in any other block."""
    with pytest.raises(InvalidRequest) as caught:
        read(messages=[{"role": "assistant", "content": [block]}])
    assert caught.value.param == f"messages.0.content.0.{field}"


def test_what_is_asked_for() -> None:
    """Each parameter has its place in the house."""
    request = read(
        stream=True,
        system="Be brief.",
        temperature=0.5,
        top_p=0.9,
        top_k=20,
        stop_sequences=["END", "\n\nHuman:"],
        metadata={"user_id": "someone"},
    )
    assert (request.model, request.stream, request.user) == ("m", True, "someone")
    chat = request.chat
    assert chat.messages == (Message("system", "Be brief."), Message("user", "hello"))
    assert chat.sampling == Sampling(temperature=0.5, top_p=0.9, top_k=20)
    assert (chat.max_tokens, chat.stop) == (5, ("END", "\n\nHuman:"))
    assert request.needs == frozenset()


def test_blocks_are_one_text() -> None:
    """Texts of a user or of the system stand on lines of their own, those of an assistant are
    pieces of one text; what caches them makes no difference.
    """
    cached = {"cache_control": {"type": "ephemeral"}}
    request = read(
        system=[text("a", **cached), text("b")],
        messages=[
            {"role": "user", "content": [text("c"), text("d", **cached)]},
            {"role": "assistant", "content": [text("e"), text("f")]},
            {"role": "system", "content": "g"},
            {"role": "user", "content": "h"},
        ],
    )
    assert request.chat.messages == (
        Message("system", "a\nb"),
        Message("user", "c\nd"),
        Message("assistant", "ef"),
        Message("system", "g"),
        Message("user", "h"),
    )


def test_images_have_their_place() -> None:
    """Before, within and after the text."""
    request = user(PNG, text("what"), PNG, text("is it?"), PNG)
    assert request.chat.messages == (
        Message("user", "whatis it?", images=(Image(URL, 0), Image(URL, 4), Image(URL, 10))),
    )
    assert request.needs == {Capability.IMAGES}


def test_calls_and_what_they_gave() -> None:
    """Results are turns of their own, before all else of the user's; images in them go to the
    user's turn, and an error is told as one.
    """
    request = read(
        messages=[
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "x"},
                    {"type": "redacted_thinking", "data": "y"},
                    text("I look."),
                    {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Rome"}},
                    {"type": "tool_use", "id": "t2", "name": "weather", "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "t1", "content": [text("18"), PNG]},
                    {"type": "tool_result", "tool_use_id": "t2", "content": "no", "is_error": True},
                    {"type": "tool_result", "tool_use_id": "t3"},
                    text("Well?"),
                ],
            },
        ]
    )
    assert request.chat.messages == (
        Message(
            "assistant",
            "I look.",
            calls=(
                ToolCall("t1", "weather", '{"city": "Rome"}'),
                ToolCall("t2", "weather", "{}"),
            ),
            reasoning="hm",
        ),
        Message("tool", "18", call_id="t1"),
        Message("tool", "Error: no", call_id="t2"),
        Message("tool", "", call_id="t3"),
        Message("user", "Well?", images=(Image(URL, 0),)),
    )
    assert request.needs == {Capability.TOOLS, Capability.IMAGES}


def test_documents_that_are_text_are_read() -> None:
    """With their titles; of others the plan is told."""
    source = {"type": "text", "media_type": "text/plain", "data": "All rise."}
    found = {"type": "search_result", "source": "s", "title": "t", "content": [text("found")]}
    request = user(
        {"type": "document", "source": source, "title": "Law", "context": "Old."},
        {"type": "document", "source": {"type": "content", "content": [text("x"), PNG]}},
        found,
        text("Why?"),
    )
    (message,) = request.chat.messages
    assert message.content == "Law\nOld.\nAll rise.\nxt\ns\nfound\nWhy?"
    assert request.needs == {Capability.IMAGES}


BLOCK_NEEDS = [
    ({"type": "image", "source": {"type": "url", "url": "https://a/b"}}, Capability.IMAGE_URLS),
    ({"type": "image", "source": {"type": "file", "file_id": "f"}}, Capability.FILES),
    (
        {"type": "image", "source": {"type": "base64", "media_type": "image/webp", "data": "x"}},
        Capability.OTHER_IMAGES,
    ),
    ({"type": "document", "source": {"type": "url", "url": "https://a/b"}}, Capability.FILES),
    ({"type": "container_upload", "file_id": "f"}, Capability.FILES),
    (
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
        Capability.OTHER_TOOLS,
    ),
    (
        {"type": "web_search_tool_result", "tool_use_id": "s", "content": {"error_code": "x"}},
        Capability.OTHER_TOOLS,
    ),
    ({"type": "hologram"}, Capability.OTHER_CONTENT),
    ({"type": "tool_result", "tool_use_id": "t"}, Capability.TOOLS),
]


@pytest.mark.parametrize(("block", "need"), BLOCK_NEEDS)
def test_what_a_block_needs(block: dict[str, Any], need: Capability) -> None:
    """What a target cannot be given, it is not asked."""
    assert need in user(block).needs
    assert need in read(messages=[{"role": "user", "content": [block, text("?")]}]).needs


NEEDS = [
    ({"tools": [WEATHER]}, {Capability.TOOLS}),
    ({"tools": [WEATHER], "tool_choice": {"type": "none"}}, set()),
    ({"tools": [SEARCH]}, {Capability.TOOLS, Capability.OTHER_TOOLS}),
    ({"mcp_servers": [{"name": "x"}]}, {Capability.OTHER_TOOLS}),
    ({"container": "c"}, {Capability.OTHER_TOOLS}),
    ({"max_tokens": 0}, {Capability.PREWARM}),
    (
        {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
        {Capability.JSON_SCHEMA},
    ),
]


@pytest.mark.parametrize(("fields", "needs"), NEEDS)
def test_what_is_needed_of_a_target(fields: dict[str, Any], needs: set[Capability]) -> None:
    """Nothing is silently dropped."""
    assert read(**fields).needs == needs


TOOL = Tool("weather", "Of a city.", json.dumps(SCHEMA))
CHOICES: list[tuple[dict[str, Any] | None, Tools]] = [
    (None, Tools((TOOL,))),
    ({"type": "auto"}, Tools((TOOL,))),
    ({"type": "auto", "disable_parallel_tool_use": True}, Tools((TOOL,), parallel=False)),
    ({"type": "any"}, Tools((TOOL,), ToolChoice.REQUIRED)),
    ({"type": "tool", "name": "weather"}, Tools((TOOL,), ToolChoice.REQUIRED, "weather")),
    ({"type": "none"}, Tools((TOOL,), ToolChoice.NONE)),
]


@pytest.mark.parametrize(("choice", "tools"), CHOICES)
def test_which_tools(choice: dict[str, Any] | None, tools: Tools) -> None:
    """Those that the vendor runs itself are none of the app's functions."""
    assert read(tools=[WEATHER, SEARCH], tool_choice=choice).chat.tools == tools
    assert read(tools=[SEARCH]).chat.tools is None


@pytest.mark.parametrize("way", ["output_config", "output_format"])
def test_a_schema(way: str) -> None:
    """It holds strictly, as that API has it; the older place of it is read too."""
    wanted = {"type": "json_schema", "schema": SCHEMA}
    fields = {"output_config": {"format": wanted}} if way == "output_config" else {way: wanted}
    assert read(**fields).chat.shape == Shape(ShapeKind.JSON_SCHEMA, json.dumps(SCHEMA), True)


@pytest.mark.parametrize(
    ("fields", "template"),
    [
        ({}, {}),
        ({"thinking": {"type": "disabled"}}, {"enable_thinking": False}),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, {"enable_thinking": True}),
        ({"thinking": {"type": "adaptive"}}, {}),
        ({"output_config": {"effort": "max"}}, {"reasoning_effort": "high"}),
        ({"output_config": {"effort": "low"}}, {"reasoning_effort": "low"}),
    ],
)
def test_thinking(fields: dict[str, Any], template: dict[str, Any]) -> None:
    """The chat template is told, where it asks."""
    assert json.loads(read(**fields).chat.template) == template


@pytest.mark.parametrize(
    ("content", "prefill"),
    [("The answer is (", "The answer is ("), ([text("a"), text("b")], "ab"), ("", ""), ([], "")],
)
def test_a_begun_answer(content: Any, prefill: str) -> None:
    """A last turn of the assistant's is gone on with."""
    chat = read(messages=[*HELLO, {"role": "assistant", "content": content}]).chat
    assert (chat.messages, chat.prefill) == ((Message("user", "hello"),), prefill)


def test_a_count_needs_no_max_tokens() -> None:
    """All else as in a request."""
    assert parse(body(max_tokens=None), counting=True).chat.messages == (Message("user", "hello"),)
