"""The Responses API of the OpenAI dialect: from a body to what is asked for.

Sources: the typed models of the official SDK (``ResponseCreateParams``) and the published reference
of ``POST /responses``; ``presence_penalty`` and ``frequency_penalty`` are as in the Open Responses
specification. What can only be had of the vendor that keeps its state, or would let another model
see what is asked where nobody has judged it, is refused by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from gateway.domain.call import Chat, Message, Sampling, Shape, ShapeKind, Tool, ToolChoice, Tools
from gateway.domain.target import Capability
from gateway.errors import InvalidRequest
from gateway.wire.openai_parameters import (
    ENDLESS,
    NULL,
    check_model,
    check_ranges,
    read,
    thinking,
)
from gateway.wire.openai_responses_items import WrittenItem, item_needs, missing, turns
from gateway.wire.whole import Whole

SCORES = "message.output_text.logprobs"
"""What is to be included so that an answer's tokens are scored."""
INCLUDABLE = frozenset(
    {
        SCORES,
        "file_search_call.results",
        "web_search_call.results",
        "web_search_call.action.sources",
        "message.input_image.image_url",
        "computer_call_output.output.image_url",
        "code_interpreter_call.outputs",
        "reasoning.encrypted_content",
    }
)
MOST_METADATA = 16
LONGEST_KEY = 64
LONGEST_VALUE = 512
_RANGES = (
    ("temperature", 0.0, 2.0),
    ("top_p", 0.0, 1.0),
    ("presence_penalty", -2.0, 2.0),
    ("frequency_penalty", -2.0, 2.0),
    ("top_logprobs", 0, 20),
    ("max_output_tokens", 1, ENDLESS),
    ("max_tool_calls", 1, ENDLESS),
)
BOUNDS = _RANGES
"""For whoever documents ``Body``."""
_REFUSED = {
    "background": "an answer is always waited for here: send the request without it",
    "background_options": "an answer is always waited for here: send the request without it",
    "conversation": "conversations are not kept here: follow an answer by 'previous_response_id'",
    "prompt": "templates are kept by the vendor alone: send 'instructions' and 'input'",
    "context_management": "nothing is compacted here: send the items that are to be seen",
    "moderation": "ask POST /v1/moderations, whose model is one that policy allows",
    "access_programs": "they are of the vendor's own accounts: send the request without it",
}
"""Parameters that no target is given, and what to do instead."""
_DEFAULTS: tuple[object, ...] = (None, False, [], {})


class _Format(msgspec.Struct):
    type: Literal["text", "json_object", "json_schema"]
    name: str | None = None
    schema: msgspec.Raw = NULL
    strict: bool | None = None


class _Text(msgspec.Struct):
    format: _Format | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class _Reasoning(msgspec.Struct):
    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None
    generate_summary: Literal["auto", "concise", "detailed"] | None = None
    context: Literal["auto", "current_turn", "all_turns"] | None = None
    mode: str | None = None


class _Tool(msgspec.Struct):
    type: str
    name: str | None = None
    description: str | None = None
    parameters: msgspec.Raw = NULL
    strict: bool | None = None


class _Allowed(msgspec.Struct):
    type: str = ""
    name: str | None = None


class _ToolChoice(msgspec.Struct):
    type: str
    name: str | None = None
    mode: Literal["auto", "required"] | None = None
    tools: list[_Allowed] | None = None


class _StreamOptions(msgspec.Struct):
    include_obfuscation: bool | None = None


class _Image(msgspec.Struct):
    context_compression: Literal["auto", "enabled", "disabled"] | None = None


class _CacheOptions(msgspec.Struct):
    mode: Literal["implicit", "explicit"] | None = None
    ttl: str | None = None
    prewarm: bool | None = None


class Body(msgspec.Struct, kw_only=True):
    """A body as it stands. Other parameters pass through untouched."""

    model: str
    input: str | list[WrittenItem] | None = None
    instructions: str | None = None
    previous_response_id: str | None = None
    store: bool | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    tools: list[_Tool] | None = None
    tool_choice: Literal["none", "auto", "required"] | _ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    max_tool_calls: Whole | None = None
    max_output_tokens: Whole | None = None
    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    top_logprobs: Whole | None = None
    include: list[str] | None = None
    text: _Text | None = None
    reasoning: _Reasoning | None = None
    truncation: Literal["auto", "disabled"] | None = None
    metadata: dict[str, str] | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    prompt_cache_options: _CacheOptions | None = None
    service_tier: str | None = None
    image: _Image | None = None
    background: bool | None = None
    background_options: Any = None
    conversation: Any = None
    prompt: Any = None
    context_management: Any = None
    moderation: Any = None
    access_programs: Any = None


