"""The Responses API: what is read of a body, what it needs, and what mistakes in one are told."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from msgspec.structs import replace

from gateway.domain.call import (
    Chat,
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
from gateway.wire import openai_chat
from gateway.wire.openai_request import Listener, chat_members
from gateway.wire.openai_responses import ResponsesRequest, asked, parse
from tests.wire.responses_bodies import bodies

PNG = "data:image/png;base64,AAAA"
HELLO = Message("user", "hello")
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
FUNCTION = {"type": "function", "name": "f", "parameters": SCHEMA}
TOOL = Tool("f", schema=json.dumps(SCHEMA))


def body(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "input": "hello"} | fields).encode()


def request(history: tuple[bytes, ...] = (), **fields: Any) -> ResponsesRequest:
    raw = body(**fields)
    return asked(parse(raw), raw, history)


def message(*parts: Any, role: str = "user") -> dict[str, Any]:
    return {"type": "message", "role": role, "content": list(parts)}


def text(said: str) -> dict[str, Any]:
    return {"type": "input_text", "text": said}


CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "18"}
SAID = message({"type": "output_text", "text": "yes", "annotations": []}, role="assistant")
THOUGHT = {
    "type": "reasoning",
    "id": "rs_1",
    "summary": [],
    "content": [{"type": "reasoning_text", "text": "hm"}],
}


def test_a_text_is_a_users_message() -> None:
    """And is kept as an item; instructions come before it."""
    read = request(instructions="be brief")
    assert read.chat.messages == (Message("system", "be brief"), HELLO)
    (kept,) = read.input
    assert json.loads(kept) == message(text("hello"))
    assert read.body == body(instructions="be brief")


CONVERSATIONS: list[tuple[str, list[Any], tuple[Message, ...]]] = [
    (
        "easy messages, whose developer is the system",
        [
            {"role": "developer", "content": "be brief"},
            {"role": "user", "content": [text("a"), text("b")]},
            {"role": "assistant", "content": "c"},
        ],
        (Message("system", "be brief"), Message("user", "ab"), Message("assistant", "c")),
    ),
    (
        "thoughts, a message and calls are one turn",
        [THOUGHT, SAID, CALL, CALL | {"call_id": "c2"}, OUTPUT, OUTPUT | {"call_id": "c2"}],
        (
            Message(
                "assistant",
                "yes",
                (ToolCall("c1", "f", "{}"), ToolCall("c2", "f", "{}")),
                reasoning="hm",
            ),
            Message("tool", "18", call_id="c1"),
            Message("tool", "18", call_id="c2"),
        ),
    ),
    (
        "two answers are two turns",
        [SAID, SAID, THOUGHT, SAID],
        (
            Message("assistant", "yes"),
            Message("assistant", "yes"),
            Message("assistant", "yes", reasoning="hm"),
        ),
    ),
    (
        "what comes between calls is of their turn, since they are answered behind it",
        [CALL, THOUGHT, SAID, CALL | {"call_id": "c2"}, SAID, OUTPUT],
        (
            Message(
                "assistant",
                "yesyes",
                (ToolCall("c1", "f", "{}"), ToolCall("c2", "f", "{}")),
                reasoning="hm",
            ),
            Message("tool", "18", call_id="c1"),
        ),
    ),
    (
        "images of such a turn move with their text",
        [
            CALL,
            SAID,
            message(text("a"), {"type": "input_image", "image_url": PNG}, role="assistant"),
        ],
        (Message("assistant", "yesa", (ToolCall("c1", "f", "{}"),), images=(Image(PNG, 4),)),),
    ),
    (
        "a refusal is what was said, a summary what was thought, what is encrypted is left out",
        [
            {"type": "reasoning", "id": "r", "summary": [], "encrypted_content": "x"},
            {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "s"}]},
            message({"type": "refusal", "refusal": "no"}, role="assistant"),
        ],
        (Message("assistant", "no", reasoning="s"),),
    ),
    (
        "images are at their places",
        [message(text("see"), {"type": "input_image", "image_url": PNG}, text("it"))],
        (Message("user", "seeit", images=(Image(PNG, 3),)),),
    ),
    (
        "images of a function are shown by the user",
        [
            CALL,
            OUTPUT | {"output": [text("x"), {"type": "input_image", "image_url": PNG}]},
            OUTPUT | {"call_id": "c2"},
            message(text("see")),
        ],
        (
            Message("assistant", "", (ToolCall("c1", "f", "{}"),)),
            Message("tool", "x", call_id="c1"),
            Message("tool", "18", call_id="c2"),
            Message("user", "see", images=(Image(PNG, 0),)),
        ),
    ),
    (
        "or in a turn of their own",
        [OUTPUT | {"output": [{"type": "input_image", "image_url": PNG}]}, SAID],
        (
            Message("tool", "", call_id="c1"),
            Message("user", "", images=(Image(PNG, 0),)),
            Message("assistant", "yes"),
        ),
    ),
]


@pytest.mark.parametrize(("what", "items", "turns"), CONVERSATIONS)
def test_items_are_turns(what: str, items: list[Any], turns: tuple[Message, ...]) -> None:
    """In their order, each as other APIs have it."""
    read = request(input=items)
    assert read.chat.messages == turns, what
    assert [json.loads(item) for item in read.input] == items


def test_the_history_comes_first() -> None:
    """Behind the instructions of this request; a target of this API is given a body that holds all
    of it.
    """
    history = (json.dumps(message(text("hi"))).encode(), json.dumps(SAID).encode())
    read = request(history, previous_response_id="resp_1", instructions="now")
    assert [m.content for m in read.chat.messages] == ["now", "hi", "yes", "hello"]
    told = json.loads(read.body)
    assert told["input"] == [message(text("hi")), SAID, message(text("hello"))]
    assert "previous_response_id" not in told
    assert (read.previous, len(read.input)) == ("resp_1", 1)
    alone = json.dumps({"model": "m", "previous_response_id": "resp_1"}).encode()
    assert asked(parse(alone), alone, history).chat.messages[-1].content == "yes"


CHATS: list[tuple[dict[str, Any], Chat]] = [
    (
        {"temperature": 0.5, "top_p": 0.9, "max_output_tokens": 20, "presence_penalty": 1},
        Chat((HELLO,), Sampling(0.5, 0.9, presence_penalty=1), max_tokens=20),
    ),
    ({"text": {"format": {"type": "text"}}}, Chat((HELLO,))),
    (
        {"text": {"format": {"type": "json_object"}}},
        Chat((HELLO,), shape=Shape(ShapeKind.JSON_OBJECT)),
    ),
    (
        {"text": {"format": {"type": "json_schema", "name": "n", "schema": {}, "strict": True}}},
        Chat((HELLO,), shape=Shape(ShapeKind.JSON_SCHEMA, "{}", strict=True)),
    ),
    (
        {"text": {"format": {"type": "json_schema", "name": "n", "schema": {}}}},
        Chat((HELLO,), shape=Shape(ShapeKind.JSON_SCHEMA, "{}", strict=False)),
    ),
    (
        {"reasoning": {"effort": "minimal", "summary": "auto"}, "text": {"verbosity": "low"}},
        Chat(
            (HELLO,),
            template='{"reasoning_effort":"minimal","enable_thinking":false,"verbosity":"low"}',
        ),
    ),
    ({"truncation": "auto"}, Chat((HELLO,), trims=True)),
    ({"truncation": "disabled"}, Chat((HELLO,))),
    ({"include": ["message.output_text.logprobs"]}, Chat((HELLO,), logprobs=0)),
    ({"top_logprobs": 3}, Chat((HELLO,), logprobs=3)),
    ({"top_logprobs": 0}, Chat((HELLO,))),
    ({"tools": [FUNCTION]}, Chat((HELLO,), tools=Tools((TOOL,)))),
    (
        {"tools": [FUNCTION], "tool_choice": "required", "parallel_tool_calls": False},
        Chat((HELLO,), tools=Tools((TOOL,), ToolChoice.REQUIRED, parallel=False)),
    ),
    (
        {"tools": [FUNCTION], "tool_choice": {"type": "function", "name": "f"}},
        Chat((HELLO,), tools=Tools((TOOL,), ToolChoice.REQUIRED, "f")),
    ),
    (
        {
            "tools": [FUNCTION, FUNCTION | {"name": "g"}],
            "tool_choice": {
                "type": "allowed_tools",
                "mode": "required",
                "tools": [{"type": "function", "name": "f"}],
            },
        },
        Chat((HELLO,), tools=Tools((TOOL,), ToolChoice.REQUIRED)),
    ),
    (
        {"tools": [{"type": "function", "name": "f", "description": "d", "strict": True}]},
        Chat((HELLO,), tools=Tools((Tool("f", "d", strict=True),))),
    ),
]


@pytest.mark.parametrize(("fields", "chat"), CHATS)
def test_what_is_asked_for(fields: dict[str, Any], chat: Chat) -> None:
    """Each parameter, as other targets have it."""
    assert request(**fields).chat == chat


def test_what_asks_for_nothing_of_a_target() -> None:
    """Is read all the same: the session, what is kept, what is streamed."""
    read = request(
        metadata={"a": "b"},
        user="u",
        safety_identifier="s",
        service_tier="flex",
        max_tool_calls=3,
        include=["reasoning.encrypted_content"],
        background=False,
        prompt=None,
        stream=True,
        stream_options={"include_obfuscation": True},
        store=False,
        prompt_cache_options={"mode": "implicit"},
        image={"context_compression": "auto"},
    )
    assert read.chat == Chat((HELLO,))
    assert read.needs == frozenset()
    assert (read.session, read.store, read.stream, read.padded) == ("u", False, True, True)
    assert request(prompt_cache_key="k", user="u").session == "k"
    assert request(safety_identifier="s").session == "s"
    assert request().store


NEEDS: list[tuple[dict[str, Any], set[Capability]]] = [
    ({"tools": [FUNCTION]}, {Capability.TOOLS}),
    ({"tools": [FUNCTION], "tool_choice": "none"}, set()),
    ({"tools": [{"type": "web_search"}]}, {Capability.TOOLS, Capability.OTHER_TOOLS}),
    ({"tool_choice": {"type": "web_search_preview"}}, {Capability.OTHER_TOOLS}),
    ({"text": {"format": {"type": "json_object"}}}, {Capability.JSON_OBJECT}),
    (
        {"text": {"format": {"type": "json_schema", "name": "n", "schema": {}}}},
        {Capability.JSON_SCHEMA},
    ),
    ({"include": ["message.output_text.logprobs"]}, {Capability.LOGPROBS}),
    ({"input": [CALL]}, {Capability.TOOLS}),
    (
        {"input": [OUTPUT | {"output": [{"type": "input_file", "file_id": "f"}]}]},
        {Capability.TOOLS, Capability.FILES},
    ),
    ({"input": [message({"type": "input_image", "image_url": PNG})]}, {Capability.IMAGES}),
    (
        {"input": [message({"type": "input_image", "image_url": "https://a.example/a"})]},
        {Capability.IMAGES, Capability.IMAGE_URLS},
    ),
    (
        {"input": [message({"type": "input_image", "image_url": "data:image/webp;base64,A"})]},
        {Capability.IMAGES, Capability.OTHER_IMAGES},
    ),
    (
        {"input": [message({"type": "input_image", "file_id": "file_1"})]},
        {Capability.IMAGES, Capability.FILES},
    ),
    ({"input": [message({"type": "input_file", "file_data": "x"})]}, {Capability.FILES}),
    ({"input": [message({"type": "input_audio"})]}, {Capability.AUDIO}),
    ({"input": [message({"type": "hologram"})]}, {Capability.OTHER_CONTENT}),
    ({"input": [{"type": "compaction", "encrypted_content": "x"}]}, {Capability.OTHER_CONTENT}),
    *(
        ({"input": [{"type": kind, "id": "x", "call_id": "c"}]}, {Capability.OTHER_TOOLS})
        for kind in (
            *("web_search_call", "file_search_call", "computer_call", "computer_call_output"),
            *("code_interpreter_call", "image_generation_call", "local_shell_call"),
            *("local_shell_call_output", "shell_call", "shell_call_output", "apply_patch_call"),
            *("mcp_call", "mcp_list_tools", "mcp_approval_request", "mcp_approval_response"),
            *("custom_tool_call", "custom_tool_call_output", "tool_search_call", "program"),
        )
    ),
]


@pytest.mark.parametrize(("fields", "needs"), NEEDS)
def test_what_a_request_needs_of_a_target(fields: dict[str, Any], needs: set[Capability]) -> None:
    """What no function and no text is, only some targets can be given."""
    assert request(**fields).needs == needs


REQUIRED = "missing_required_parameter"
REFUSED = "unsupported_parameter"
BAD: list[tuple[bytes, str | None, str]] = [
    (b"{", None, "invalid_json"),
    (b"[]", None, "invalid_type"),
    (b'{"input": "x"}', "model", REQUIRED),
    (b'{"model": "m"}', "input", REQUIRED),
    (body(input=[]), "input", "empty_array"),
    (body(model=""), "model", "invalid_value"),
    (body(input=3), "input", "invalid_type"),
    (body(input=[{"role": "king", "content": "x"}]), "input[0].role", "invalid_value"),
    (body(input=[{"content": "x"}]), "input[0].role", REQUIRED),
    (body(input=[{"role": "user"}]), "input[0].content", REQUIRED),
    (body(input=[{"role": "user", "content": 3}]), "input[0].content", "invalid_type"),
    (
        body(input=[message(text("a"), {"type": "input_text"})]),
        "input[0].content[1].text",
        REQUIRED,
    ),
    (body(input=[message({"type": "input_image"})]), "input[0].content[0].image_url", REQUIRED),
    (body(input=[{"type": "item_reference", "id": "msg_1"}]), "input[0]", "unsupported_value"),
    (body(input=[SAID, {"id": "msg_1"}]), "input[1]", "unsupported_value"),
    (body(input=[{"type": "function_call", "name": "f"}]), "input[0].call_id", REQUIRED),
    (body(input=[{"type": "function_call", "call_id": "c"}]), "input[0].name", REQUIRED),
    (
        body(input=[{"type": "function_call", "call_id": "c", "name": "f"}]),
        "input[0].arguments",
        REQUIRED,
    ),
    (
        body(input=[{"type": "function_call_output", "output": "x"}]),
        "input[0].call_id",
        REQUIRED,
    ),
    (
        body(input=[{"type": "function_call_output", "call_id": "c"}]),
        "input[0].output",
        REQUIRED,
    ),
    (body(temperature=3), "temperature", "invalid_value"),
    (body(top_p=-1), "top_p", "invalid_value"),
    (body(max_output_tokens=0), "max_output_tokens", "invalid_value"),
    (body(max_tool_calls=0), "max_tool_calls", "invalid_value"),
    (body(top_logprobs=21), "top_logprobs", "invalid_value"),
    (body(truncation="some"), "truncation", "invalid_type"),
    (body(reasoning={"effort": "huge"}), "reasoning.effort", "invalid_type"),
    (body(text={"verbosity": "mute"}), "text.verbosity", "invalid_type"),
    (body(text={"format": {"type": "xml"}}), "text.format.type", "invalid_type"),
    (body(text={"format": {"type": "json_schema", "schema": {}}}), "text.format.name", REQUIRED),
    (body(text={"format": {"type": "json_schema", "name": "n"}}), "text.format.schema", REQUIRED),
    (body(include=["everything"]), "include[0]", "invalid_value"),
    (body(metadata={str(n): "" for n in range(17)}), "metadata", "invalid_value"),
    (body(metadata={"k" * 65: ""}), "metadata", "invalid_value"),
    (body(metadata={"k": "v" * 513}), "metadata", "invalid_value"),
    (body(tools=[{"name": "f"}]), "tools[0].type", REQUIRED),
    (body(tools=[FUNCTION, {"type": "function"}]), "tools[1].name", REQUIRED),
    (body(tools=[FUNCTION], tool_choice="any"), "tool_choice", "invalid_type"),
    (body(tools=[FUNCTION], tool_choice={"type": "function"}), "tool_choice.name", REQUIRED),
    (
        body(tools=[FUNCTION], tool_choice={"type": "function", "name": "g"}),
        "tool_choice",
        "invalid_value",
    ),
    (
        body(
            tools=[FUNCTION],
            tool_choice={"type": "allowed_tools", "tools": [{"type": "function", "name": "g"}]},
        ),
        "tool_choice",
        "invalid_value",
    ),
    (body(stream_options={"include_obfuscation": True}), "stream_options", "invalid_value"),
    (body(background=True), "background", REFUSED),
    (body(background_options={"completion_window": "2h"}), "background_options", REFUSED),
    (body(conversation="conv_1"), "conversation", REFUSED),
    (body(conversation={"id": "conv_1"}), "conversation", REFUSED),
    (body(prompt={"id": "pmpt_1"}), "prompt", REFUSED),
    (body(context_management=[{"type": "compaction"}]), "context_management", REFUSED),
    (body(moderation={"model": "m"}), "moderation", REFUSED),
    (body(access_programs={"cyber": "standard"}), "access_programs", REFUSED),
    (body(image={"context_compression": "enabled"}), "image.context_compression", REFUSED),
    (body(prompt_cache_options={"prewarm": True}), "prompt_cache_options.prewarm", REFUSED),
]


@pytest.mark.parametrize(("raw", "param", "code"), BAD)
def test_a_mistake_is_named(raw: bytes, param: str | None, code: str) -> None:
    """By the parameter's place in the body; so is what is not to be had here."""
    with pytest.raises(InvalidRequest) as caught:
        asked(parse(raw), raw)
    assert (caught.value.param, caught.value.code) == (param, code)


@given(bodies())
def test_there_and_back_without_loss(given: dict[str, Any]) -> None:
    """From this API to the body of a chat completion, and read again: the same is asked for."""
    raw = json.dumps(given).encode()
    read = asked(parse(raw), raw)
    if not read.chat.messages:
        return
    members = {"model": "m", **chat_members(read.chat, Listener(own=True))}
    again = openai_chat.parse(msgspec.json.encode(members))
    # What a context does not hold is for its model's own engine to leave out.
    assert again.chat == replace(read.chat, trims=False)
    assert again.needs == read.needs
