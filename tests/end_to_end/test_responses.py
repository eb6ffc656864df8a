"""What an app on the Responses API asks by the official SDK, answered by the local model: that API
is none of its own, and the SDK cannot tell.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any, Literal

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.responses import (
    FunctionToolParam,
    Response,
    ResponseCompletedEvent,
    ResponseFunctionToolCall,
    ResponseOutputMessage,
    ResponseOutputText,
)
from pydantic import BaseModel, ConfigDict, Field

from tests.end_to_end.running import RunningGateway, configuration

MODEL = "gpt-4o"
QUESTION = "In which country is the city of Paris?"
PLAIN: dict[str, Any] = {
    "model": MODEL,
    "input": QUESTION,
    "temperature": 0,
    "max_output_tokens": 64,
}
WEATHER: FunctionToolParam = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather of a city, now.",
    "strict": True,
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 20}},
        "required": ["city"],
        "additionalProperties": False,
    },
}


class Person(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str = Field(max_length=12)
    age: Literal[7, 8]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    folder = tmp_path_factory.mktemp("responses")
    with RunningGateway(folder, configuration(), key=None) as running:
        yield running


@pytest.fixture(scope="module")
def client(gateway: RunningGateway) -> Iterator[OpenAI]:
    with gateway.sdk as client:
        yield client


def test_a_response(client: OpenAI) -> None:
    """With all that the SDK's types demand; the model is what was asked for."""
    raw = client.responses.with_raw_response.create(
        **PLAIN,
        instructions="You are helpful. Be brief.",
        metadata={"of": "a test"},
        user="someone",
        service_tier="auto",
        truncation="auto",
        include=["reasoning.encrypted_content"],
    )
    response = raw.parse()
    assert Response.model_validate_json(raw.text, strict=True)
    (item,) = response.output
    assert isinstance(item, ResponseOutputMessage)
    assert "France" in response.output_text
    assert (response.model, response.status, item.status) == (MODEL, "completed", "completed")
    assert response.id.startswith("resp_")
    assert response.completed_at is not None
    assert response.completed_at >= response.created_at
    assert (response.metadata, response.user) == ({"of": "a test"}, "someone")
    assert response.instructions == "You are helpful. Be brief."
    assert response.usage is not None
    assert response.usage.input_tokens > 20
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens
    assert raw.headers["x-gateway-served-by"] == "local/smollm2"


def test_a_stream(client: OpenAI) -> None:
    """The SDK's helper collects what a plain request has."""
    plain = client.responses.create(**PLAIN)
    with client.responses.stream(**PLAIN) as stream:
        kinds = [event.type for event in stream]
        response = stream.get_final_response()
    assert kinds[:4] == [
        *("response.created", "response.in_progress", "response.output_item.added"),
        "response.content_part.added",
    ]
    assert kinds[-4:] == [
        *("response.output_text.done", "response.content_part.done"),
        *("response.output_item.done", "response.completed"),
    ]
    assert set(kinds[4:-4]) == {"response.output_text.delta"}
    assert response.output_text == plain.output_text
    assert response.usage is not None
    assert plain.usage is not None
    assert response.usage.output_tokens == plain.usage.output_tokens


async def test_the_asynchronous_client(gateway: RunningGateway) -> None:
    """Several at once, streamed and not."""
    url = f"{gateway.url}/v1"
    async with AsyncOpenAI(base_url=url, api_key="unused", max_retries=0) as client:

        async def streamed() -> str:
            text = ""
            async for event in await client.responses.create(**PLAIN, stream=True):
                text += event.delta if event.type == "response.output_text.delta" else ""
            return text

        async def plain() -> str:
            response: Response = await client.responses.create(**PLAIN)
            return response.output_text

        texts = await asyncio.gather(streamed(), plain(), streamed(), plain())
    assert len(set(texts)) == 1
    assert texts[0]


@pytest.mark.parametrize("stream", [True, False])
def test_a_shape(client: OpenAI, stream: bool) -> None:
    """``parse`` finds an object of the class that was asked for."""
    asked: dict[str, Any] = {
        "model": MODEL,
        "input": "Make up a person.",
        "temperature": 0,
        "text_format": Person,
    }
    if stream:
        with client.responses.stream(**asked) as streaming:
            parsed = streaming.get_final_response().output_parsed
    else:
        parsed = client.responses.parse(**asked).output_parsed
    assert isinstance(parsed, Person)