class _Items(msgspec.Struct):
    input: str | list[msgspec.Raw] | None = None


@dataclass(frozen=True, slots=True)
class ResponsesRequest:
    """What the engine needs beside the bytes themselves. ``body`` is the app's own, the items of
    the history put before its ``input``; ``input`` are the app's items alone, each a JSON object.
    ``padded`` says that the stream's deltas are to be obfuscated.
    """

    model: str
    stream: bool
    body: bytes
    chat: Chat
    needs: frozenset[Capability]
    session: str | None
    store: bool
    previous: str | None
    input: tuple[bytes, ...]
    padded: bool


_bodies = msgspec.json.Decoder(Body)
_items = msgspec.json.Decoder(_Items)
_item = msgspec.json.Decoder(WrittenItem)
_objects = msgspec.json.Decoder(dict[str, msgspec.Raw])


def parse(body: bytes) -> Body:
    """Read a body. Raises ``InvalidRequest`` that names the parameter."""
    parsed = read(_bodies, body)
    _check(parsed)
    return parsed


def asked(parsed: Body, body: bytes, history: Sequence[bytes] = ()) -> ResponsesRequest:
    """What is asked for by ``body``, which has been ``parsed``, behind the items of ``history``.
    Raises ``InvalidRequest``.
    """
    own = _own(parsed.input, body)
    before = [(f"history[{at}]", _item.decode(item)) for at, item in enumerate(history)]
    given = parsed.input or []
    listed = [WrittenItem(role="user", content=given)] if isinstance(given, str) else given
    items = [*before, *((f"input[{at}]", item) for at, item in enumerate(listed))]
    messages = turns(items)
    if parsed.instructions:
        messages.insert(0, Message("system", parsed.instructions))
    if not messages and not items:
        raise InvalidRequest(
            "'input' is empty: at least one item is needed.",
            param="input",
            code="missing_required_parameter" if parsed.input is None else "empty_array",
        )
    return ResponsesRequest(
        model=parsed.model,
        stream=bool(parsed.stream),
        body=_behind(history, own, body) if history else body,
        chat=_chat(parsed, messages),
        needs=frozenset((*_needs(parsed), *item_needs(item for _, item in items))),
        session=parsed.prompt_cache_key or parsed.user or parsed.safety_identifier or None,
        store=parsed.store is not False,
        previous=parsed.previous_response_id,
        input=own,
        padded=bool(parsed.stream_options and parsed.stream_options.include_obfuscation),
    )


def _own(given: str | list[WrittenItem] | None, body: bytes) -> tuple[bytes, ...]:
    """The app's items as they came; a text is a message of the user's."""
    if isinstance(given, str):
        part = {"type": "input_text", "text": given}
        said = {"type": "message", "role": "user", "content": [part]}
        return (msgspec.json.encode(said),)
    listed = _items.decode(body).input if given else None
    return tuple(map(bytes, listed)) if isinstance(listed, list) else ()


def _behind(history: Sequence[bytes], own: Sequence[bytes], body: bytes) -> bytes:
    """A body that says itself what it follows."""
    members = _objects.decode(body)
    members.pop("previous_response_id", None)
    members["input"] = msgspec.Raw(b"[%b]" % b",".join((*history, *own)))
    return msgspec.json.encode(members)


def _check(body: Body) -> None:
    check_model(body.model)
    check_ranges(body, _RANGES)
    for name, instead in _REFUSED.items():
        if getattr(body, name) not in _DEFAULTS:
            raise _refused(name, instead)
    if body.image is not None and body.image.context_compression == "enabled":
        raise _refused("image.context_compression", "images are shown as they are")
    if body.prompt_cache_options is not None and body.prompt_cache_options.prewarm:
        raise _refused("prompt_cache_options.prewarm", "send the request when it is to be answered")
    if body.stream_options is not None and not body.stream:
        raise InvalidRequest(
            "'stream_options' is only allowed with 'stream': true.", param="stream_options"
        )
    for number, name in enumerate(body.include or ()):
        if name not in INCLUDABLE:
            raise InvalidRequest(
                f"Invalid value: {name[:64]!r}. Supported are {', '.join(sorted(INCLUDABLE))}.",
                param=f"include[{number}]",
            )
    _check_metadata(body.metadata or {})


