"""A chat as the body of an OpenAI chat completion: for a target of that dialect, where the app
speaks another.

Sources: the published OpenAPI document of the OpenAI API, ``POST /chat/completions``; what only
servers of our own are told is as in vLLM's. Vendors refuse parameters that they do not know, so
what cannot be said in the published ones is not said to them, where it is only a wish, and is a
fault of the target where it is more.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from gateway.domain.call import (
    Call,
    Chat,
    Image,
    Message,
    Shape,
    ShapeKind,
    Tool,
    ToolChoice,
    Tools,
)
from gateway.domain.identity import Locality
from gateway.domain.target import Capability, Target
from gateway.errors import CapabilityMissing

PREFIXED = frozenset({"mistral", "deepseek"})
"""Channels that go on with an assistant's turn where it says that it is a prefix."""
MOST_STOPS = 4
NAME = "answer"
"""What a schema is called, where the app's dialect has no name for one."""
UNTOLD = frozenset(
    {
        Capability.AUDIO,
        Capability.CITATIONS,
        Capability.COMPACTION,
        Capability.CONTEXT_MANAGEMENT,
        Capability.FILES,
        Capability.MODERATION,
        Capability.OTHER_CONTENT,
        Capability.OTHER_FORMATS,
        Capability.OTHER_TOOLS,
        Capability.PLACE,
        Capability.PREWARM,
        Capability.THREADS,
        Capability.WEB_SEARCH,
    }
)
"""What a chat does not hold: only a target of the app's own dialect can be given it."""
OWN_PLACE = frozenset({Capability.PLACE})
"""What holds wherever the operator's own servers stand: nothing leaves them."""


@dataclass(frozen=True, slots=True)
class Listener:
    """What a target takes. ``own``: the further parameters of vLLM's server, which other servers
    of our own ignore. ``newer``: its model is one of OpenAI's, the newest of which take the limit
    of an answer by its newer name alone. ``prefixed``: as ``PREFIXED`` says.
    """

    own: bool = False
    newer: bool = False
    prefixed: bool = False

    @classmethod
    def at(cls, target: Target) -> Listener:
        own = target.locality is Locality.SOVEREIGN
        return cls(
            own=own,
            newer=not own and target.identity.developer == "openai",
            prefixed=target.identity.channel in PREFIXED,
        )


def written(call: Call, target: Target) -> bytes:
    """The body that asks a target for the answer to a call. Raises ``CapabilityMissing`` where it
    cannot be said in this dialect.
    """
    listener = Listener.at(target)
    untold = sorted(call.needs & (UNTOLD - OWN_PLACE if listener.own else UNTOLD))
    if untold:
        raise CapabilityMissing(
            f"What needs {untold[0]} cannot be carried over to another API.", param=untold[0]
        )
    if not isinstance(call.task, Chat):
        raise CapabilityMissing("This target can only be asked for an answer.", param="model")
    body = {"model": target.model, **chat_members(call.task, listener)}
    if call.stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return msgspec.json.encode(body)


def chat_members(chat: Chat, listener: Listener) -> dict[str, Any]:
    """A chat as members of a body. Raises ``CapabilityMissing`` as ``written`` does."""
    messages = [_message(message, listener) for message in chat.messages]
    if chat.prefill:
        begun: dict[str, Any] = {"role": "assistant", "content": chat.prefill}
        messages.append({**begun, "prefix": True} if listener.prefixed else begun)
    return {
        "messages": messages,
        **dict(_sampling(chat, listener)),
        **dict(_wishes(chat, listener)),
    }


def _message(message: Message, listener: Listener) -> dict[str, Any]:
    written: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.images:
        written["content"] = list(_parts(message.content, message.images))
    if message.calls:
        # The API takes no empty text beside calls.
        written["content"] = written["content"] or None
        written["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in message.calls
        ]
    if message.call_id is not None:
        written["tool_call_id"] = message.call_id
    if message.name is not None:
        written["name"] = message.name
    if message.reasoning is not None and listener.own:
        written["reasoning_content"] = message.reasoning
    return written


def _parts(text: str, images: tuple[Image, ...]) -> Iterator[dict[str, Any]]:
    """The text with its images at their places."""
    start = 0
    for image in images:
        if image.at > start:
            yield {"type": "text", "text": text[start : image.at]}
            start = image.at
        yield {"type": "image_url", "image_url": {"url": image.url}}
    if start < len(text):
        yield {"type": "text", "text": text[start:]}


