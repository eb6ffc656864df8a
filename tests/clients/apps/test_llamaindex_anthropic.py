"""An app on LlamaIndex, by ``llama-index-llms-anthropic``."""

import asyncio
from typing import Any, Literal

import anthropic
import pytest
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.anthropic import Anthropic
from pydantic import BaseModel

from tests.clients.apps.setting import (
    CLAUDE,
    KEY,
    KNOWN,
    LOCAL,
    ONLY_BANNED,
    QUESTION,
    UNKNOWN,
    UNNOTICED,
    URL,
)

ASKED = [ChatMessage(role="user", content=QUESTION)]


class Place(BaseModel):
    """A place."""

    kind: Literal["city", "country"]
    size: Literal["small", "large"]


def get_weather(city: Literal["Paris", "Rome"]) -> str:
    """The weather of a city, now."""
    return f"18 degrees in {city}"


WEATHER = FunctionTool.from_defaults(get_weather)


def chat(model: str, **fields: Any) -> Anthropic:
    model = KNOWN.get(model, model)
    # docs: client
    llm = Anthropic(base_url=URL, api_key=KEY, model=model)
    # docs: end
    return llm.model_copy(update={"max_tokens": 60, **fields})


@pytest.mark.parametrize("model", [LOCAL, CLAUDE])
def test_plain(model: str) -> None:
    answer = chat(model).chat([ChatMessage(role="system", content="Be brief."), *ASKED])
    assert answer.message.content
    assert answer.raw["usage"].output_tokens > 0


@pytest.mark.parametrize("model", [LOCAL, CLAUDE])
def test_streamed(model: str) -> None:
    *_, last = chat(model).stream_chat(ASKED)
    assert last.message.content


def test_asynchronous() -> None:
    async def both() -> tuple[str | None, str | None]:
        llm = chat(LOCAL, max_tokens=8, temperature=0)
        plain = await llm.achat(ASKED)
        parts = [part async for part in await llm.astream_chat(ASKED)]
        return plain.message.content, parts[-1].message.content

    plain, streamed = asyncio.run(both())
    assert plain == streamed != ""


@pytest.mark.parametrize("model", [LOCAL, CLAUDE])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_tool(model: str, streamed: bool) -> None:
    llm = chat(model)
    asked: dict[str, Any] = {
        "user_msg": QUESTION,
        "tool_choice": {"type": "tool", "name": "get_weather"},
    }
    if streamed:
        *_, said = llm.stream_chat_with_tools([WEATHER], **asked)
    else:
        said = llm.chat_with_tools([WEATHER], **asked)
    (call,) = llm.get_tool_calls_from_response(said)
    assert (call.tool_name, set(call.tool_kwargs)) == ("get_weather", {"city"})


def test_an_agent() -> None:
    """It calls the function, and answers with what that returned."""

    async def run() -> Any:
        agent = FunctionAgent(tools=[WEATHER], llm=chat(CLAUDE))
        return await agent.run(user_msg=QUESTION)

    answer = asyncio.run(run())
    assert [str(call.tool_output) for call in answer.tool_calls] == ["18 degrees in Paris"]
    assert answer.response.content


def test_structured_output() -> None:
    answer = chat(CLAUDE).as_structured_llm(Place).chat(ASKED)
    assert isinstance(answer.raw, Place)


@pytest.mark.parametrize("model", UNNOTICED)
def test_failover_goes_unnoticed(model: str) -> None:
    assert chat(model).chat(ASKED).message.content
    *_, last = chat(model).stream_chat(ASKED)
    assert last.message.content


def test_errors() -> None:
    """LlamaIndex raises what the anthropic package does."""
    with pytest.raises(anthropic.NotFoundError, match=KNOWN[UNKNOWN]):
        chat(UNKNOWN).chat(ASKED)
    with pytest.raises(anthropic.APIStatusError, match="directive 12") as banned:
        chat(ONLY_BANNED).chat(ASKED)
    assert banned.value.status_code == 451
    with pytest.raises(anthropic.BadRequestError, match="max_tokens"):
        chat(LOCAL, max_tokens=-1).chat(ASKED)
