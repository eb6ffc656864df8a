"""An app on LangChain, by ``langchain-openai``."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

import openai
import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel

from tests.clients.apps.setting import (
    CHATS,
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


class Place(BaseModel):
    """A place."""

    kind: Literal["city", "country"]
    size: Literal["small", "large"]


@tool
def get_weather(city: Literal["Paris", "Rome"]) -> str:
    """The weather of a city, now."""
    return f"18 degrees in {city}"


def chat(model: str, **fields: Any) -> ChatOpenAI:
    # docs: client
    llm = ChatOpenAI(base_url=f"{URL}/v1", api_key=KEY, model=model)
    # docs: end
    return llm.model_copy(update={"temperature": 0, **fields})


def responses(model: str, **fields: Any) -> ChatOpenAI:
    # docs: responses
    llm = ChatOpenAI(base_url=f"{URL}/v1", api_key=KEY, model=model, use_responses_api=True)
    # docs: end
    return llm.model_copy(update={"temperature": 0, "max_tokens": 16, **fields})


RESPOND = pytest.mark.parametrize("model", [LOCAL, VENDOR, CHATS])


@pytest.mark.parametrize("model", [LOCAL, VENDOR])
def test_plain(model: str) -> None:
    message = chat(model, max_tokens=16).invoke(QUESTION)
    assert isinstance(message, AIMessage)
    assert message.text
    assert message.usage_metadata["output_tokens"] > 0
    assert message.response_metadata["finish_reason"] in ("stop", "length")


@pytest.mark.parametrize("model", [LOCAL, VENDOR])
def test_streamed(model: str) -> None:
    """The parts add up, with their usage."""
    parts = list(chat(model, max_tokens=16, stream_usage=True).stream(QUESTION))
    total = parts[0]
    for part in parts[1:]:
        total += part
    assert isinstance(total, AIMessageChunk)
    assert total.text
    assert total.usage_metadata["output_tokens"] > 0


def test_asynchronous() -> None:
    async def both() -> tuple[str, str]:
        llm = chat(LOCAL, max_tokens=8)
        plain = await llm.ainvoke(QUESTION)
        return plain.text, "".join([part.text async for part in llm.astream(QUESTION)])

    plain, streamed = asyncio.run(both())
    assert plain == streamed != ""


@pytest.mark.parametrize("model", [LOCAL, VENDOR])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_tool(model: str, streamed: bool) -> None:
    """It is called, and its result is taken."""
    bound = chat(model, max_tokens=100).bind_tools([get_weather], tool_choice="get_weather")
    if streamed:
        first, *rest = bound.stream(QUESTION)
        for part in rest:
            first += part
        said = AIMessage(content=first.content, tool_calls=first.tool_calls)
    else:
        said = bound.invoke(QUESTION)
    (call,) = said.tool_calls
    assert (call["name"], set(call["args"])) == ("get_weather", {"city"})
    result = ToolMessage(get_weather.invoke(call["args"]), tool_call_id=call["id"])
    assert chat(model, max_tokens=16).invoke([HumanMessage(QUESTION), said, result]).text


def test_an_agent() -> None:
    """It calls the function, and answers with what that returned."""
    agent = create_agent(chat(VENDOR), [get_weather])
    *_, called, result, last = agent.invoke({"messages": [HumanMessage(QUESTION)]})["messages"]
    assert called.tool_calls[0]["name"] == "get_weather"
    assert result.text == "18 degrees in Paris"
    assert last.text


@pytest.mark.parametrize("model", [LOCAL, VENDOR])
@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_structured_output(model: str, method: str) -> None:
    structured = chat(model, max_tokens=100).with_structured_output(Place, method=method)
    assert isinstance(structured.invoke(QUESTION), Place)


def test_a_stop() -> None:
    message = chat(LOCAL, max_tokens=40).invoke(QUESTION, stop=["a"])
    assert "a" not in message.text
    assert message.response_metadata["finish_reason"] == "stop"


@pytest.mark.parametrize("model", UNNOTICED)
def test_failover_goes_unnoticed(model: str) -> None:
    llm = chat(model, max_tokens=16)
    assert llm.invoke(QUESTION).text
    assert "".join(part.text for part in llm.stream(QUESTION))


@RESPOND
def test_responses(model: str) -> None:
    """Plain and streamed; what follows is told by the id of what came before."""
    llm = responses(model)
    message = llm.invoke(QUESTION)
    assert message.text
    assert message.usage_metadata["output_tokens"] > 0
    assert "".join(part.text for part in llm.stream(QUESTION))
    before = message.response_metadata["id"]
    assert llm.invoke("Say it again.", previous_response_id=before).text


@RESPOND
def test_responses_with_a_tool(model: str) -> None:
    llm = responses(model, max_tokens=100)
    said = llm.bind_tools([get_weather], tool_choice="get_weather").invoke(QUESTION)
    (call,) = said.tool_calls
    assert (call["name"], set(call["args"])) == ("get_weather", {"city"})
    result = ToolMessage(get_weather.invoke(call["args"]), tool_call_id=call["id"])
    assert llm.invoke([HumanMessage(QUESTION), said, result]).text


@RESPOND
def test_responses_by_a_class(model: str) -> None:
    structured = responses(model, max_tokens=100).with_structured_output(Place)
    assert isinstance(structured.invoke(QUESTION), Place)


@pytest.mark.parametrize("model", UNNOTICED)
def test_failover_of_responses_goes_unnoticed(model: str) -> None:
    llm = responses(model)
    assert llm.invoke(QUESTION).text
    assert "".join(part.text for part in llm.stream(QUESTION))


@pytest.mark.parametrize("model", [LOCAL, EMBEDS])
def test_embeddings(model: str) -> None:
    # docs: embeddings
    embeddings = OpenAIEmbeddings(
        base_url=f"{URL}/v1", api_key=KEY, model=model, check_embedding_ctx_length=False
    )
    # docs: end
    first, second = embeddings.embed_documents(["Paris", "London"])
    assert first != second
    assert embeddings.embed_query("Paris") == pytest.approx(first, rel=1e-2, abs=1e-3)


def test_errors() -> None:
    """LangChain raises what the openai package does."""
    with pytest.raises(openai.NotFoundError, match=UNKNOWN):
        chat(UNKNOWN).invoke(QUESTION)
    with pytest.raises(openai.APIStatusError, match="directive 12") as banned:
        chat(ONLY_BANNED).invoke(QUESTION)
    assert banned.value.status_code == 451
    with pytest.raises(openai.BadRequestError, match="temperature"):
        chat(LOCAL, temperature=9).invoke(QUESTION)