def test_a_json_object(client: OpenAI) -> None:
    """Of no schema; so small a model may not find its end."""
    response = client.responses.create(**PLAIN, text={"format": {"type": "json_object"}})
    assert response.output_text.startswith("{")
    if response.status == "completed":
        assert isinstance(json.loads(response.output_text), dict)


def test_a_function_that_must_be_called(client: OpenAI) -> None:
    """With arguments that its schema takes; then the items are sent again with what it gave."""
    question: Any = {"role": "user", "content": "What is the weather in Paris?"}
    first = client.responses.create(
        model=MODEL,
        input=[question],
        tools=[WEATHER],
        tool_choice={"type": "function", "name": "get_weather"},
        temperature=0,
    )
    (call,) = first.output
    assert isinstance(call, ResponseFunctionToolCall)
    assert (call.name, call.status) == ("get_weather", "completed")
    assert set(json.loads(call.arguments)) == {"city"}
    output: Any = {
        "type": "function_call_output",
        "call_id": call.call_id,
        "output": "18 degrees, sunny",
    }
    again: list[Any] = [question, call.model_dump(exclude_none=True), output]
    second = client.responses.create(
        model=MODEL,
        input=again,
        tools=[WEATHER],
        tool_choice="none",
        temperature=0,
        max_output_tokens=24,
    )
    assert [item.type for item in second.output] == ["message"]
    assert second.output_text


def test_a_call_streamed(client: OpenAI) -> None:
    """The arguments come in parts, and are whole in the end."""
    with client.responses.stream(
        model=MODEL,
        input="What is the weather in Paris?",
        tools=[WEATHER],
        tool_choice="required",
        parallel_tool_calls=False,
        temperature=0,
    ) as stream:
        parts = [e.delta for e in stream if e.type == "response.function_call_arguments.delta"]
        response = stream.get_final_response()
    assert len(parts) > 2
    (call,) = response.output
    assert call.type == "function_call"
    assert call.arguments == "".join(parts)
    assert set(json.loads(call.arguments)) == {"city"}


def test_scores(client: OpenAI) -> None:
    """Of each token, with the likeliest in its place; and again in what is streamed."""
    asked: dict[str, Any] = {
        **PLAIN,
        "include": ["message.output_text.logprobs"],
        "top_logprobs": 2,
    }
    (item,) = client.responses.create(**asked).output
    assert isinstance(item, ResponseOutputMessage)
    (part,) = item.content
    assert isinstance(part, ResponseOutputText)
    assert part.logprobs
    assert b"".join(bytes(score.bytes) for score in part.logprobs).decode().startswith(part.text)
    assert all(len(score.top_logprobs) == 2 and score.logprob <= 0 for score in part.logprobs)
    deltas = [
        event
        for event in client.responses.create(**asked, stream=True)
        if event.type == "response.output_text.delta"
    ]
    assert [score.token for delta in deltas for score in delta.logprobs] == [
        score.token for score in part.logprobs
    ]


@pytest.mark.parametrize("stream", [True, False])
def test_what_is_cut_off_says_so(client: OpenAI, stream: bool) -> None:
    """Incomplete, because of the tokens that it was let have."""
    asked: dict[str, Any] = PLAIN | {"max_output_tokens": 2}
    if stream:
        *_, last = client.responses.create(**asked, stream=True)
        assert last.type == "response.incomplete"
        response = last.response
    else:
        response = client.responses.create(**asked)
    assert response.status == "incomplete"
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"
    assert response.usage is not None
    assert response.usage.output_tokens == 2
    assert response.max_output_tokens == 2


def test_turns_that_are_sent_again(client: OpenAI) -> None:
    """An app may keep the conversation itself: the output's items are input as they are."""
    items: list[Any] = [{"role": "user", "content": QUESTION}]
    first = client.responses.create(**PLAIN | {"input": items}, store=False)
    assert first.status == "completed"
    items += [item.model_dump(exclude_none=True) for item in first.output]
    items.append({"role": "user", "content": "And which language is spoken there?"})
    second = client.responses.create(**PLAIN | {"input": items}, store=False)
    assert second.output_text
    assert second.usage is not None
    assert first.usage is not None
    assert second.usage.input_tokens > first.usage.input_tokens + first.usage.output_tokens


