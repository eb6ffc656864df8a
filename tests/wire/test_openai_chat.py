"""Chat completions: what is read of a body, and what each mistake in one is told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.domain.call import Sampling, Shape, ShapeKind, Tool, ToolCall, ToolChoice, Tools
from gateway.domain.target import Capability
from gateway.errors import InvalidRequest
from gateway.wire.openai_chat import parse

HELLO = [{"role": "user", "content": "hello"}]


def body(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "messages": HELLO} | fields).encode()


BAD = [
    # body, param, code
    (b"{", None, "invalid_json"),
    (b"", None, "invalid_json"),
    (b"\xff", None, "invalid_json"),
    (b'{"web_search_options": ' + b"[" * 100_000, None, "invalid_json"),
    (b"[]", None, "invalid_type"),
    (b'{"messages": []}', "model", "missing_required_parameter"),
    (b'{"model": "m"}', "messages", "missing_required_parameter"),
    (body(messages=[]), "messages", "empty_array"),
    (body(model=""), "model", "invalid_value"),
    (
        body(response_format={"type": "json_schema"}),
        "response_format.json_schema.schema",
        "missing_required_parameter",
    ),
    (body(tools=[{}]), "tools[0].type", "missing_required_parameter"),
    (body(top_logprobs=2), "top_logprobs", "invalid_value"),
    (body(logit_bias={"x": 1}), "logit_bias", "invalid_value"),
    (body(structured_outputs={}), "structured_outputs", "invalid_value"),
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
    (
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}},
        Capability.JSON_SCHEMA,
    ),
    ({"logprobs": True}, Capability.LOGPROBS),
    ({"logit_bias": {"1": 2}}, Capability.LOGIT_BIAS),
    ({"n": 2}, Capability.SEVERAL_CHOICES),
    (
        {"messages": [{"role": "user", "content": [{"type": "file", "file": {}}]}]},
        Capability.FILES,
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
    assert parse(body(tools=[{"type": "function"}], tool_choice="none")).needs == frozenset()


def test_messages_are_read_in_all_their_shapes() -> None:
    """Parts are joined, developer is system, a refusal is what was said."""
    parsed = parse(
        body(
            messages=[
                {"role": "developer", "content": "be brief"},
                {
                    "role": "user",
                    "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
                },
                {"role": "assistant", "content": None, "refusal": "no"},
            ],
            max_completion_tokens=7,
            stop="x",
        )
    )
    read = [(message.role, message.content) for message in parsed.chat.messages]
    assert read == [("system", "be brief"), ("user", "ab"), ("assistant", "no")]
    assert (parsed.chat.max_tokens, parsed.chat.stop) == (7, ("x",))


@pytest.mark.parametrize("role", ["system", "developer", "user", "tool", "assistant"])
@pytest.mark.parametrize("content", [{}, {"content": None}])
def test_a_turn_without_content_is_a_mistake(role: str, content: dict[str, Any]) -> None:
    """But an assistant's that calls, refuses or has spoken."""
    with pytest.raises(InvalidRequest, match=r"parameter: 'messages\[1\].content'") as caught:
        parse(body(messages=[*HELLO, {"role": role, **content}]))
    assert (caught.value.status, caught.value.code) == (400, "missing_required_parameter")
    assert caught.value.param == "messages[1].content"


def test_functions_come_with_their_schemas_as_they_were_written() -> None:
    """Order and text of a schema stay; what is left out takes no arguments."""
    schema = '{"type": "object",  "properties": {"b": {}, "a": {}}}'
    tools = f'[{{"type":"function","function":{{"name":"f","parameters":{schema},"strict":true}}}},'
    tools += '{"type":"function","function":{"name":"g","description":"d"}}]'
    body = f'{{"model":"m","messages":[{{"role":"user","content":"x"}}],"tools":{tools}}}'
    read = parse(body.encode()).chat.tools
    assert read == Tools((Tool("f", schema=schema, strict=True), Tool("g", "d")))


@pytest.mark.parametrize(
    ("choice", "mode", "named"),
    [
        ("auto", ToolChoice.AUTO, None),
        ("none", ToolChoice.NONE, None),
        ("required", ToolChoice.REQUIRED, None),
        ({"type": "function", "function": {"name": "f"}}, ToolChoice.REQUIRED, "f"),
    ],
)
def test_the_choice_of_a_function(choice: object, mode: ToolChoice, named: str | None) -> None:
    """Each form that the API documents."""
    tools = [{"type": "function", "function": {"name": "f"}}]
    read = parse(body(tools=tools, tool_choice=choice, parallel_tool_calls=False)).chat.tools
    assert read == Tools((Tool("f"),), mode, named, parallel=False)


