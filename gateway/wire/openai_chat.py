"""Chat completions of the OpenAI dialect: from a body to what is asked for.

Sources: the published OpenAPI document of the OpenAI API, ``POST /chat/completions``. ``top_k``,
``min_p``, ``repetition_penalty``, ``ignore_eos``, ``structured_outputs``, ``chat_template_kwargs``
and ``continue_final_message`` are as in vLLM's server.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec

from gateway.domain.call import (
    Chat,
    Sampling,
    Shape,
    ShapeKind,
    Tool,
    ToolChoice,
    Tools,
)
from gateway.domain.target import Capability
from gateway.errors import InvalidRequest
from gateway.wire.openai_messages import WrittenMessage, message_needs, typed_message

_NULL = msgspec.Raw(b"null")


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Schema(msgspec.Struct):
    schema: msgspec.Raw = _NULL
    strict: bool | None = None


class _ResponseFormat(msgspec.Struct):
    type: str
    json_schema: _Schema | None = None


class _StructuredOutputs(msgspec.Struct):
    json: msgspec.Raw = _NULL
    regex: str | None = None
    choice: list[str] | None = None
    grammar: str | None = None


class _Function(msgspec.Struct):
    name: str
    description: str | None = None
    parameters: msgspec.Raw = _NULL
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


class _Body(msgspec.Struct):
    """What the gateway must know of a request. Other parameters pass through untouched."""

    model: str
    messages: list[WrittenMessage]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repetition_penalty: float | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    n: int | None = None
    tools: list[_Tool] | None = None
    tool_choice: str | _NamedTool | None = None
    parallel_tool_calls: bool | None = None
    functions: list[_Function] | None = None
    function_call: str | _NamedFunction | None = None
    response_format: _ResponseFormat | None = None
    structured_outputs: _StructuredOutputs | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    logit_bias: dict[str, float] | None = None
    reasoning_effort: str | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    continue_final_message: bool | None = None
    ignore_eos: bool | None = None
    modalities: list[str] | None = None
    web_search_options: Any = None
    prompt_cache_key: Any = None
    user: Any = None


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
_RANGES: tuple[tuple[str, float, float], ...] = (
    ("temperature", 0.0, 2.0),
    ("top_p", 0.0, 1.0),
    ("presence_penalty", -2.0, 2.0),
    ("frequency_penalty", -2.0, 2.0),
    ("max_tokens", 1, float("inf")),
    ("max_completion_tokens", 1, float("inf")),
    ("n", 1, 128),
    ("top_logprobs", 0, 20),
    ("top_k", -1, float("inf")),
    ("min_p", 0.0, 1.0),
    ("repetition_penalty", 0.01, 100.0),
)


def parse(body: bytes) -> ChatRequest:
    """Read the body of a chat completion. Raises ``InvalidRequest`` that names the parameter."""
    try:
        parsed = _decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(
            f"The body is not valid JSON: {error}. Send one JSON object.", code="invalid_json"
        ) from None
    _check(parsed)
    return ChatRequest(
        model=parsed.model,
        stream=bool(parsed.stream),
        include_usage=bool(parsed.stream_options and parsed.stream_options.include_usage),
        functions=parsed.functions is not None,
        chat=_chat(parsed),
        needs=_needs(parsed),
        session=_session(parsed.prompt_cache_key) or _session(parsed.user),
    )


def _session(given: object) -> str | None:
    return given if isinstance(given, str) and given else None


def _invalid(text: str) -> InvalidRequest:
    """msgspec ends its message with ``- at `$.path```: that path is the parameter."""
    message, _, path = text.partition(" - at `$")
    param = path.rstrip("`").lstrip(".") or None
    code = "invalid_type"
    if message.startswith("Object missing required field"):
        field = message.split("`")[1]
        param = f"{param}.{field}" if param else field
        message, code = f"Missing required parameter: '{param}'", "missing_required_parameter"
    elif param:
        message = f"Invalid '{param}': {message}"
    return InvalidRequest(f"{message}.", param=param, code=code)


def _check(body: _Body) -> None:
    if not body.model:
        raise InvalidRequest("'model' must not be empty.", param="model")
    if not body.messages:
        raise InvalidRequest(
            "'messages' is empty: at least one message is needed.",
            param="messages",
            code="empty_array",
        )
    for name, low, high in _RANGES:
        value = getattr(body, name)
        if value is not None and not low <= value <= high:
            bound = f"at least {low:g}" if high == float("inf") else f"from {low:g} to {high:g}"
            raise InvalidRequest(f"'{name}' is {value:g}: it must be {bound}.", param=name)
    if isinstance(body.stop, list) and len(body.stop) > 4:
        raise InvalidRequest("'stop' holds more than 4 sequences.", param="stop")
    if body.top_logprobs is not None and not body.logprobs:
        raise InvalidRequest(
            "'top_logprobs' is only allowed with 'logprobs': true.", param="top_logprobs"
        )
    if body.stream_options is not None and not body.stream:
        raise InvalidRequest(
            "'stream_options' is only allowed with 'stream': true.", param="stream_options"
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
    if body.response_format is not None and body.response_format.type != "text":
        schema = body.response_format.type == "json_schema"
        yield Capability.JSON_SCHEMA if schema else Capability.JSON_OBJECT
    if body.structured_outputs is not None:
        yield Capability.STRUCTURED_OUTPUTS
    if body.logprobs:
        yield Capability.LOGPROBS
    if body.logit_bias:
        yield Capability.LOGIT_BIAS
    if (body.n or 1) > 1:
        yield Capability.SEVERAL_CHOICES
    if body.web_search_options is not None:
        yield Capability.WEB_SEARCH
    if body.modalities and "audio" in body.modalities:
        yield Capability.AUDIO
    for message in body.messages:
        yield from message_needs(message)


def _chat(body: _Body) -> Chat:
    stop = (body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ())
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
        sampling=_sampling(body),
        max_tokens=body.max_completion_tokens or body.max_tokens,
        stop=tuple(text for text in stop if text),
        tools=_tools(body),
        shape=_shape(body),
        logprobs=(body.top_logprobs or 0) if body.logprobs else None,
        choices=body.n or 1,
        prefill=prefill,
        template=_template(body),
    )


def _sampling(body: _Body) -> Sampling:
    return Sampling(
        temperature=body.temperature,
        top_p=body.top_p,
        presence_penalty=body.presence_penalty or 0.0,
        frequency_penalty=body.frequency_penalty or 0.0,
        seed=body.seed,
        top_k=body.top_k,
        min_p=body.min_p,
        repeat_penalty=body.repetition_penalty or 1.0,
        logit_bias=tuple(_bias(body.logit_bias or {})),
        ignore_end=bool(body.ignore_eos),
    )


def _bias(given: dict[str, float]) -> Iterator[tuple[int, float]]:
    for token, add in given.items():
        if not token.isdecimal() or not -100 <= add <= 100:
            raise InvalidRequest(
                "'logit_bias' maps token ids to numbers from -100 to 100.", param="logit_bias"
            )
        yield int(token), add


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


def _shape(body: _Body) -> Shape | None:
    asked, wanted = body.response_format, body.structured_outputs
    if asked is not None and asked.type == "json_object":
        return Shape(ShapeKind.JSON_OBJECT)
    if asked is not None and asked.type == "json_schema":
        if asked.json_schema is None or bytes(asked.json_schema.schema) == b"null":
            raise InvalidRequest(
                "'response_format' of type json_schema needs 'json_schema.schema'.",
                param="response_format.json_schema.schema",
                code="missing_required_parameter",
            )
        schema = bytes(asked.json_schema.schema).decode()
        return Shape(ShapeKind.JSON_SCHEMA, schema, bool(asked.json_schema.strict))
    if wanted is None:
        return None
    if bytes(wanted.json) != b"null":
        return Shape(ShapeKind.JSON_SCHEMA, bytes(wanted.json).decode())
    if wanted.choice:
        return Shape(ShapeKind.CHOICE, msgspec.json.encode(wanted.choice).decode())
    if wanted.regex is not None:
        return Shape(ShapeKind.REGEX, wanted.regex)
    if wanted.grammar is not None:
        return Shape(ShapeKind.GRAMMAR, wanted.grammar)
    raise InvalidRequest(
        "'structured_outputs' holds none of json, choice, regex and grammar.",
        param="structured_outputs",
    )


def _template(body: _Body) -> str:
    """Variables for a chat template: the app's own, and how much the model should think."""
    variables = dict(body.chat_template_kwargs or {})
    if body.reasoning_effort is not None:
        variables.setdefault("reasoning_effort", body.reasoning_effort)
        if body.reasoning_effort in ("none", "minimal"):
            variables.setdefault("enable_thinking", False)
    return msgspec.json.encode(variables).decode() if variables else "{}"
