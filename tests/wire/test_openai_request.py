"""A chat as the body of an OpenAI chat completion: there and back without loss."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.call import (
    Api,
    Call,
    Chat,
    Counting,
    Message,
    Sampling,
    Shape,
    ShapeKind,
    Tool,
    Tools,
)
from gateway.domain.identity import Identity, Locality
from gateway.domain.target import Capability, Target
from gateway.errors import CapabilityMissing
from gateway.wire import anthropic_messages, openai_chat
from gateway.wire.openai_request import UNTOLD, Listener, chat_members, written

HELLO = (Message("user", "hello"),)
OPEN = '{"type":"object","properties":{"a":{"type":"string"}}}'
CLOSED = (
    '{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],'
    '"additionalProperties":false}'
)


def target(developer: str = "qwen", locality: Locality = Locality.SOVEREIGN) -> Target:
    identity = Identity("lab", developer, "m", (), locality, ())
    return Target("lab", "real", identity)


CLOUD = target("openai", Locality.CLOUD)


def call(chat: Chat | Counting, needs: frozenset[Capability] = frozenset()) -> Call:
    return Call("r", Api.MESSAGES, "asked", True, b"", chat, 0, 60, needs=needs)


def body(chat: Chat, to: Target) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(written(call(chat), to))
    return found


# Conversations as an app on the Anthropic SDK may have them.
names = st.from_regex(r"\A[a-zA-Z0-9_-]{1,20}\Z")
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
some = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)
objects = st.dictionaries(texts, values, max_size=3)
schemas = st.fixed_dictionaries(
    {"type": st.just("object"), "properties": st.dictionaries(names, objects, max_size=2)}
)
text_blocks = st.builds(lambda text: {"type": "text", "text": text}, texts)
media = st.sampled_from(["image/png", "image/jpeg", "image/gif", "image/webp"])
images = st.one_of(
    st.builds(
        lambda kind, data: {
            "type": "image",
            "source": {"type": "base64", "media_type": kind, "data": data},
        },
        media,
        st.sampled_from(["AAAA", "iVBORw0KGgo="]),
    ),
    st.just({"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}}),
)
results = st.builds(
    lambda call, content, error: {
        "type": "tool_result",
        "tool_use_id": call,
        "content": content,
        "is_error": error,
    },
    names,
    texts | st.lists(text_blocks | images, max_size=3),
    st.booleans(),
)
calls = st.builds(
    lambda call, name, given: {"type": "tool_use", "id": call, "name": name, "input": given},
    names,
    names,
    objects,
)
thoughts = st.builds(
    lambda text: {"type": "thinking", "thinking": text, "signature": "s"},
    some,
)
users = st.builds(
    lambda content: {"role": "user", "content": content},
    texts | st.lists(text_blocks | images | results, max_size=4),
)
assistants = st.builds(
    lambda content: {"role": "assistant", "content": content},
    texts | st.lists(text_blocks | calls | thoughts, max_size=4),
)
systems = texts | st.lists(text_blocks, max_size=2)


@st.composite
def tools(draw: st.DrawFn) -> dict[str, Any]:
    found: list[dict[str, Any]] = draw(
        st.lists(
            st.fixed_dictionaries(
                {"name": names, "input_schema": schemas},
                optional={"description": some, "strict": st.booleans()},
            ),
            max_size=3,
            unique_by=lambda tool: tool["name"],
        )
    )
    if not found:
        return {}
    kinds: list[dict[str, Any]] = [{"type": kind} for kind in ("auto", "any", "none")]
    named = {"type": "tool", "name": found[0]["name"]}
    choice = draw(st.sampled_from([*kinds, named]))
    if choice["type"] != "none" and draw(st.booleans()):
        choice = choice | {"disable_parallel_tool_use": True}
    return {"tools": found, "tool_choice": choice}


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    request = draw(
        st.fixed_dictionaries(
            {
                "model": st.just("m"),
                "max_tokens": st.integers(1, 10_000),
                "messages": st.lists(users | assistants, min_size=1, max_size=5),
            },
            optional={
                "system": systems,
                "temperature": st.floats(0, 1),
                "top_p": st.floats(0, 1),
                "top_k": st.integers(0, 500),
                "stop_sequences": st.lists(some.filter(str.strip), max_size=4),
                "thinking": st.sampled_from(
                    [{"type": "disabled"}, {"type": "enabled", "budget_tokens": 2000}]
                ),
            },
        )
    )
    config: dict[str, Any] = {}
    if draw(st.booleans()):
        config["format"] = {"type": "json_schema", "schema": draw(schemas)}
    if draw(st.booleans()):
        config["effort"] = draw(st.sampled_from(["low", "medium", "high", "xhigh", "max"]))
    return json.dumps(request | draw(tools()) | {"output_config": config}).encode()


@given(requests())
def test_there_and_back_without_loss(asked: bytes) -> None:
    """From the Anthropic dialect to the OpenAI one, and read again: the same is asked for."""
    request = anthropic_messages.parse(asked)
    if not request.chat.messages:
        return
    members = {"model": "m", **chat_members(request.chat, Listener(own=True))}
    again = openai_chat.parse(msgspec.json.encode(members))
    assert again.chat == request.chat
    assert again.needs == request.needs


def test_a_stream_tells_its_usage() -> None:
    """Which the app's dialect always has."""
    asked = body(Chat(HELLO, max_tokens=5), target())
    assert (asked["model"], asked["stream"]) == ("real", True)
    assert asked["stream_options"] == {"include_usage": True}
    assert asked["messages"] == [{"role": "user", "content": "hello"}]
    assert asked["max_tokens"] == 5