def _check_metadata(metadata: dict[str, str]) -> None:
    if len(metadata) > MOST_METADATA:
        raise InvalidRequest(f"'metadata' holds more than {MOST_METADATA} pairs.", param="metadata")
    for key, value in metadata.items():
        if len(key) > LONGEST_KEY or len(value) > LONGEST_VALUE:
            raise InvalidRequest(
                f"'metadata' takes keys of at most {LONGEST_KEY} characters, and values of at most "
                f"{LONGEST_VALUE}.",
                param="metadata",
            )


def _refused(name: str, instead: str) -> InvalidRequest:
    return InvalidRequest(
        f"'{name}' is not supported: {instead}.", param=name, code="unsupported_parameter"
    )


def _needs(body: Body) -> Iterator[Capability]:
    choice, tools = body.tool_choice, body.tools or ()
    if tools and choice != "none":
        yield Capability.TOOLS
    if any(tool.type != "function" for tool in tools):
        yield Capability.OTHER_TOOLS
    if isinstance(choice, _ToolChoice) and choice.type not in ("function", "allowed_tools"):
        yield Capability.OTHER_TOOLS
    if body.text is not None and body.text.format is not None:
        if body.text.format.type == "json_schema":
            yield Capability.JSON_SCHEMA
        elif body.text.format.type == "json_object":
            yield Capability.JSON_OBJECT
    if _scores(body) is not None:
        yield Capability.LOGPROBS


def _scores(body: Body) -> int | None:
    """As ``Chat.logprobs``. Who wants likely tokens told wants to see them."""
    included = SCORES in (body.include or ())
    return body.top_logprobs or 0 if included or body.top_logprobs else None


def _chat(body: Body, messages: Sequence[Message]) -> Chat:
    return Chat(
        messages=tuple(messages),
        sampling=Sampling(
            temperature=body.temperature,
            top_p=body.top_p,
            presence_penalty=body.presence_penalty or 0.0,
            frequency_penalty=body.frequency_penalty or 0.0,
        ),
        max_tokens=body.max_output_tokens,
        tools=_tools(body),
        shape=_shape(body),
        logprobs=_scores(body),
        template=_template(body),
        trims=body.truncation == "auto",
    )


def _tools(body: Body) -> Tools | None:
    tools = tuple(
        _tool(tool, f"tools[{number}]")
        for number, tool in enumerate(body.tools or ())
        if tool.type == "function"
    )
    choice, named = body.tool_choice, None
    mode = ToolChoice(choice) if isinstance(choice, str) else ToolChoice.AUTO
    if isinstance(choice, _ToolChoice) and choice.type == "function":
        if choice.name is None:
            raise missing("tool_choice.name")
        mode, named = ToolChoice.REQUIRED, choice.name
        _check_named(named, tools)
    elif isinstance(choice, _ToolChoice) and choice.type == "allowed_tools":
        mode = ToolChoice(choice.mode or "auto")
        tools = tuple(_allowed(choice, tools))
    parallel = body.parallel_tool_calls is not False
    return Tools(tools, mode, named, parallel) if tools else None


def _allowed(choice: _ToolChoice, tools: Sequence[Tool]) -> Iterator[Tool]:
    names = {one.name for one in choice.tools or () if one.type == "function"}
    for name in sorted(name for name in names if name is not None):
        _check_named(name, tools)
    return (tool for tool in tools if tool.name in names)


def _check_named(name: str, tools: Sequence[Tool]) -> None:
    if name not in {tool.name for tool in tools}:
        raise InvalidRequest(
            f"'tool_choice' names {name[:64]!r}, which is none of 'tools'.", param="tool_choice"
        )


def _tool(tool: _Tool, path: str) -> Tool:
    if not tool.name:
        raise missing(f"{path}.name")
    schema = bytes(tool.parameters).decode()
    plain = Tool(tool.name, tool.description or "", strict=bool(tool.strict))
    return plain if schema == "null" else replace(plain, schema=schema)


def _shape(body: Body) -> Shape | None:
    wanted = body.text.format if body.text is not None else None
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return Shape(ShapeKind.JSON_OBJECT)
    if not wanted.name:
        raise missing("text.format.name")
    schema = bytes(wanted.schema).decode()
    if schema == "null":
        raise missing("text.format.schema")
    return Shape(ShapeKind.JSON_SCHEMA, schema, bool(wanted.strict))


def _template(body: Body) -> str:
    """Variables for a chat template: how much the model should think, and say."""
    variables: dict[str, object] = {}
    if body.reasoning is not None and body.reasoning.effort is not None:
        thinking(variables, body.reasoning.effort)
    if body.text is not None and body.text.verbosity is not None:
        variables["verbosity"] = body.text.verbosity
    return msgspec.json.encode(variables).decode() if variables else "{}"