def _sampling(chat: Chat, listener: Listener) -> Iterator[tuple[str, Any]]:
    sampling = chat.sampling
    published = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "presence_penalty": sampling.presence_penalty or None,
        "frequency_penalty": sampling.frequency_penalty or None,
        "seed": sampling.seed,
        "logit_bias": {str(token): add for token, add in sampling.logit_bias} or None,
    }
    further = {
        "top_k": sampling.top_k,
        "min_p": sampling.min_p,
        "repetition_penalty": None if sampling.repeat_penalty == 1.0 else sampling.repeat_penalty,
        "ignore_eos": sampling.ignore_end or None,
    }
    for name, value in {**published, **(further if listener.own else {})}.items():
        if value is not None:
            yield name, value


def _wishes(chat: Chat, listener: Listener) -> Iterator[tuple[str, Any]]:
    if chat.max_tokens is not None:
        yield "max_completion_tokens" if listener.newer else "max_tokens", chat.max_tokens
    if chat.stop:
        if len(chat.stop) > MOST_STOPS and not listener.own:
            raise CapabilityMissing(
                f"This target takes no more than {MOST_STOPS} stop sequences.", param="stop"
            )
        yield "stop", list(chat.stop)
    if chat.choices > 1:
        yield "n", chat.choices
    if chat.logprobs is not None:
        yield "logprobs", True
        yield "top_logprobs", chat.logprobs
    if chat.tools is not None:
        yield from _tools(chat.tools, listener)
    if chat.shape is not None:
        yield _shape(chat.shape, listener)
    if listener.own:
        if chat.prefill:
            yield "continue_final_message", True
            yield "add_generation_prompt", False
        if chat.template != "{}":
            yield "chat_template_kwargs", msgspec.Raw(chat.template.encode())


def _tools(tools: Tools, listener: Listener) -> Iterator[tuple[str, Any]]:
    yield "tools", [_tool(tool, listener) for tool in tools.available]
    if tools.named is not None:
        yield "tool_choice", {"type": "function", "function": {"name": tools.named}}
    elif tools.choice is not ToolChoice.AUTO:
        yield "tool_choice", tools.choice.value
    if not tools.parallel:
        yield "parallel_tool_calls", False


def _tool(tool: Tool, listener: Listener) -> dict[str, Any]:
    function: dict[str, Any] = {
        "name": tool.name,
        "parameters": msgspec.Raw(tool.schema.encode()),
    }
    if tool.description:
        function["description"] = tool.description
    if tool.strict and _may_be_strict(tool.schema, listener):
        function["strict"] = True
    return {"type": "function", "function": function}


def _shape(shape: Shape, listener: Listener) -> tuple[str, Any]:
    source = msgspec.Raw(shape.source.encode())
    match shape.kind:
        case ShapeKind.JSON_OBJECT:
            return "response_format", {"type": "json_object"}
        case ShapeKind.JSON_SCHEMA:
            strict = shape.strict and _may_be_strict(shape.source, listener)
            named = {"name": NAME, "schema": source, "strict": strict}
            return "response_format", {"type": "json_schema", "json_schema": named}
        case _ if not listener.own:
            raise CapabilityMissing(
                f"This target cannot hold an answer to a {shape.kind}.",
                param=Capability.STRUCTURED_OUTPUTS,
            )
        case ShapeKind.CHOICE:
            return "structured_outputs", {"choice": source}
        case _:
            return "structured_outputs", {shape.kind.value: shape.source}


def _may_be_strict(schema: str, listener: Listener) -> bool:
    """A vendor's strict mode takes only objects that are closed and have no optional member; with
    any other schema it would refuse the request, which without is answered nearly as well.
    """
    try:
        return listener.own or _closed(json.loads(schema))
    except (ValueError, RecursionError):
        return False


def _closed(schema: object) -> bool:
    if isinstance(schema, list):
        return all(map(_closed, schema))
    if not isinstance(schema, Mapping):
        return True
    properties = schema.get("properties")
    if schema.get("type") == "object" or isinstance(properties, Mapping):
        members = properties if isinstance(properties, Mapping) else {}
        required = schema.get("required")
        if schema.get("additionalProperties") is not False:
            return False
        if set(members) != set(required if isinstance(required, list) else ()):
            return False
    return all(map(_closed, schema.values()))