def test_a_choice_of_no_function_is_refused() -> None:
    """The name that is not there is named."""
    tools = [{"type": "function", "function": {"name": "f"}}]
    choice = {"type": "function", "function": {"name": "g"}}
    with pytest.raises(InvalidRequest, match="names 'g', which is none of 'tools'") as caught:
        parse(body(tools=tools, tool_choice=choice))
    assert caught.value.param == "tool_choice"


def test_older_functions_are_tools_that_are_answered_in_the_older_way() -> None:
    """One call at most, and the choice by a name alone."""
    read = parse(body(functions=[{"name": "f"}], function_call={"name": "f"}))
    assert read.functions
    assert read.chat.tools == Tools((Tool("f"),), ToolChoice.REQUIRED, "f", parallel=False)


def test_a_history_of_calls() -> None:
    """What was called, with which id, and what answered it."""
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    turns = [
        *HELLO,
        {"role": "assistant", "content": None, "tool_calls": [call], "reasoning_content": "why"},
        {"role": "tool", "tool_call_id": "c1", "content": "42"},
    ]
    _, called, answered = parse(body(messages=turns)).chat.messages
    assert called.calls == (ToolCall("c1", "f", "{}"),)
    assert called.reasoning == "why"
    assert (answered.role, answered.call_id, answered.content) == ("tool", "c1", "42")


@pytest.mark.parametrize(
    ("given", "shape"),
    [
        ({"response_format": {"type": "json_object"}}, Shape(ShapeKind.JSON_OBJECT)),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {"a": 1}}}},
            Shape(ShapeKind.JSON_SCHEMA, '{"a": 1}', strict=False),
        ),
        ({"structured_outputs": {"regex": "a+"}}, Shape(ShapeKind.REGEX, "a+")),
        ({"structured_outputs": {"choice": ["a", "b"]}}, Shape(ShapeKind.CHOICE, '["a","b"]')),
        ({"structured_outputs": {"json": {}}}, Shape(ShapeKind.JSON_SCHEMA, "{}")),
        ({"structured_outputs": {"grammar": "start: x"}}, Shape(ShapeKind.GRAMMAR, "start: x")),
        ({"response_format": {"type": "text"}}, None),
    ],
)
def test_what_an_answer_must_be(given: dict[str, object], shape: Shape | None) -> None:
    """Every way of asking for a shape."""
    assert parse(body(**given)).chat.shape == shape


def test_sampling() -> None:
    """All parameters arrive; what is not given is left to the model."""
    read = parse(
        body(
            temperature=0.5,
            top_p=0.9,
            top_k=3,
            min_p=0.1,
            repetition_penalty=1.1,
            seed=7,
            logit_bias={"5": -100},
            ignore_eos=True,
            logprobs=True,
            top_logprobs=2,
            n=3,
        )
    ).chat
    assert read.sampling == Sampling(
        temperature=0.5,
        top_p=0.9,
        top_k=3,
        min_p=0.1,
        repeat_penalty=1.1,
        seed=7,
        logit_bias=((5, -100.0),),
        ignore_end=True,
    )
    assert (read.logprobs, read.choices) == (2, 3)
    assert parse(body()).chat.sampling == Sampling()


def test_how_much_to_think_is_a_variable_of_the_template() -> None:
    """The app's own variables are stronger."""
    assert json.loads(parse(body(reasoning_effort="none")).chat.template) == {
        "reasoning_effort": "none",
        "enable_thinking": False,
    }
    own = parse(body(reasoning_effort="high", chat_template_kwargs={"reasoning_effort": "x"}))
    assert json.loads(own.chat.template) == {"reasoning_effort": "x"}


def test_a_partial_answer_is_gone_on_with_where_that_is_asked_for() -> None:
    """By itself a last turn of the assistant is a turn like others."""
    turns = [*HELLO, {"role": "assistant", "content": "The capital"}]
    chat = parse(body(messages=turns, continue_final_message=True)).chat
    assert (len(chat.messages), chat.prefill) == (1, "The capital")
    assert len(parse(body(messages=turns)).chat.messages) == 2
