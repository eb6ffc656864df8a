"""The Anthropic dialect: from a body of ``POST /v1/messages`` to what is asked for.

Sources: the typed models of the official SDK (``MessageCreateParams``) and the published reference.
``temperature``, ``top_p`` and ``top_k`` are in the reference, and were in the SDK up to its first
major version. ``output_format`` at the top is what ``output_config.format`` was called in its beta.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import msgspec

from gateway.domain.call import (
    Chat,
    Message,
    Sampling,
    Shape,
    ShapeKind,
    Tool,
    ToolChoice,
    Tools,
    Unread,
)
from gateway.domain.target import Capability
from gateway.errors import InvalidRequest
from gateway.wire.alone import Reading
from gateway.wire.anthropic_content import (
    WrittenBlock,
    WrittenMessage,
    block_needs,
    fault,
    missing,
    turns,
)
from gateway.wire.anthropic_skimmed import SkimmedBlock, SkimmedMessage, skimmed
from gateway.wire.model_name import LONG
from gateway.wire.openai_parameters import EFFORTS
from gateway.wire.skimmed import Unskimmable, spelt_out
from gateway.wire.whole import Whole

_NULL = msgspec.Raw(b"null")
_INDEX = re.compile(r"\[(\d+|\.\.\.)\]")
_LEAST_BUDGET = 1024
_THINKS = {"enabled": True, "disabled": False, "between_tools": False}
_CLEARS = "clear_"
"""How the kinds of edits are called that only take out what is in the way: who has room for all of
it need not.
"""
_ANYWHERE = "global"


class _Format(msgspec.Struct):
    type: str
    schema: msgspec.Raw = _NULL


class _OutputConfig(msgspec.Struct):
    effort: str | None = None
    format: _Format | None = None


class _Thinking(msgspec.Struct):
    type: str
    budget_tokens: Whole | None = None
    display: str | None = None


class _Tool(msgspec.Struct):
    type: str | None = None
    name: str | None = None
    description: str | None = None
    input_schema: msgspec.Raw = _NULL
    strict: bool | None = None

    @property
    def own(self) -> bool:
        """Whether it is a function of the app's, and none that the vendor defines or runs."""
        return self.type in (None, "custom")


class _ToolChoice(msgspec.Struct):
    type: str
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class _Metadata(msgspec.Struct):
    user_id: str | None = None


class _Edit(msgspec.Struct):
    type: str


class _ContextManagement(msgspec.Struct):
    edits: list[_Edit] = []


class _Thread(msgspec.Struct):
    type: str


class _Around(msgspec.Struct, kw_only=True):
    """What the gateway must know of a request. Other parameters pass through untouched."""

    model: str
    max_tokens: Whole | None = None
    stream: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: Whole | None = None
    stop_sequences: list[str] | None = None
    tools: list[_Tool] | None = None
    tool_choice: _ToolChoice | None = None
    thinking: _Thinking | None = None
    output_config: _OutputConfig | None = None
    output_format: _Format | None = None
    metadata: _Metadata | None = None
    container: Any = None
    mcp_servers: list[Any] | None = None
    inference_geo: str | None = None
    context_management: _ContextManagement | None = None
    compaction: Any = None
    thread: _Thread | None = None


class _Body(_Around, kw_only=True):
    messages: list[WrittenMessage]
    system: str | list[WrittenBlock] | None = None


class _SkimmedBody(_Around, kw_only=True):
    messages: list[SkimmedMessage]
    system: str | list[SkimmedBlock] | None = None


class MessagesRequest(msgspec.Struct, frozen=True):
    """A parsed body: what the engine needs beside the bytes themselves. ``asked`` and ``alone`` are
    as in ``Call``; ``user`` is the app's own name for whoever asks it; ``discreet`` says that
    thoughts are not to be told.
    """

    model: str
    stream: bool
    asked: Chat | Unread
    needs: frozenset[Capability]
    user: str | None = None
    discreet: bool = False
    alone: bool = False

    @property
    def chat(self) -> Chat:
        """The whole chat. Raises ``InvalidRequest`` as ``Unread`` does."""
        return self.asked.chat if isinstance(self.asked, Unread) else self.asked


