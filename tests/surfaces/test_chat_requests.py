"""A chat completion as it is asked for, there and back: read, written for a target that is told
what it says, and read again, it asks for the same.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from gateway.upstream.translate.parameters import read
from gateway.wire.openai_chat import parse
from gateway.wire.openai_request import Listener, chat_members

_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_SOME = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
_NAMES = st.from_regex(r"\A[a-zA-Z0-9_-]{1,12}\Z")
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | _TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_TEXTS, inner, max_size=2),
    max_leaves=4,
)
_OBJECTS = st.dictionaries(_TEXTS, _VALUES, max_size=3)
_SCHEMAS = st.fixed_dictionaries(
    {"type": st.just("object"), "properties": st.dictionaries(_NAMES, _OBJECTS, max_size=2)}
)
_TEXT_PARTS = st.builds(lambda text: {"type": "text", "text": text}, _SOME)
_IMAGES = st.builds(
    lambda url: {"type": "image_url", "image_url": {"url": url}},
    st.sampled_from(
        ["data:image/png;base64,AAAA", "data:image/webp;base64,AAAA", "https://a.example/b.png"]
    ),
)
_CALLS = st.builds(
    lambda call, name, given: {
        "id": call,
        "type": "function",
        "function": {"name": name, "arguments": json.dumps(given)},
    },
    _NAMES,
    _NAMES,
    _OBJECTS,
)


def _turn(role: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **more}


_MESSAGES = st.one_of(
    st.builds(_turn, st.sampled_from(["system", "developer"]), _TEXTS),
    st.builds(_turn, st.just("user"), _TEXTS | st.lists(_TEXT_PARTS | _IMAGES, max_size=4)),
    st.builds(_turn, st.just("user"), _TEXTS, name=_NAMES),
    st.builds(_turn, st.just("assistant"), _TEXTS, reasoning_content=_SOME),
    st.builds(
        _turn,
        st.just("assistant"),
        st.none() | _SOME,
        tool_calls=st.lists(_CALLS, min_size=1, max_size=3),
    ),
    st.builds(
        _turn, st.just("tool"), _TEXTS | st.lists(_TEXT_PARTS, max_size=2), tool_call_id=_NAMES
    ),
)


def _function(name: str, schema: Any, strict: bool) -> dict[str, Any]:
    return {
        "type": "function",
        "function": {"name": name, "description": "d", "parameters": schema, "strict": strict},
    }


@st.composite
def _tools(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(st.lists(_NAMES, max_size=3, unique=True))
    if not names:
        return {}
    named = {"type": "function", "function": {"name": names[0]}}
    allowed = {"mode": draw(st.sampled_from(["auto", "required"])), "tools": [named]}
    choices = [
        "none",
        "auto",
        "required",
        named,
        {"type": "allowed_tools", "allowed_tools": allowed},
    ]
    return {
        "tools": [_function(name, draw(_SCHEMAS), draw(st.booleans())) for name in names],
        "tool_choice": draw(st.sampled_from(choices)),
        "parallel_tool_calls": draw(st.booleans()),
    }


_FORMATS = st.one_of(
    st.just({"type": "text"}),
    st.just({"type": "json_object"}),
    st.builds(
        lambda schema, strict: {
            "type": "json_schema",
            "json_schema": {"name": "a", "schema": schema, "strict": strict},
        },
        _SCHEMAS,
        st.booleans(),
    ),
)
_EFFORTS = st.sampled_from(["none", "minimal", "low", "medium", "high", "xhigh", "max"])


@st.composite
def bodies(draw: st.DrawFn) -> dict[str, Any]:
    asked: dict[str, Any] = draw(
        st.fixed_dictionaries(
            {"model": st.just("m"), "messages": st.lists(_MESSAGES, min_size=1, max_size=5)},
            optional={
                "max_completion_tokens": st.integers(1, 10_000),
                "temperature": st.floats(0, 2),
                "top_p": st.floats(0, 1),
                "presence_penalty": st.floats(-2, 2),
                "frequency_penalty": st.floats(-2, 2),
                "seed": st.integers(0, 1 << 31),
                "stop": _SOME | st.lists(_SOME, max_size=4),
                "n": st.integers(1, 3),
                "logit_bias": st.dictionaries(
                    st.integers(0, 9).map(str), st.integers(-100, 100), max_size=2
                ),
                "logprobs": st.booleans(),
                "response_format": _FORMATS,
                "reasoning_effort": _EFFORTS,
            },
        )
    )
    return asked | draw(_tools())


@given(bodies())
def test_there_and_back(asked: dict[str, Any]) -> None:
    """For servers of our own, which can be told all of it."""
    request = parse(json.dumps(asked).encode())
    members = {"model": "m", **chat_members(request.chat, Listener(own=True))}
    again = parse(msgspec.json.encode(members))
    assert again.chat == request.chat
    assert again.needs == request.needs


@given(bodies())
def test_what_a_translator_is_given(asked: dict[str, Any]) -> None:
    """Each parameter as the app has it: none is lost, and none is made up."""
    wanted = read(json.dumps({**asked, "user": "u", "prediction": {}}).encode())
    given = {name: value for name, value in asked.items() if name != "model"}
    choice = given.get("tool_choice")
    if isinstance(choice, dict) and choice["type"] == "allowed_tools":
        # Said in other words: those that may not be called are not told.
        given |= {"tools": given["tools"][:1], "tool_choice": choice["allowed_tools"]["mode"]}
    assert wanted.parameters.items() <= given.items()
    for name in given.keys() - wanted.parameters.keys():
        # Left out where it says what is so anyway.
        assert given[name] in (1, 0, {}, [], False, True, {"type": "text"})
