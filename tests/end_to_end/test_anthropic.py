"""What an app on the official Anthropic SDK asks, answered by the local model: the vendor is not
reachable, and the SDK cannot tell.
"""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic, AsyncAnthropic
from anthropic.types import Message, MessageParam, ToolParam

from tests.end_to_end.running import RunningGateway, configuration

MODEL = "claude-own"
"""The SDK warns of that vendor's models when they are to be retired."""
ROUTES = f"  {MODEL}: {{targets: [anthropic/claude-sonnet-4-5, local/smollm2]}}"
QUESTION: list[MessageParam] = [
    {"role": "user", "content": "In which country is the city of Paris?"}
]
COLD = {"temperature": 0}
"""The SDK has no argument for it any more."""
WEATHER: ToolParam = {
    "name": "get_weather",
    "description": "The weather of a city, now.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 20}},
        "required": ["city"],
    },
}
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 12}, "age": {"enum": [7, 8]}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    folder = tmp_path_factory.mktemp("anthropic")
    with RunningGateway(folder, configuration(models=ROUTES), key=None) as running:
        yield running


@pytest.fixture(scope="module")
def client(gateway: RunningGateway) -> Anthropic:
    return Anthropic(base_url=gateway.url, api_key="unused", max_retries=0, timeout=60)


def test_a_message(client: Anthropic) -> None:
    """With all that the SDK's types demand; the model is what was asked for."""
    raw = client.messages.with_raw_response.create(
        model=MODEL,
        max_tokens=24,
        system=[
            {"type": "text", "text": "You are helpful."},
            {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}},
        ],
        messages=QUESTION,
        metadata={"user_id": "someone"},
        extra_body=COLD,
    )
    message = raw.parse()
    assert Message.model_validate_json(raw.read(), strict=True)
    (block,) = message.content
    assert block.type == "text"
    assert "France" in block.text
    assert (message.model, message.role) == (MODEL, "assistant")
    assert message.id.startswith("msg_")
    assert message.stop_reason in ("end_turn", "max_tokens")
    assert message.usage.input_tokens + (message.usage.cache_read_input_tokens or 0) > 20
    assert 0 < message.usage.output_tokens <= 24
    assert raw.headers["x-gateway-served-by"] == "local/smollm2"
    assert raw.headers["request-id"] == raw.headers["x-gateway-request-id"]


def test_a_stream(client: Anthropic) -> None:
    """The SDK's helper collects what a plain request has."""
    asked: dict[str, Any] = {
        "model": MODEL,
        "max_tokens": 24,
        "messages": QUESTION,
        "extra_body": COLD,
    }
    plain = client.messages.create(**asked)
    with client.messages.stream(**asked) as stream:
        kinds = [event.type for event in stream]
        message = stream.get_final_message()
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    (streamed,), (whole,) = message.content, plain.content
    assert streamed.type == "text"
    assert whole.type == "text"
    assert streamed.text == whole.text
    assert message.stop_reason == plain.stop_reason
    assert message.usage.output_tokens == plain.usage.output_tokens


async def test_the_asynchronous_client(gateway: RunningGateway) -> None:
    """Several at once, streamed and not."""
    async with AsyncAnthropic(base_url=gateway.url, auth_token="unused", max_retries=0) as client:

        async def streamed() -> str:
            async with client.messages.stream(
                model=MODEL, max_tokens=8, messages=QUESTION, extra_body=COLD
            ) as stream:
                return await stream.get_final_text()

        async def plain() -> str:
            message = await client.messages.create(
                model=MODEL, max_tokens=8, messages=QUESTION, extra_body=COLD
            )
            (block,) = message.content
            return block.text if block.type == "text" else ""

        texts = await asyncio.gather(streamed(), plain(), streamed(), plain())
    assert len(set(texts)) == 1
    assert texts[0]


def test_a_tool_that_must_be_called(client: Anthropic) -> None:
    """With an input that its schema takes; then its result is taken too."""
    message = client.messages.create(
        model=MODEL,
        max_tokens=60,
        messages=[{"role": "user", "content": "What is the weather in Paris?"}],
        tools=[WEATHER],
        tool_choice={"type": "tool", "name": "get_weather"},
        extra_body=COLD,
    )
    assert message.stop_reason == "tool_use"
    (call,) = message.content
    assert call.type == "tool_use"
    assert set(call.input) == {"city"}
    result: Any = {
        "type": "tool_result",
        "tool_use_id": call.id,
        "content": [{"type": "text", "text": "18 degrees, sunny"}],
    }
    after = client.messages.create(
        model=MODEL,
        max_tokens=16,
        messages=[
            {"role": "user", "content": "What is the weather in Paris?"},
            {"role": "assistant", "content": message.content},
            {"role": "user", "content": [result, {"type": "text", "text": "Say it."}]},
        ],
        tools=[WEATHER],
        tool_choice={"type": "none"},
    )
    assert [block.type for block in after.content] == ["text"]


def test_a_tool_streamed(client: Anthropic) -> None:
    """The input comes in parts, and is whole in the end."""
    with client.messages.stream(
        model=MODEL,
        max_tokens=60,
        messages=[{"role": "user", "content": "What is the weather in Paris?"}],
        tools=[WEATHER],
        tool_choice={"type": "any", "disable_parallel_tool_use": True},
        extra_body=COLD,
    ) as stream:
        parts = [event.partial_json for event in stream if event.type == "input_json"]
        message = stream.get_final_message()
    assert len(parts) > 2
    (call,) = message.content
    assert call.type == "tool_use"
    assert call.input == json.loads("".join(parts))
    assert message.stop_reason == "tool_use"