_decoder = msgspec.json.Decoder(_Body)
_long = Reading(_SkimmedBody)
_RANGES: tuple[tuple[str, float, float], ...] = (
    ("max_tokens", 0, float("inf")),
    ("temperature", 0.0, 1.0),
    ("top_p", 0.0, 1.0),
    ("top_k", 0, float("inf")),
)
BODY = _Body
BOUNDS = _RANGES
"""For whoever documents it, as is ``BODY``."""


def parse(body: bytes, *, counting: bool = False) -> MessagesRequest:
    """Read the body of a request for a message or, where ``counting``, for the count of its tokens.
    Raises ``InvalidRequest`` that names the parameter.
    """
    # What only counts is rare, and often counted by who reads it.
    if len(body) >= LONG and not counting and (skimmed := _skimmed(body)) is not None:
        return skimmed
    parsed = _read(body)
    _check(parsed, parsed.messages, counting=counting)
    return _request(parsed, _chat(parsed), _messages_needs(parsed), alone=False)


def _read(body: bytes) -> _Body:
    try:
        return _decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(
            f"The body is not valid JSON: {error}. Send one JSON object.", code="invalid_json"
        ) from None


def _skimmed(body: bytes) -> MessagesRequest | None:
    """Of a long body; ``None`` where it is to be read as all are, which says what is wrong."""
    try:
        parsed, alone = _long.read(body)
        found = skimmed(parsed.messages, parsed.system)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, Unskimmable):
        return None
    _check(parsed, parsed.messages, counting=False)
    whole = partial(_whole, body)
    if parsed.messages[-1].role == "assistant" or spelt_out(body):
        return _request(parsed, whole(), found.needs, alone=alone)
    asked = Unread(_around(parsed, ()), found.turns, found.size, found.images, whole)
    return _request(parsed, asked, found.needs, alone=alone)


def _whole(body: bytes) -> Chat:
    return _chat(_read(body))


def _request(
    body: _Around, asked: Chat | Unread, needs: Iterable[Capability], *, alone: bool
) -> MessagesRequest:
    """``needs`` are those of the messages."""
    return MessagesRequest(
        model=body.model,
        stream=bool(body.stream),
        asked=asked,
        needs=frozenset((*needs, *_needs(body))),
        user=body.metadata.user_id if body.metadata is not None else None,
        discreet=body.thinking is not None and body.thinking.display == "omitted",
        alone=alone,
    )


def _invalid(text: str) -> InvalidRequest:
    """msgspec ends its message with ``- at `$.path```: that path is the parameter."""
    message, _, path = text.partition(" - at `$")
    param = _INDEX.sub(r".\1", path.rstrip("`").lstrip("."))
    if message.startswith("Object missing required field"):
        field = message.split("`")[1]
        return missing(f"{param}.{field}" if param else field)
    return fault(param, message, "invalid_type") if param else InvalidRequest(message)


def _check(body: _Around, messages: Sequence[object], *, counting: bool) -> None:
    if body.max_tokens is None and not counting:
        raise missing("max_tokens")
    if not body.model:
        raise fault("model", "String should have at least 1 character")
    if not messages:
        raise fault("messages", "at least one message is required", "empty_array")
    for name, low, high in _RANGES:
        value = getattr(body, name)
        if value is not None and not low <= value <= high:
            bound = f"at least {low:g}" if high == float("inf") else f"from {low:g} to {high:g}"
            raise fault(name, f"{value:g} is out of range: it must be {bound}")
    if any(not text.strip() for text in body.stop_sequences or ()):
        raise fault("stop_sequences", "each stop sequence must contain non-whitespace")
    thinking = body.thinking
    if thinking is not None and thinking.type == "enabled":
        if thinking.budget_tokens is None:
            raise missing("thinking.enabled.budget_tokens")
        if thinking.budget_tokens < _LEAST_BUDGET:
            raise fault(
                "thinking.enabled.budget_tokens",
                f"Input should be greater than or equal to {_LEAST_BUDGET}",
            )


def _messages_needs(body: _Body) -> Iterator[Capability]:
    for content in (body.system, *(message.content for message in body.messages)):
        if isinstance(content, list):
            yield from block_needs(content)


