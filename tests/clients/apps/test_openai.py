"""An app on the official ``openai`` package."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Literal

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletion, ChatCompletionMessageParam
from pydantic import BaseModel, Field

from tests.clients.apps.setting import (
    CHATS,
    CITY,
    CLAUDE,
    EMBEDS,
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
client = OpenAI(base_url=f"{URL}/v1", api_key=KEY)
# docs: end
ASKED: list[ChatCompletionMessageParam] = [{"role": "user", "content": QUESTION}]
WEATHER: Any = {
    "type": "function",
    "function": {"name": "get_weather", "strict": True, "parameters": CITY},
}


class Place(BaseModel):
    name: str = Field(max_length=12)
    size: Literal["small", "large"]


@pytest.mark.parametrize("model", [LOCAL, VENDOR])
def test_plain(model: str) -> None:
    answer = client.chat.completions.create(model=model, messages=ASKED, max_tokens=16)
    assert ChatCompletion.model_validate_json(answer.model_dump_json(exclude_unset=True))
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason in ("stop", "length")
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.model == model or model == VENDOR


@pytest.mark.parametrize("model", [LOCAL, VENDOR])
def test_streamed(model: str) -> None:
    stream = client.chat.completions.create(
        model=model,
        messages=ASKED,
        max_tokens=16,
        stream=True,
        stream_options={"include_usage": True},
    )
    *chunks, last = stream
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] in ("stop", "length")
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.completion_tokens > 0


@pytest.mark.parametrize("model", [LOCAL, VENDOR])
def test_the_streaming_helper(model: str) -> None:
    with client.chat.completions.stream(
        model=model, messages=ASKED, max_tokens=100, temperature=0
    ) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_completion()
    assert "content.delta" in kinds
    assert "content.done" in kinds
    assert final.choices[0].message.content


def test_the_asynchronous_client() -> None:
    async def both() -> tuple[str, str]:
        async with AsyncOpenAI(base_url=f"{URL}/v1", api_key=KEY) as client:
            plain = await client.chat.completions.create(
                model=LOCAL, messages=ASKED, max_tokens=8, temperature=0
            )
            stream = await client.chat.completions.create(
                model=LOCAL, messages=ASKED, max_tokens=8, temperature=0, stream=True
            )
            parts = [chunk.choices[0].delta.content or "" async for chunk in stream]
            return plain.choices[0].message.content or "", "".join(parts)

    plain, streamed = asyncio.run(both())
    assert plain == streamed != ""


@pytest.mark.parametrize("model", [LOCAL, VENDOR])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_tool(model: str, streamed: bool) -> None:
    """It is called, and its result is taken."""
    asked: dict[str, Any] = {
        "model": model,
        "messages": ASKED,
        "tools": [WEATHER],
        "tool_choice": {"type": "function", "function": {"name": "get_weather"}},
        "max_tokens": 60,
        "temperature": 0,
    }
    if streamed:
        with client.chat.completions.stream(**asked) as stream:
            choice: Any = stream.get_final_completion().choices[0]
    else:
        choice = client.chat.completions.create(**asked).choices[0]
    (call,) = choice.message.tool_calls
    assert call.function.name == "get_weather"
    assert set(json.loads(call.function.arguments)) == {"city"}
    result: Any = {"role": "tool", "tool_call_id": call.id, "content": "18 degrees"}
    said = choice.message.model_dump(include={"role", "content", "tool_calls"}, exclude_none=True)
    for tool in said["tool_calls"]:
        tool["function"].pop("parsed_arguments", None)
    after = client.chat.completions.create(
        model=model,
        messages=[*ASKED, said, result],
        tools=[WEATHER],
        tool_choice="none",
        max_tokens=16,
    )
    assert after.choices[0].message.content


@pytest.mark.parametrize("model", [LOCAL, VENDOR])
def test_a_schema_by_a_class(model: str) -> None:
    parsed = client.chat.completions.parse(
        model=model, messages=ASKED, response_format=Place, temperature=0
    )
    assert isinstance(parsed.choices[0].message.parsed, Place)
    with client.chat.completions.stream(
        model=model, messages=ASKED, response_format=Place, temperature=0
    ) as stream:
        final = stream.get_final_completion()
    assert isinstance(final.choices[0].message.parsed, Place)


def test_a_stop() -> None:
    answer = client.chat.completions.create(
        model=LOCAL, messages=ASKED, stop=["a"], max_tokens=40, temperature=0
    )
    assert "a" not in (answer.choices[0].message.content or "")
    assert answer.choices[0].finish_reason == "stop"


@pytest.mark.parametrize("model", UNNOTICED)
@pytest.mark.parametrize("streamed", [False, True])
def test_failover_goes_unnoticed(model: str, streamed: bool) -> None:
    asked: dict[str, Any] = {"model": model, "messages": ASKED, "max_tokens": 100}
    if not streamed:
        assert client.chat.completions.create(**asked).choices[0].message.content
        return
    with client.chat.completions.stream(**asked) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.content
    assert final.choices[0].finish_reason in ("stop", "length")


def test_errors() -> None:
    """Each as the package's own exception."""
    with pytest.raises(openai.NotFoundError, match=UNKNOWN) as unknown:
        client.chat.completions.create(model=UNKNOWN, messages=ASKED)
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.APIStatusError, match="directive 12") as banned:
        client.chat.completions.create(model=ONLY_BANNED, messages=ASKED)
    assert (banned.value.status_code, banned.value.code) == (451, "vendor_blocked")
    with pytest.raises(openai.BadRequestError) as bad:
        client.chat.completions.create(model=LOCAL, messages=ASKED, temperature=9)
    assert bad.value.param == "temperature"


