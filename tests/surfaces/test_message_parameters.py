"""No parameter of messages is without its place, and none is dropped on its way."""

from __future__ import annotations

import json
from typing import Any

import pytest
from anthropic.types import (
    MessageParam,
    ThinkingConfigParam,
    ToolChoiceParam,
    ToolUnionParam,
    message_create_params,
)
from anthropic.types.beta import (
    BetaContentBlockParam,
    BetaThinkingConfigParam,
    BetaToolUnionParam,
    message_count_tokens_params,
)
from anthropic.types.beta import message_create_params as beta_params

from gateway.domain.call import Api, Call
from gateway.domain.identity import Identity, Locality
from gateway.domain.target import Capability, Target
from gateway.local.abilities import CAPABILITIES
from gateway.wire.anthropic_messages import parse
from gateway.wire.anthropic_relay import AnthropicSpeech
from gateway.wire.sent import joined
from tests.surfaces.message_parameters import FORMER, HEADERS, PLAIN, ROWS
from tests.surfaces.rows import Effect, Row, literals, members

KINDS: dict[str, set[str]] = {
    "messages": (literals(MessageParam, "role") - {"user", "assistant"})
    | literals(BetaContentBlockParam),
    "tool_choice": literals(ToolChoiceParam),
    "thinking": literals(ThinkingConfigParam) | literals(BetaThinkingConfigParam),
}


def body(row: Row) -> bytes:
    return json.dumps({**PLAIN, **row.sends}).encode()


def test_every_parameter_of_the_sdk_is_placed() -> None:
    """Those in beta as well: a newer SDK that has one more fails here."""
    known = members(message_create_params.MessageCreateParamsStreaming)
    known |= members(beta_params.MessageCreateParamsStreaming)
    known |= members(message_count_tokens_params.MessageCountTokensParams)
    assert {row.name for row in ROWS} | HEADERS == known | FORMER


@pytest.mark.parametrize("name", sorted(KINDS))
def test_every_kind_of_value_is_placed(name: str) -> None:
    """Blocks, choices of tools, and ways to think."""
    assert len(KINDS[name]) > 3
    assert KINDS[name] <= {row.kind for row in ROWS if row.name == name}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.title)
def test_what_the_local_model_cannot_do_is_a_need(row: Row) -> None:
    """So that the plan leaves it out, and the error names it."""
    lacking = parse(body(row)).needs - CAPABILITIES
    assert lacking == ({row.lacks} if row.effect is Effect.REFUSED else set())


KNOWN_TOOLS = sorted(literals(ToolUnionParam) | literals(BetaToolUnionParam))


@pytest.mark.parametrize("kind", KNOWN_TOOLS)
def test_tools_of_the_vendors_own(kind: str) -> None:
    """Whatever it defines or runs: only functions of the app's own go anywhere."""
    tool = {"type": kind, "name": "x", "input_schema": {"type": "object"}}
    needs = parse(json.dumps({**PLAIN, "tools": [tool]}).encode()).needs
    assert (Capability.OTHER_TOOLS in needs) is (kind != "custom")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.title)
def test_a_vendor_gets_it_as_it_was_written(row: Row) -> None:
    """Of the same dialect: all but the model's name."""
    request = parse(body(row))
    target = Target("lab", "real", Identity("lab", "anthropic", "m", (), Locality.CLOUD, ()))
    call = Call("r", Api.MESSAGES, "mine", request.stream, body(row), request.chat, 0, 60)
    sent: dict[str, Any] = json.loads(joined(AnthropicSpeech().request(call, target)))
    assert sent == {**PLAIN, **row.sends, "model": "real"}


@pytest.mark.parametrize("geo", [None, "global"])
def test_a_place_that_is_anywhere(geo: str | None) -> None:
    """It is no wish."""
    assert not parse(json.dumps({**PLAIN, "inference_geo": geo}).encode()).needs


@pytest.mark.parametrize(("display", "discreet"), [("omitted", True), ("summarized", False)])
def test_whether_thoughts_are_told(display: str, discreet: bool) -> None:
    """As the app wants it."""
    thinking = {"type": "adaptive", "display": display}
    asked = json.dumps({**PLAIN, "thinking": thinking}).encode()
    assert parse(asked).discreet is discreet