def _needs(body: _Around) -> Iterator[Capability]:
    """What a target must be able to do for what stands around the messages."""
    choice = body.tool_choice.type if body.tool_choice is not None else "auto"
    if body.tools and choice != "none":
        yield Capability.TOOLS
    if any(not tool.own for tool in body.tools or ()) or body.mcp_servers or body.container:
        yield Capability.OTHER_TOOLS
    if _format(body) is not None:
        yield Capability.JSON_SCHEMA
    if body.max_tokens == 0:
        yield Capability.PREWARM
    if body.inference_geo not in (None, _ANYWHERE):
        yield Capability.PLACE
    managed = body.context_management
    if managed is not None and not all(edit.type.startswith(_CLEARS) for edit in managed.edits):
        yield Capability.CONTEXT_MANAGEMENT
    if body.compaction is not None:
        yield Capability.COMPACTION
    # One that begins has all its messages here; SDKs that are told that there is none to go on with
    # begin another.
    if body.thread is not None and body.thread.type != "create":
        yield Capability.THREADS


def _chat(body: _Body) -> Chat:
    messages: list[Message] = []
    if body.system:
        messages += turns(WrittenMessage("system", body.system), "system")
    for number, message in enumerate(body.messages):
        messages += turns(message, f"messages.{number}")
    prefill = ""
    last = messages[-1]
    if body.messages[-1].role == "assistant" and not last.calls:
        messages, prefill = messages[:-1], last.content
    return _around(body, tuple(messages), prefill)


def _around(body: _Around, messages: tuple[Message, ...], prefill: str = "") -> Chat:
    return Chat(
        messages=messages,
        sampling=Sampling(temperature=body.temperature, top_p=body.top_p, top_k=body.top_k),
        max_tokens=body.max_tokens or None,
        stop=tuple(body.stop_sequences or ()),
        tools=_tools(body),
        shape=_shape(body),
        prefill=prefill,
        template=_template(body),
    )


def _tools(body: _Around) -> Tools | None:
    listed = body.tools or []
    own = tuple(_tool(tool, f"tools.{number}") for number, tool in enumerate(listed) if tool.own)
    choice = body.tool_choice or _ToolChoice("auto")
    named = None
    if choice.type == "tool":
        named = choice.name
        if named is None:
            raise missing("tool_choice.tool.name")
        if named not in {tool.name for tool in listed}:
            raise fault("tool_choice", f"Tool {named[:64]!r} not found in provided tools")
    if not own:
        return None
    mode = {"any": ToolChoice.REQUIRED, "tool": ToolChoice.REQUIRED, "none": ToolChoice.NONE}
    return Tools(
        available=own,
        choice=mode.get(choice.type, ToolChoice.AUTO),
        named=named,
        parallel=not choice.disable_parallel_tool_use,
    )


def _tool(tool: _Tool, path: str) -> Tool:
    schema = bytes(tool.input_schema).decode()
    if not tool.name:
        raise missing(f"{path}.custom.name")
    if not schema.startswith("{"):
        raise missing(f"{path}.custom.input_schema")
    return Tool(tool.name, tool.description or "", schema, bool(tool.strict))


def _format(body: _Around) -> _Format | None:
    configured = body.output_config.format if body.output_config is not None else None
    return configured or body.output_format


def _shape(body: _Around) -> Shape | None:
    """A schema always holds: the API knows no other kind."""
    wanted = _format(body)
    if wanted is None:
        return None
    schema = bytes(wanted.schema).decode()
    if wanted.type != "json_schema" or not schema.startswith("{"):
        raise fault("output_config.format", "it must be of type json_schema, and have a schema")
    return Shape(ShapeKind.JSON_SCHEMA, schema)


def _template(body: _Around) -> str:
    """Variables for a chat template: whether the model should think, and how much."""
    variables: dict[str, object] = {}
    effort = body.output_config.effort if body.output_config is not None else None
    if effort is not None:
        variables["reasoning_effort"] = EFFORTS.get(effort, effort)
    if body.thinking is not None and body.thinking.type in _THINKS:
        variables["enable_thinking"] = _THINKS[body.thinking.type]
    return msgspec.json.encode(variables).decode() if variables else "{}"