@pytest.mark.parametrize("stream", [True, False])
def test_a_stop_sequence(client: Anthropic, stream: bool) -> None:
    """It is named, and not in the text."""
    asked: dict[str, Any] = {
        "model": MODEL,
        "max_tokens": 40,
        "messages": [{"role": "user", "content": "Count: one, two, three, four, five."}],
        "stop_sequences": ["nine hundred", ","],
        "extra_body": COLD,
    }
    if stream:
        with client.messages.stream(**asked) as events:
            message = events.get_final_message()
    else:
        message = client.messages.create(**asked)
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", ",")
    (block,) = message.content
    assert block.type == "text"
    assert "," not in block.text


def test_a_begun_answer_is_gone_on_with(client: Anthropic) -> None:
    """The answer has only what comes behind it."""
    message = client.messages.create(
        model=MODEL,
        max_tokens=5,
        messages=[*QUESTION, {"role": "assistant", "content": "Paris is the capital city of"}],
        extra_body=COLD,
    )
    (block,) = message.content
    assert block.type == "text"
    assert block.text.strip().startswith("France")


def test_a_schema(client: Anthropic) -> None:
    """The text is JSON of that schema."""
    message = client.messages.create(
        model=MODEL,
        max_tokens=60,
        messages=[{"role": "user", "content": "Make up a child, as JSON."}],
        output_config={"format": {"type": "json_schema", "schema": PERSON}},
    )
    (block,) = message.content
    assert block.type == "text"
    assert json.loads(block.text)["age"] in (7, 8)


def test_tokens_are_counted_exactly(client: Anthropic) -> None:
    """The count is what the request itself is said to have had."""
    asked: dict[str, Any] = {
        "model": MODEL,
        "system": "Be brief.",
        "messages": QUESTION,
        "tools": [WEATHER],
    }
    counted = client.messages.count_tokens(**asked)
    usage = client.messages.create(max_tokens=1, **asked).usage
    cached = usage.cache_read_input_tokens or 0
    assert counted.input_tokens == usage.input_tokens + cached > 60


def test_models(client: Anthropic, gateway: RunningGateway) -> None:
    """In this dialect's shape for its SDKs, page by page; in the other's for all others."""
    names = [model.id for model in client.models.list(limit=2)]
    assert names == ["gpt-4o", "claude-sonnet-4-5", "only-cloud", MODEL]
    assert client.models.retrieve(MODEL).type == "model"
    before = client.models.list(limit=1, before_id=MODEL)
    assert ([model.id for model in before.data], before.has_more) == (["only-cloud"], True)
    with pytest.raises(anthropic.NotFoundError, match="not configured"):
        client.models.retrieve("none")
    assert gateway.get("/v1/models")[1]["object"] == "list"


@pytest.mark.parametrize(
    ("fields", "error", "kind", "said"),
    [
        ({"max_tokens": -1}, anthropic.BadRequestError, "invalid_request_error", "max_tokens: "),
        (
            {"messages": [{"role": "king", "content": "x"}]},
            anthropic.BadRequestError,
            "invalid_request_error",
            "messages.0.role: ",
        ),
        (
            {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
            anthropic.BadRequestError,
            "invalid_request_error",
            "tools that are no functions",
        ),
        (
            {"messages": [{"role": "user", "content": "word " * 5000}]},
            anthropic.BadRequestError,
            "invalid_request_error",
            "2048",
        ),
        (
            {"messages": [{"role": "user", "content": "x" * 21_000_000}]},
            anthropic.APIStatusError,
            "request_too_large",
            "server.max_body_mb",
        ),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
def test_a_bad_request(
    client: Anthropic,
    fields: dict[str, Any],
    error: type[anthropic.APIStatusError],
    kind: str,
    said: str,
    stream: bool,
) -> None:
    """The SDK raises what it would have raised for that vendor."""
    asked: dict[str, Any] = {"model": MODEL, "max_tokens": 8, "messages": QUESTION} | fields
    with pytest.raises(error, match=said) as caught:
        client.messages.create(**asked, stream=stream)
    assert caught.value.type == kind
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["request_id"] == caught.value.request_id


def test_a_model_that_is_not_configured(client: Anthropic) -> None:
    """404, in this dialect."""
    with pytest.raises(anthropic.NotFoundError, match="no-such") as caught:
        client.messages.create(model="no-such", max_tokens=8, messages=QUESTION)
    assert caught.value.type == "not_found_error"


def test_paths_and_methods(gateway: RunningGateway) -> None:
    """The envelope is this dialect's where the path is."""
    for path, status in (("/v1/messages", 405), ("/v1/messages/batches", 404)):
        got, answer = gateway.get(path)
        assert (got, answer["type"], answer["error"]["type"]) == (
            status,
            "error",
            "invalid_request_error" if status == 405 else "not_found_error",
        )
    request = urllib.request.Request(f"{gateway.url}/v1/no", headers={"anthropic-version": "x"})
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    assert json.load(caught.value)["error"]["type"] == "not_found_error"