def test_vendors_are_told_only_what_is_published() -> None:
    """They refuse what they do not know; the newest models know the limit by another name."""
    chat = Chat(
        (Message("user", "a"), Message("assistant", "b", reasoning="c"), *HELLO),
        Sampling(temperature=0.5, top_k=5, min_p=0.1, repeat_penalty=1.1),
        max_tokens=5,
        template='{"enable_thinking":true}',
        prefill="The",
    )
    asked = body(chat, CLOUD)
    assert set(asked) == {
        *("model", "messages", "temperature", "max_completion_tokens", "stream", "stream_options"),
    }
    assert asked["messages"][1:] == [
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": "The"},
    ]
    own = body(chat, target())
    assert (own["top_k"], own["continue_final_message"]) == (5, True)
    assert own["chat_template_kwargs"] == {"enable_thinking": True}


def test_a_begun_answer_is_a_prefix_where_that_is_how_it_is_said() -> None:
    """Mistral's API and DeepSeek's."""
    identity = Identity("mistral", "mistral", "m", (), Locality.CLOUD, ())
    asked = body(Chat(HELLO, prefill="The"), Target("mistral", "m", identity))
    assert asked["messages"][-1] == {"role": "assistant", "content": "The", "prefix": True}


@pytest.mark.parametrize(("schema", "strict"), [(OPEN, False), (CLOSED, True)])
def test_a_schema_is_strict_where_the_vendor_takes_it(schema: str, strict: bool) -> None:
    """Others would be refused, though they can be answered nearly as well."""
    chat = Chat(
        HELLO,
        shape=Shape(ShapeKind.JSON_SCHEMA, schema),
        tools=Tools((Tool("f", schema=schema, strict=True),)),
    )
    asked = body(chat, CLOUD)
    assert asked["response_format"]["json_schema"]["strict"] is strict
    assert asked["tools"][0]["function"].get("strict", False) is strict
    assert body(chat, target())["response_format"]["json_schema"]["strict"] is True


@pytest.mark.parametrize("need", sorted(UNTOLD))
def test_what_cannot_be_carried_over_is_refused(need: Capability) -> None:
    """By its name, and never left out."""
    with pytest.raises(CapabilityMissing, match=need):
        written(call(Chat(HELLO), frozenset({need})), CLOUD)


def test_where_an_answer_is_computed() -> None:
    """The operator's own servers are nowhere else than where the operator has them."""
    assert written(call(Chat(HELLO), frozenset({Capability.PLACE})), target())


def test_what_a_vendor_cannot_be_asked() -> None:
    """Another target may do it."""
    many = Chat(HELLO, stop=("a", "b", "c", "d", "e"))
    with pytest.raises(CapabilityMissing, match="stop sequences"):
        written(call(many), CLOUD)
    assert body(many, target())["stop"] == ["a", "b", "c", "d", "e"]
    with pytest.raises(CapabilityMissing, match="regex"):
        written(call(Chat(HELLO, shape=Shape(ShapeKind.REGEX, "a"))), CLOUD)
    with pytest.raises(CapabilityMissing, match="asked for an answer"):
        written(call(Counting(Chat(HELLO))), target())


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [
        (Shape(ShapeKind.REGEX, "[a-z]"), {"regex": "[a-z]"}),
        (Shape(ShapeKind.GRAMMAR, "root ::= 1"), {"grammar": "root ::= 1"}),
        (Shape(ShapeKind.CHOICE, '["a","b"]'), {"choice": ["a", "b"]}),
    ],
)
def test_other_shapes(shape: Shape, wanted: dict[str, Any]) -> None:
    """Of which only servers of our own are told."""
    assert body(Chat(HELLO, shape=shape), target())["structured_outputs"] == wanted
