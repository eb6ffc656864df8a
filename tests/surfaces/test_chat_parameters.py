"""No parameter of chat completions is without its place, and none is dropped on its way."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai.types.chat import (
    ChatCompletionContentPartParam,
    ChatCompletionMessageParam,
    ChatCompletionToolChoiceOptionParam,
    ChatCompletionToolUnionParam,
    chat_completion_assistant_message_param,
    completion_create_params,
)
from openai.types.shared.reasoning_effort import ReasoningEffort

from gateway.domain.call import Api, Call
from gateway.domain.identity import Identity, Locality
from gateway.domain.target import Target
from gateway.errors import InvalidRequest
from gateway.local.abilities import CAPABILITIES
from gateway.wire.openai_chat import parse
from gateway.wire.openai_relay import OpenAISpeech
from gateway.wire.sent import joined
from tests.surfaces.chat_parameters import PLAIN, ROWS, TOOLS
from tests.surfaces.rows import Effect, Row, literals, members

KINDS: dict[str, set[str]] = {
    "messages": literals(ChatCompletionMessageParam, "role")
    | literals(ChatCompletionContentPartParam)
    | literals(chat_completion_assistant_message_param.ContentArrayOfContentPart),
    "tools": literals(ChatCompletionToolUnionParam),
    "tool_choice": literals(ChatCompletionToolChoiceOptionParam),
    "response_format": literals(completion_create_params.ResponseFormat),
    "reasoning_effort": literals(ReasoningEffort),
}


def body(row: Row) -> bytes:
    return json.dumps({**PLAIN, **row.sends}).encode()


def test_every_parameter_of_the_sdk_is_placed() -> None:
    """A newer SDK that has one more fails here."""
    params = completion_create_params
    known = members(params.CompletionCreateParamsStreaming)
    assert {row.name for row in ROWS} == known | members(params.CompletionCreateParamsNonStreaming)


@pytest.mark.parametrize("name", sorted(KINDS))
def test_every_kind_of_value_is_placed(name: str) -> None:
    """Roles, parts of messages, tools, and so on."""
    assert len(KINDS[name]) > 1
    assert KINDS[name] <= {row.kind for row in ROWS if row.name == name}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.title)
def test_what_the_local_model_cannot_do_is_a_need(row: Row) -> None:
    """So that the plan leaves it out, and the error names it."""
    lacking = parse(body(row)).needs - CAPABILITIES
    assert lacking == ({row.lacks} if row.effect is Effect.REFUSED else set())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.title)
def test_a_vendor_gets_it_as_it_was_written(row: Row) -> None:
    """Of the same dialect: all but the model's name."""
    request = parse(body(row))
    target = Target("lab", "real", Identity("lab", "openai", "m", (), Locality.CLOUD, ()))
    call = Call("r", Api.CHAT, "mine", request.stream, body(row), request.chat, 0, 60)
    sent: dict[str, Any] = json.loads(joined(OpenAISpeech().request(call, target)))
    assert sent == {**PLAIN, **row.sends, "model": "real"}


def test_a_parameter_that_nobody_knows() -> None:
    """It is the vendor's to judge, and no other target has a meaning for it."""
    assert not parse(json.dumps({**PLAIN, "novel": [1]}).encode()).needs


WRONG = [
    {"tools": TOOLS, "tool_choice": "sometimes"},
    {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "none"}}},
    *(
        {"tools": TOOLS, "tool_choice": {"type": "allowed_tools", "allowed_tools": allowed}}
        for allowed in (
            {"mode": "auto", "tools": []},
            {"mode": "auto", "tools": [{"type": "function", "function": {"name": "none"}}]},
            {"mode": "sometimes", "tools": [{"type": "function", "function": {"name": "news"}}]},
        )
    ),
]


@pytest.mark.parametrize("fields", WRONG)
def test_a_choice_that_is_none(fields: dict[str, Any]) -> None:
    """It is told, since what was meant cannot be known."""
    with pytest.raises(InvalidRequest) as caught:
        parse(json.dumps({**PLAIN, **fields}).encode())
    assert caught.value.param == "tool_choice"
