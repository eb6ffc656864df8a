"""An app on the official ``anthropic`` package."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

import anthropic
import pytest
from anthropic import Anthropic, AsyncAnthropic, beta_tool
from anthropic.types import MessageParam
from pydantic import BaseModel

from tests.clients.apps.setting import (
    CITY,
    CLAUDE,
    KEY,
    LOCAL,
    ONLY_BANNED,
    QUESTION,
    UNKNOWN,
    UNNOTICED,
    URL,
    VENDOR,
)

# docs: client
client = Anthropic(base_url=URL, api_key=KEY)
# docs: end
ASKED: list[MessageParam] = [{"role": "user", "content": QUESTION}]
WEATHER: Any = {"name": "get_weather", "input_schema": CITY}
EVERYWHERE = pytest.mark.parametrize("model", [LOCAL, CLAUDE, VENDOR])


class Place(BaseModel):
    kind: Literal["city", "country"]
    size: Literal["small", "large"]


@beta_tool
def get_weather(city: str) -> str:
    """The weather of a city, now."""
    return f"18 degrees in {city}"


@EVERYWHERE
def test_plain(model: str) -> None:
    message = client.messages.create(model=model, max_tokens=16, system="Be brief.", messages=ASKED)
    (block,) = message.content
    assert block.type == "text"
    assert block.text
    assert message.stop_reason in ("end_turn", "max_tokens")
    assert message.usage.output_tokens > 0
    assert message.model == model


@EVERYWHERE
def test_the_streaming_helper(model: str) -> None:
    with client.messages.stream(model=model, max_tokens=16, messages=ASKED) as stream:
        kinds = [event.type for event in stream]
        message = stream.get_final_message()
    assert (kinds[0], kinds[-1]) == ("message_start", "message_stop")
    assert "text" in kinds
    assert message.content[0].type == "text"
    assert message.usage.output_tokens > 0


def test_the_asynchronous_client() -> None:
    cold: Any = {"temperature": 0}

    async def both() -> tuple[Any, str]:
        async with AsyncAnthropic(base_url=URL, auth_token=KEY) as client:
            plain = await client.messages.create(
                model=LOCAL, max_tokens=8, messages=ASKED, extra_body=cold
            )
            async with client.messages.stream(
                model=LOCAL, max_tokens=8, messages=ASKED, extra_body=cold
            ) as stream:
                return plain.content[0], "".join([text async for text in stream.text_stream])

    plain, streamed = asyncio.run(both())
    assert plain.text == streamed != ""


@EVERYWHERE
def test_a_tool(model: str) -> None:
    """It is called, and its result is taken."""
    with client.messages.stream(
        model=model,
        max_tokens=60,
        messages=ASKED,
        tools=[WEATHER],
        tool_choice={"type": "tool", "name": "get_weather"},
        extra_body={"temperature": 0},
    ) as stream:
        message = stream.get_final_message()
    assert message.stop_reason == "tool_use"
    (call,) = message.content
    assert call.type == "tool_use"
    assert set(call.input) == {"city"}
    result: Any = {"type": "tool_result", "tool_use_id": call.id, "content": "18 degrees"}
    after = client.messages.create(
        model=model,
        max_tokens=16,
        messages=[
            *ASKED,
            {"role": "assistant", "content": message.content},
            {"role": "user", "content": [result]},
        ],
        tools=[WEATHER],
        tool_choice={"type": "none"},
    )
    assert [block.type for block in after.content] == ["text"]


@pytest.mark.parametrize("model", [CLAUDE, VENDOR])
@pytest.mark.parametrize("streamed", [False, True])
def test_the_tool_runner(model: str, streamed: bool) -> None:
    """It calls the function, and asks again with what that returned."""
    asked: dict[str, Any] = {
        "model": model,
        "max_tokens": 60,
        "messages": ASKED,
        "tools": [get_weather],
    }
    runner: Any = client.beta.messages.tool_runner(**asked, stream=streamed)
    reasons = [(turn.get_final_message() if streamed else turn).stop_reason for turn in runner]
    assert reasons == ["tool_use", "end_turn"]


@EVERYWHERE
def test_a_schema_by_a_class(model: str) -> None:
    parsed = client.messages.parse(model=model, max_tokens=100, messages=ASKED, output_format=Place)
    assert isinstance(parsed.parsed_output, Place)
    with client.messages.stream(
        model=model, max_tokens=100, messages=ASKED, output_format=Place
    ) as stream:
        assert isinstance(stream.get_final_message().parsed_output, Place)


def test_a_stop_sequence() -> None:
    message = client.messages.create(
        model=LOCAL,
        max_tokens=40,
        messages=ASKED,
        stop_sequences=["a"],
        extra_body={"temperature": 0},
    )
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "a")


def test_tokens_are_counted() -> None:
    for model in (LOCAL, CLAUDE):
        assert client.messages.count_tokens(model=model, messages=ASKED).input_tokens > 5


@pytest.mark.parametrize("model", UNNOTICED)
@pytest.mark.parametrize("streamed", [False, True])
def test_failover_goes_unnoticed(model: str, streamed: bool) -> None:
    asked: dict[str, Any] = {"model": model, "max_tokens": 16, "messages": ASKED}
    if streamed:
        with client.messages.stream(**asked) as stream:
            message: Any = stream.get_final_message()
    else:
        message = client.messages.create(**asked)
    assert [block.type for block in message.content] == ["text"]
    assert message.stop_reason in ("end_turn", "max_tokens")


def test_errors() -> None:
    """Each as the package's own exception."""
    with pytest.raises(anthropic.NotFoundError, match=UNKNOWN) as unknown:
        client.messages.create(model=UNKNOWN, max_tokens=8, messages=ASKED)
    assert unknown.value.type == "not_found_error"
    with pytest.raises(anthropic.APIStatusError, match="directive 12") as banned:
        client.messages.create(model=ONLY_BANNED, max_tokens=8, messages=ASKED)
    assert (banned.value.status_code, banned.value.type) == (451, "permission_error")
    with pytest.raises(anthropic.BadRequestError, match="max_tokens") as bad:
        client.messages.create(model=LOCAL, max_tokens=-1, messages=ASKED)
    assert bad.value.type == "invalid_request_error"


def test_models() -> None:
    assert {LOCAL, VENDOR, CLAUDE} <= {model.id for model in client.models.list()}
    assert client.models.retrieve(LOCAL).id == LOCAL
