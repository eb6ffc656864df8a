"""An app that has litellm as its client."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Literal

import litellm
import pytest
from pydantic import BaseModel

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

ASKED = [{"role": "user", "content": QUESTION}]
TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": CITY}}]
CHOSEN = {"type": "function", "function": {"name": "get_weather"}}


class Place(BaseModel):
    kind: Literal["city", "country"]
    size: Literal["small", "large"]


def openai(model: str, **fields: Any) -> Any:
    # docs: openai
    return litellm.completion(
        model=f"openai/{model}", api_base=f"{URL}/v1", api_key=KEY, messages=ASKED, **fields
    )
    # docs: end


def anthropic(model: str, **fields: Any) -> Any:
    # docs: anthropic
    return litellm.completion(
        model=f"anthropic/{model}", api_base=URL, api_key=KEY, messages=ASKED, **fields
    )
    # docs: end


EVERYWHERE = pytest.mark.parametrize(
    ("ask", "model"),
    [(openai, LOCAL), (openai, VENDOR), (anthropic, LOCAL), (anthropic, CLAUDE)],
    ids=["openai-local", "openai-vendor", "anthropic-local", "anthropic-vendor"],
)


@EVERYWHERE
def test_plain(ask: Any, model: str) -> None:
    answer = ask(model, max_tokens=16)
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason in ("stop", "length")
    assert answer.usage.completion_tokens > 0


@EVERYWHERE
def test_streamed(ask: Any, model: str) -> None:
    chunks = list(ask(model, max_tokens=16, stream=True, stream_options={"include_usage": True}))
    whole = litellm.stream_chunk_builder(chunks)
    assert whole.choices[0].message.content
    assert whole.choices[0].finish_reason in ("stop", "length")
    assert whole.usage.completion_tokens > 0


def test_asynchronous() -> None:
    async def both() -> tuple[str, str]:
        asked: dict[str, Any] = {
            "model": f"openai/{LOCAL}",
            "api_base": f"{URL}/v1",
            "api_key": KEY,
            "messages": ASKED,
            "max_tokens": 8,
            "temperature": 0,
        }
        plain = await litellm.acompletion(**asked)
        stream = await litellm.acompletion(**asked, stream=True)
        parts = [chunk.choices[0].delta.content or "" async for chunk in stream]
        return plain.choices[0].message.content, "".join(parts)

    plain, streamed = asyncio.run(both())
    assert plain == streamed != ""


@EVERYWHERE
@pytest.mark.parametrize("streamed", [False, True])
def test_a_tool(ask: Any, model: str, streamed: bool) -> None:
    answer = ask(model, tools=TOOLS, tool_choice=CHOSEN, max_tokens=60, stream=streamed)
    if streamed:
        answer = litellm.stream_chunk_builder(list(answer))
    (call,) = answer.choices[0].message.tool_calls
    assert call.function.name == "get_weather"
    assert set(json.loads(call.function.arguments)) == {"city"}
    assert answer.choices[0].finish_reason == "tool_calls"


@EVERYWHERE
def test_a_schema_by_a_class(ask: Any, model: str) -> None:
    answer = ask(model, response_format=Place, max_tokens=100)
    assert Place.model_validate_json(answer.choices[0].message.content)


@pytest.mark.parametrize("ask", [openai, anthropic])
@pytest.mark.parametrize("model", UNNOTICED)
def test_failover_goes_unnoticed(ask: Any, model: str) -> None:
    assert ask(model, max_tokens=16).choices[0].message.content
    whole = litellm.stream_chunk_builder(list(ask(model, max_tokens=16, stream=True)))
    assert whole.choices[0].message.content


@pytest.mark.parametrize("model", [LOCAL, VENDOR, CHATS])
def test_responses(model: str) -> None:
    asked: dict[str, Any] = {
        "model": f"openai/{model}",
        "api_base": f"{URL}/v1",
        "api_key": KEY,
        "input": QUESTION,
        "max_output_tokens": 16,
    }
    assert litellm.responses(**asked).output_text
    kinds = [event.type for event in litellm.responses(**asked, stream=True)]
    assert kinds[0] == "response.created"
    assert kinds[-1] in ("response.completed", "response.incomplete")


@pytest.mark.parametrize("model", [LOCAL, EMBEDS])
def test_embeddings(model: str) -> None:
    # docs: embeddings
    answer = litellm.embedding(
        model=f"openai/{model}", api_base=f"{URL}/v1", api_key=KEY, input=["Paris", "London"]
    )
    # docs: end
    first, second = (row["embedding"] for row in answer.data)
    assert first != second


@pytest.mark.parametrize("model", [LOCAL, VENDOR])
def test_completions(model: str) -> None:
    asked: dict[str, Any] = {
        "model": f"text-completion-openai/{model}",
        "api_base": f"{URL}/v1",
        "api_key": KEY,
        "prompt": "Paris is",
        "max_tokens": 8,
    }
    assert litellm.text_completion(**asked).choices[0].text
    stream = litellm.text_completion(**asked, stream=True)
    assert "".join(chunk.choices[0].text or "" for chunk in stream)


@pytest.mark.parametrize("ask", [openai, anthropic])
def test_errors(ask: Any) -> None:
    """Each as litellm's own exception."""
    with pytest.raises(litellm.NotFoundError, match=UNKNOWN):
        ask(UNKNOWN, max_tokens=8)
    # It has no exception for 451 of its own, and raises another one for either dialect.
    with pytest.raises((litellm.APIError, litellm.BadRequestError), match="directive 12"):
        ask(ONLY_BANNED, max_tokens=8)
    with pytest.raises(litellm.BadRequestError, match="max_tokens"):
        ask(LOCAL, max_tokens=-1)