RESPOND = pytest.mark.parametrize("model", [LOCAL, VENDOR, CHATS])
FUNCTION: Any = {"type": "function", "name": "get_weather", "strict": True, "parameters": CITY}


@RESPOND
def test_responses(model: str) -> None:
    """The next one knows the one before, until that is deleted."""
    first = client.responses.create(model=model, input=QUESTION, max_output_tokens=16)
    assert first.output_text
    assert first.usage is not None
    assert first.usage.output_tokens > 0
    after = client.responses.create(
        model=model, input="Say it again.", previous_response_id=first.id, max_output_tokens=16
    )
    assert after.output_text
    assert client.responses.retrieve(first.id).output_text == first.output_text
    (item,) = client.responses.input_items.list(first.id)
    assert item.type == "message"
    client.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(first.id)


@RESPOND
def test_responses_streamed(model: str) -> None:
    with client.responses.stream(model=model, input=QUESTION, temperature=0) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
    assert "response.output_text.delta" in kinds
    assert final.output_text


@RESPOND
def test_responses_by_a_class(model: str) -> None:
    parsed = client.responses.parse(model=model, input=QUESTION, text_format=Place)
    assert isinstance(parsed.output_parsed, Place)


@RESPOND
def test_responses_with_a_tool(model: str) -> None:
    """Its result is given to a response that follows."""
    called = client.responses.create(
        model=model,
        input=QUESTION,
        tools=[FUNCTION],
        tool_choice={"type": "function", "name": "get_weather"},
        max_output_tokens=60,
        temperature=0,
    )
    (call,) = [item for item in called.output if item.type == "function_call"]
    assert set(json.loads(call.arguments)) == {"city"}
    after = client.responses.create(
        model=model,
        previous_response_id=called.id,
        input=[{"type": "function_call_output", "call_id": call.call_id, "output": "18 degrees"}],
        max_output_tokens=16,
    )
    assert after.output_text


@pytest.mark.parametrize("model", UNNOTICED)
def test_failover_of_responses_goes_unnoticed(model: str) -> None:
    answer = client.responses.create(model=model, input=QUESTION, max_output_tokens=16)
    assert answer.output_text
    with client.responses.stream(model=model, input=QUESTION, temperature=0) as stream:
        assert stream.get_final_response().output_text


@pytest.mark.parametrize("model", [LOCAL, EMBEDS])
def test_embeddings(model: str) -> None:
    """One text or several, and the same as bytes (which is how the package asks) and as numbers."""
    answer = client.embeddings.create(model=model, input=["Paris", "London"])
    first, second = (row.embedding for row in answer.data)
    assert first != second
    as_numbers = client.embeddings.create(model=model, input="Paris", encoding_format="float")
    assert as_numbers.data[0].embedding == pytest.approx(first, rel=1e-2, abs=1e-3)


@pytest.mark.parametrize("model", [LOCAL, VENDOR])
def test_completions(model: str) -> None:
    asked: dict[str, Any] = {"model": model, "prompt": "Paris is", "max_tokens": 8}
    assert client.completions.create(**asked).choices[0].text
    stream = client.completions.create(**asked, stream=True)
    assert "".join(chunk.choices[0].text for chunk in stream if chunk.choices)


def test_models() -> None:
    assert {LOCAL, VENDOR, CLAUDE} <= {model.id for model in client.models.list()}
    assert client.models.retrieve(LOCAL).id == LOCAL