def test_effort_and_verbosity_are_wishes(client: OpenAI) -> None:
    """Which a model that does not think grants by answering; they are repeated."""
    response = client.responses.create(
        **PLAIN, reasoning={"effort": "low", "summary": "auto"}, text={"verbosity": "low"}
    )
    assert "France" in response.output_text
    assert response.reasoning is not None
    assert (response.reasoning.effort, response.reasoning.summary) == ("low", "auto")
    assert response.text is not None
    assert response.text.verbosity == "low"
    assert response.usage is not None
    assert response.usage.output_tokens_details.reasoning_tokens == 0


def test_the_last_event_ends_the_stream(gateway: RunningGateway) -> None:
    """There is no other terminator."""
    with gateway.sdk.responses.with_streaming_response.create(**PLAIN, stream=True) as raw:
        lines = [line for line in raw.iter_lines() if line]
    assert raw.headers["content-type"].startswith("text/event-stream")
    assert lines[-2] == "event: response.completed"
    assert ResponseCompletedEvent.model_validate_json(lines[-1].removeprefix("data: "), strict=True)


BAD: list[tuple[dict[str, Any], str | None]] = [
    ({"input": []}, "input"),
    ({"input": [{"role": "king", "content": "x"}]}, "input[0].role"),
    ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0]"),
    ({"temperature": 3}, "temperature"),
    ({"top_logprobs": 30}, "top_logprobs"),
    ({"background": True}, "background"),
    ({"conversation": "conv_1"}, "conversation"),
    ({"prompt": {"id": "pmpt_1"}}, "prompt"),
    ({"tools": [WEATHER], "tool_choice": {"type": "function", "name": "f"}}, "tool_choice"),
    ({"text": {"format": {"type": "json_schema", "schema": {}}}}, "text.format.name"),
    ({"tools": [{"type": "web_search"}]}, "tools that are no functions"),
    (
        {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]},
        "files",
    ),
    (
        {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
        "files",
    ),
]


@pytest.mark.parametrize(("fields", "param"), BAD)
@pytest.mark.parametrize("stream", [True, False])
def test_bad_input_is_named(
    client: OpenAI, fields: dict[str, Any], param: str | None, stream: bool
) -> None:
    """As the SDK's error for it, before anything is streamed."""
    asked: dict[str, Any] = {"model": MODEL, "input": "x", "stream": stream} | fields
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(**asked)
    assert caught.value.param == param


def test_what_is_too_long(client: OpenAI) -> None:
    """A 400 of the code that apps look for, which names what this API calls it."""
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model=MODEL, input="word " * 5000)
    assert (caught.value.code, caught.value.param) == ("context_length_exceeded", "input")


def test_what_may_be_truncated(client: OpenAI) -> None:
    """The oldest turns are left out, and the last question is answered."""
    items: list[Any] = [{"role": "user", "content": "word " * 1000}]
    items += [
        {"role": "assistant", "content": "word " * 1000},
        {"role": "user", "content": QUESTION},
    ]
    asked: dict[str, Any] = PLAIN | {"input": items}
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(**asked)
    assert caught.value.code == "context_length_exceeded"
    response = client.responses.create(**asked, truncation="auto")
    assert "France" in response.output_text
    assert response.truncation == "auto"
    assert response.usage is not None
    assert response.usage.input_tokens < 100


def test_a_shape_that_cannot_be_kept(client: OpenAI) -> None:
    """By the name that the app gave it."""
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(
            model=MODEL,
            input="x",
            text={
                "format": {
                    "type": "json_schema",
                    "name": "n",
                    "schema": {"type": "object", "$ref": "#/nowhere"},
                    "strict": True,
                }
            },
        )
    assert caught.value.param == "text.format"


def test_other_methods_and_models(gateway: RunningGateway) -> None:
    """Are told as those of all paths."""
    assert gateway.get("/v1/responses")[0] == 405
    with pytest.raises(openai.NotFoundError) as caught:
        gateway.sdk.responses.create(model="unheard-of", input="x")
    assert caught.value.code == "model_not_found"
