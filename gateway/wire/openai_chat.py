"""Chat completions of the OpenAI dialect: from a body to what is asked for.

Sources: the published OpenAPI document of the OpenAI API, ``POST /chat/completions``.
``chat_template_kwargs`` and ``continue_final_message`` are as in vLLM's server.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec

from gateway.domain.call import (
    Chat,
    Tool,
    ToolChoice,
    Tools,
)
from gateway.domain.target import Capability
from gateway.errors import InvalidRequest
from gateway.wire.openai_messages import WrittenMessage, message_needs, typed_message
from gateway.wire.openai_parameters import (
    ENDLESS,
    NULL,
    Parameters,
    check,
    includes_usage,
    needs,
    read,
    sampling,
    session,
    shape,
    stops,
)


class _Function(msgspec.Struct):
    name: str
    description: str | None = None
    parameters: msgspec.Raw = NULL
    strict: bool | None = None


class _Tool(msgspec.Struct):
    type: str
    function: _Function | None = None


class _NamedFunction(msgspec.Struct):
    name: str | None = None


class _NamedTool(msgspec.Struct):
    type: str | None = None
    function: _NamedFunction | None = None
    name: str | None = None


class _Body(Parameters, kw_only=True):
    messages: list[WrittenMessage]
    max_completion_tokens: int | None = None
    tools: list[_Tool] | None = None
    tool_choice: str | _NamedTool | None = None
    parallel_tool_calls: bool | None = None
    functions: list[_Function] | None = None
    function_call: str | _NamedFunction | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    reasoning_effort: str | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    continue_final_message: bool | None = None
    modalities: list[str] | None = None
    web_search_options: Any = None


class ChatRequest(msgspec.Struct, frozen=True):
    """A parsed body: what the engine needs beside the bytes themselves. ``functions`` says that it
    uses the older parameters of that name, and so must its answer; ``session`` is by what the app
    says which requests begin alike.
    """

    model: str
    stream: bool
    include_usage: bool
    functions: bool
    chat: Chat
    needs: frozenset[Capability]
    session: str | None


_decoder = msgspec.json.Decoder(_Body)
_RANGES = (
    ("max_tokens", 1, ENDLESS),
    ("max_completion_tokens", 1, ENDLESS),
    ("top_logprobs", 0, 20),
)


def parse(body: bytes) -> ChatRequest:
    """Read the body of a chat completion. Raises ``InvalidRequest`` that names the parameter."""
    parsed = read(_decoder, body)
    _check(parsed)
    return ChatRequest(
        model=parsed.model,
        stream=bool(parsed.stream),
        include_usage=includes_usage(parsed),
        functions=parsed.functions is not None,
        chat=_chat(parsed),
        needs=_needs(parsed),
        session=session(parsed),
    )


def _check(body: _Body) -> None:
    check(body, _RANGES)
    if not body.messages:
        raise InvalidRequest(
            "'messages' is empty: at least one message is needed.",
            param="messages",
            code="empty_array",
        )
    if body.top_logprobs is not None and not body.logprobs:
        raise InvalidRequest(
            "'top_logprobs' is only allowed with 'logprobs': true.", param="top_logprobs"
        )


def _needs(body: _Body) -> frozenset[Capability]:
    return frozenset(_each_need(body))


def _each_need(body: _Body) -> Iterator[Capability]:
    wanted = (body.tools or body.functions) and body.tool_choice != "none"
    if wanted:
        yield Capability.TOOLS
    if any(tool.type != "function" for tool in body.tools or ()) or (
        isinstance(body.tool_choice, _NamedTool) and body.tool_choice.type != "function"
    ):
        yield Capability.OTHER_TOOLS
    yield from needs(body)
    if body.logprobs:
        yield Capability.LOGPROBS
    if body.web_search_options is not None:
        yield Capability.WEB_SEARCH
    if body.modalities and "audio" in body.modalities:
        yield Capability.AUDIO
    for message in body.messages:
        yield from message_needs(message)


def _chat(body: _Body) -> Chat:
    messages = tuple(map(typed_message, body.messages))
    prefill = ""
    if body.continue_final_message and messages[-1].role == "assistant":
        if messages[-1].images:
            raise InvalidRequest(
                "An answer that is to be continued cannot hold images.", param="messages"
            )
        messages, prefill = messages[:-1], messages[-1].content
    return Chat(
        messages=messages,
        sampling=sampling(body),
        max_tokens=body.max_completion_tokens or body.max_tokens,
        stop=stops(body),
        tools=_tools(body),
        shape=shape(body),
        logprobs=(body.top_logprobs or 0) if body.logprobs else None,
        choices=body.n or 1,
        prefill=prefill,
        template=_template(body),
    )


def _tools(body: _Body) -> Tools | None:
    functions = [tool.function for tool in body.tools or () if tool.function is not None]
    choice: object = body.tool_choice
    if body.functions is not None:
        functions, choice = body.functions, body.function_call
    if not functions:
        return None
    named = None
    if isinstance(choice, _NamedTool):
        named = choice.function.name if choice.function is not None else choice.name
    elif isinstance(choice, _NamedFunction):
        named = choice.name
    if named is not None and named not in {function.name for function in functions}:
        raise InvalidRequest(
            f"'tool_choice' names {named[:64]!r}, which is none of 'tools'.", param="tool_choice"
        )
    mode = ToolChoice.REQUIRED if named is not None else ToolChoice.AUTO
    if choice in ("none", "required"):
        mode = ToolChoice(str(choice))
    parallel = body.parallel_tool_calls is not False and body.functions is None
    return Tools(tuple(map(_tool, functions)), mode, named, parallel)


def _tool(function: _Function) -> Tool:
    schema = bytes(function.parameters).decode()
    plain = Tool(function.name, function.description or "", strict=bool(function.strict))
    return plain if schema == "null" else replace(plain, schema=schema)


def _template(body: _Body) -> str:
    """Variables for a chat template: the app's own, and how much the model should think."""
    variables = dict(body.chat_template_kwargs or {})
    if body.reasoning_effort is not None:
        variables.setdefault("reasoning_effort", body.reasoning_effort)
        if body.reasoning_effort in ("none", "minimal"):
            variables.setdefault("enable_thinking", False)
    return msgspec.json.encode(variables).decode() if variables else "{}"
