"""An app on LlamaIndex, by ``llama-index-llms-openai-like``."""

import asyncio
from typing import Any, Literal

import openai
import pytest
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.embeddings.openai_like import OpenAILikeEmbedding
from llama_index.llms.openai_like import OpenAILike, OpenAILikeResponses
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

ASKED = [ChatMessage(role="user", content=QUESTION)]


class Place(BaseModel):
    """A place."""

    kind: Literal["city", "country"]
    size: Literal["small", "large"]


def get_weather(city: Literal["Paris", "Rome"]) -> str:
    """The weather of a city, now."""
    return f"18 degrees in {city}"


WEATHER = FunctionTool.from_defaults(get_weather)


def chat(model: str, **fields: Any) -> OpenAILike:
    # docs: client
    llm = OpenAILike(
        api_base=f"{URL}/v1",
        api_key=KEY,
        model=model,
        is_chat_model=True,
        is_function_calling_model=True,
        should_use_structured_outputs=True,
    )
    # docs: end
    return llm.model_copy(update={"max_retries": 0, "temperature": 0, **fields})


@pytest.mark.parametrize("model", [LOCAL, VENDOR])
def test_plain(model: str) -> None:
    answer = chat(model, max_tokens=16).chat(ASKED)
    assert answer.message.content
    assert answer.raw.usage.completion_tokens > 0
    assert chat(model, max_tokens=16).complete(QUESTION).text


@pytest.mark.parametrize("model", [LOCAL, VENDOR])
def test_streamed(model: str) -> None:
    *_, last = chat(model, max_tokens=16).stream_chat(ASKED)
    assert last.message.content


def test_asynchronous() -> None:
    async def both() -> tuple[str | None, str | None]:
        llm = chat(LOCAL, max_tokens=8)
        plain = await llm.achat(ASKED)
        parts = [part async for part in await llm.astream_chat(ASKED)]
        return plain.message.content, parts[-1].message.content

    plain, streamed = asyncio.run(both())
    assert plain == streamed != ""


@pytest.mark.parametrize("model", [LOCAL, VENDOR])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_tool(model: str, streamed: bool) -> None:
    """It is called, and its result is taken."""
    llm = chat(model, max_tokens=60)
    asked: dict[str, Any] = {"user_msg": QUESTION, "tool_choice": "get_weather"}
    if streamed:
        *_, said = llm.stream_chat_with_tools([WEATHER], **asked)
    else:
        said = llm.chat_with_tools([WEATHER], **asked)
    (call,) = llm.get_tool_calls_from_response(said)
    assert (call.tool_name, set(call.tool_kwargs)) == ("get_weather", {"city"})
    result = ChatMessage(
        role="tool", content="18 degrees", additional_kwargs={"tool_call_id": call.tool_id}
    )
    assert llm.chat([*ASKED, said.message, result]).message.content


def test_an_agent() -> None:
    """It calls the function, and answers with what that returned."""

    async def run() -> Any:
        agent = FunctionAgent(tools=[WEATHER], llm=chat(VENDOR))
        return await agent.run(user_msg=QUESTION)

    answer = asyncio.run(run())
    assert [str(call.tool_output) for call in answer.tool_calls] == ["18 degrees in Paris"]
    assert answer.response.content


@pytest.mark.parametrize("model", [LOCAL, VENDOR])
def test_structured_output(model: str) -> None:
    answer = chat(model, max_tokens=100).as_structured_llm(Place).chat(ASKED)
    assert isinstance(answer.raw, Place)


def test_a_stop() -> None:
    answer = chat(LOCAL, max_tokens=40).chat(ASKED, stop=["a"])
    assert "a" not in answer.message.content


@pytest.mark.parametrize("model", UNNOTICED)
def test_failover_goes_unnoticed(model: str) -> None:
    assert chat(model, max_tokens=16).chat(ASKED).message.content
    *_, last = chat(model, max_tokens=16).stream_chat(ASKED)
    assert last.message.content


@pytest.mark.parametrize("model", [LOCAL, VENDOR, CHATS])
def test_responses(model: str) -> None:
    """Plain and streamed, and with a tool."""
    # docs: responses
    llm = OpenAILikeResponses(
        api_base=f"{URL}/v1", api_key=KEY, model=model, is_function_calling_model=True
    )
    # docs: end
    llm = llm.model_copy(update={"max_output_tokens": 60, "temperature": 0})
    assert llm.chat(ASKED).message.content
    assert "".join(part.delta or "" for part in llm.stream_chat(ASKED))
    said = llm.chat_with_tools([WEATHER], user_msg=QUESTION, tool_choice="required")
    (call,) = llm.get_tool_calls_from_response(said)
    assert (call.tool_name, set(call.tool_kwargs)) == ("get_weather", {"city"})


@pytest.mark.parametrize("model", [LOCAL, VENDOR])
def test_completions(model: str) -> None:
    llm = OpenAILike(api_base=f"{URL}/v1", api_key=KEY, model=model, max_tokens=8)
    assert llm.complete("Paris is").text
    *_, last = llm.stream_complete("Paris is")
    assert last.text


@pytest.mark.parametrize("model", [LOCAL, EMBEDS])
def test_embeddings(model: str) -> None:
    # docs: embeddings
    embedding = OpenAILikeEmbedding(api_base=f"{URL}/v1", api_key=KEY, model_name=model)
    # docs: end
    first, second = embedding.get_text_embedding_batch(["Paris", "London"])
    assert first != second
    assert embedding.get_query_embedding("Paris") == pytest.approx(first, rel=1e-2, abs=1e-3)


def test_errors() -> None:
    """LlamaIndex raises what the openai package does."""
    with pytest.raises(openai.NotFoundError, match=UNKNOWN):
        chat(UNKNOWN).chat(ASKED)
    with pytest.raises(openai.APIStatusError, match="directive 12") as banned:
        chat(ONLY_BANNED).chat(ASKED)
    assert banned.value.status_code == 451
    with pytest.raises(openai.BadRequestError, match="top_p"):
        chat(LOCAL).chat(ASKED, top_p=9)
