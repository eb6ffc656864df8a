"""An app on LangChain, by ``langchain-anthropic``."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

import anthropic
import pytest
from langchain.agents import create_agent
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from pydantic import BaseModel

from tests.clients.apps.setting import (
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

EVERYWHERE = pytest.mark.parametrize("model", [LOCAL, CLAUDE, VENDOR])


class Place(BaseModel):
    """A place."""

    kind: Literal["city", "country"]
    size: Literal["small", "large"]


@tool
def get_weather(city: Literal["Paris", "Rome"]) -> str:
    """The weather of a city, now."""
    return f"18 degrees in {city}"


def chat(model: str, **fields: Any) -> ChatAnthropic:
    # docs: client
    llm = ChatAnthropic(base_url=URL, api_key=KEY, model=model)
    # docs: end
    return llm.model_copy(update={"max_tokens": 60, **fields})


@EVERYWHERE
def test_plain(model: str) -> None:
    message = chat(model).invoke([SystemMessage("Be brief."), HumanMessage(QUESTION)])
    assert message.text
    assert message.usage_metadata["output_tokens"] > 0
    assert message.response_metadata["stop_reason"] in ("end_turn", "max_tokens")


@EVERYWHERE
def test_streamed(model: str) -> None:
    """The parts add up, with their usage."""
    total, *rest = chat(model).stream(QUESTION)
    for part in rest:
        total += part
    assert total.text
    assert total.usage_metadata["output_tokens"] > 0


def test_asynchronous() -> None:
    async def both() -> tuple[str, str]:
        llm = chat(LOCAL, max_tokens=8, temperature=0)
        plain = await llm.ainvoke(QUESTION)
        return plain.text, "".join([part.text async for part in llm.astream(QUESTION)])

    plain, streamed = asyncio.run(both())
    assert plain == streamed != ""


@EVERYWHERE
@pytest.mark.parametrize("streamed", [False, True])
def test_a_tool(model: str, streamed: bool) -> None:
    """It is called, and its result is taken."""
    bound = chat(model).bind_tools([get_weather], tool_choice="get_weather")
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
    after = chat(model, max_tokens=16).bind_tools([get_weather], tool_choice={"type": "none"})
    assert after.invoke([HumanMessage(QUESTION), said, result]).text


def test_an_agent() -> None:
    """It calls the function, and answers with what that returned."""
    agent = create_agent(chat(CLAUDE), [get_weather])
    *_, called, result, last = agent.invoke({"messages": [HumanMessage(QUESTION)]})["messages"]
    assert called.tool_calls[0]["name"] == "get_weather"
    assert result.text == "18 degrees in Paris"
    assert last.text


@EVERYWHERE
@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_structured_output(model: str, method: str) -> None:
    structured = chat(model, max_tokens=100).with_structured_output(Place, method=method)
    assert isinstance(structured.invoke(QUESTION), Place)


def test_a_stop_sequence() -> None:
    message = chat(LOCAL, temperature=0).invoke(QUESTION, stop=["a"])
    assert message.response_metadata["stop_sequence"] == "a"


@pytest.mark.parametrize("model", UNNOTICED)
def test_failover_goes_unnoticed(model: str) -> None:
    llm = chat(model, max_tokens=16)
    assert llm.invoke(QUESTION).text
    assert "".join(part.text for part in llm.stream(QUESTION))


def test_errors() -> None:
    """LangChain raises what the anthropic package does."""
    with pytest.raises(anthropic.NotFoundError, match=UNKNOWN):
        chat(UNKNOWN).invoke(QUESTION)
    with pytest.raises(anthropic.APIStatusError, match="directive 12") as banned:
        chat(ONLY_BANNED).invoke(QUESTION)
    assert banned.value.status_code == 451
    with pytest.raises(anthropic.BadRequestError, match="max_tokens"):
        chat(LOCAL, max_tokens=-1).invoke(QUESTION)
