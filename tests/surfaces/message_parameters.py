"""Each parameter of ``POST /v1/messages``, and what the local model makes of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from gateway.domain.target import Capability
from tests.surfaces.chat_parameters import GUIDE, PERSON, PIXEL, QUESTION
from tests.surfaces.rows import Answer, Effect, Row, hint, honoured, refused

PLAIN: Mapping[str, Any] = {
    "model": "mine",
    "messages": [{"role": "user", "content": QUESTION}],
    "max_tokens": 12,
    "temperature": 0,
}
FORMER = frozenset({"temperature", "top_p", "top_k", "output_format"})
"""Parameters of the reference, or of earlier versions of the SDK, that it has no more."""
HEADERS = frozenset({"betas", "user_profile_id", "workspace_id"})
"""What the SDK sends as headers. Of these the vendor is told ``anthropic-beta`` alone: whose the
account is, the channel's key says.
"""


def tool(name: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"city": {"enum": ["Paris"]}}, "required": ["city"]}
    return {"name": name, "input_schema": schema}


TOOLS = [tool("weather"), tool("news")]


def blocks(answer: Answer, kind: str) -> list[dict[str, Any]]:
    """Those of an answer that is whole."""
    return [block for block in answer["content"] if block["type"] == kind]


def said(answer: Answer) -> str:
    """The text, whole or in the events of a stream."""
    if "events" in answer:
        deltas = [
            event["delta"] for event in answer["events"] if "index" in event and "delta" in event
        ]
        return "".join(delta.get("text", "") for delta in deltas)
    return "".join(block["text"] for block in blocks(answer, "text"))


def prompt(answer: Answer) -> int:
    """How many tokens the prompt has."""
    usage = answer["usage"]
    return int(usage["input_tokens"] + usage["cache_read_input_tokens"])


def longer(answer: Answer, plain: Answer) -> bool:
    return prompt(answer) > prompt(plain)


def same(answer: Answer, plain: Answer) -> bool:
    return said(answer) == said(plain)


def called(*names: str) -> Any:
    return lambda answer, _: [call["name"] for call in blocks(answer, "tool_use")] == list(names)


def user(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": [*blocks, {"type": "text", "text": QUESTION}]}


def turns(*blocks: dict[str, Any]) -> list[dict[str, Any]]:
    """A conversation whose assistant has said these."""
    return [
        {"role": "user", "content": "Hello."},
        {"role": "assistant", "content": [*blocks, {"type": "text", "text": "Hello."}]},
        user(),
    ]


def _messages(kind: str, *found: dict[str, Any], **more: Any) -> Row:
    return honoured("messages", {"messages": list(found), **more}, longer, kind)


def _unseen(block: dict[str, Any]) -> Row:
    """Earlier thoughts: the template of this model does not show them."""
    sends, baseline = {"messages": turns(block)}, {"messages": turns()}
    return Row("messages", sends, Effect.HINT, block["type"], baseline=baseline)


def _document(**source: Any) -> dict[str, Any]:
    return {"type": "document", "source": source, "title": "A guide to the city"}


USE = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Paris"}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "rain"}
FOUND = {
    "type": "search_result",
    "source": "https://example.org",
    "title": "Paris",
    "content": [{"type": "text", "text": "A city."}],
}
WORDS = {"type": "text", "media_type": "text/plain", "data": "Paris is a city."}
CITED = {"citations": {"enabled": True}}
IMAGE = {
    "type": "base64",
    "media_type": "image/png",
    "data": PIXEL.partition(",")[2],
}
OF_SERVERS = (
    *("server_tool_use", "web_search_tool_result", "web_fetch_tool_result"),
    *("code_execution_tool_result", "bash_code_execution_tool_result"),
    *("text_editor_code_execution_tool_result", "tool_search_tool_result"),
    *("mcp_tool_use", "mcp_tool_result", "advisor_tool_result"),
)
"""Blocks of tools that the vendor runs."""
OF_ONE_VENDOR = ("compaction", "fallback", "mcp_tool_listing", "tool_addition", "tool_removal")
"""Blocks that mean something to one vendor alone."""


def _refused(kind: str, lacks: Capability, *found: dict[str, Any]) -> Row:
    return refused("messages", list(found), lacks, kind)


MESSAGES = (
    _messages("text", user({"type": "text", "text": "Tell me."})),
    _messages("system", {"role": "system", "content": GUIDE}, user()),
    _messages("tool_use", *turns()[:1], {"role": "assistant", "content": [USE]}, user(RESULT)),
    _messages(
        "tool_result",
        *turns()[:1],
        {"role": "assistant", "content": [USE]},
        user({**RESULT, "content": [{"type": "text", "text": "no such city"}], "is_error": True}),
    ),
    _unseen({"type": "thinking", "thinking": "Well.", "signature": "s"}),
    _unseen({"type": "redacted_thinking", "data": "x"}),
    _messages("search_result", user(FOUND)),
    _messages("document", user(_document(**WORDS))),
    _messages(
        "document of blocks",
        user(_document(type="content", content=[{"type": "text", "text": "A city."}])),
    ),
    _refused("document: base64", Capability.FILES, user(_document(type="base64", data="JVBERi0="))),
    _refused(
        "document: url", Capability.FILES, user(_document(type="url", url="https://a.example"))
    ),
    _refused("document: file", Capability.FILES, user(_document(type="file", file_id="file_1"))),
    _refused(
        "document with citations", Capability.CITATIONS, user({**_document(**WORDS), **CITED})
    ),
    _refused("search_result with citations", Capability.CITATIONS, user({**FOUND, **CITED})),
    _refused("image", Capability.IMAGES, user({"type": "image", "source": IMAGE})),
    _refused(
        "image in a tool's result",
        Capability.IMAGES,
        *turns()[:1],
        {"role": "assistant", "content": [USE]},
        user({**RESULT, "content": [{"type": "image", "source": IMAGE}]}),
    ),
    _refused(
        "container_upload", Capability.FILES, user({"type": "container_upload", "file_id": "f"})
    ),
    *(_refused(kind, Capability.OTHER_TOOLS, *turns({"type": kind})) for kind in OF_SERVERS),
    *(_refused(kind, Capability.OTHER_CONTENT, *turns({"type": kind})) for kind in OF_ONE_VENDOR),
)
CHOICES = (
    honoured("tool_choice", {"tools": TOOLS, "tool_choice": {"type": "none"}}, called(), "none"),
    honoured("tool_choice", {"tools": TOOLS, "tool_choice": {"type": "auto"}}, longer, "auto"),
    honoured(
        "tool_choice",
        {"tools": TOOLS[:1], "tool_choice": {"type": "any", "disable_parallel_tool_use": True}}
        | {"max_tokens": 60},
        called("weather"),
        "any",
    ),
    honoured(
        "tool_choice",
        {"tools": TOOLS, "tool_choice": {"type": "tool", "name": "news"}, "max_tokens": 60},
        called("news"),
        "tool",
    ),
)
FORMAT = {"type": "json_schema", "schema": PERSON}


def _is_person(answer: Answer, plain: Answer) -> bool:
    return bool(json.loads(said(answer)) == {"name": "Ada"})


ROWS: tuple[Row, ...] = (
    *MESSAGES,
    honoured("model", {}, lambda answer, _: answer["model"] == "mine"),
    honoured("max_tokens", {"max_tokens": 3}, lambda a, _: a["usage"]["output_tokens"] == 3),
    refused("max_tokens", 0, Capability.PREWARM, "0"),
    hint("billing_policy", {"type": "billing_policy", "bill_to": "self"}),
    hint("cache_control", {"type": "ephemeral"}),
    refused("compaction", {"type": "compaction"}, Capability.COMPACTION),
    refused("container", "container_1", Capability.OTHER_TOOLS),
    hint("context_management", {"edits": [{"type": "clear_tool_uses_20250919"}]}, "clear_…"),
    refused(
        "context_management",
        {"edits": [{"type": "compact_20260112"}]},
        Capability.CONTEXT_MANAGEMENT,
        "compact_…",
    ),
    hint("diagnostics", {"previous_message_id": None}),
    hint("fallback_credit_token", "t"),
    hint("fallbacks", "default"),
    hint("inference_geo", "us"),
    refused("mcp_servers", [{"type": "url", "url": "https://a.example"}], Capability.OTHER_TOOLS),
    hint("metadata", {"user_id": "someone"}),
    honoured(
        "output_config",
        {"output_config": {"format": FORMAT}, "max_tokens": 40},
        _is_person,
        "format",
    ),
    hint("output_config", {"effort": "high"}, "effort"),
    honoured("output_format", {"output_format": FORMAT, "max_tokens": 40}, _is_person),
    hint("service_tier", "standard_only"),
    hint("speed", "fast"),
    honoured(
        "stop_sequences",
        {"stop_sequences": ["Paris"]},
        lambda a, _: (a["stop_reason"], a["stop_sequence"]) == ("stop_sequence", "Paris"),
    ),
    honoured("stream", {"stream": True}, same),
    honoured("system", {"system": GUIDE}, longer),
    honoured(
        "system",
        {"system": [{"type": "text", "text": GUIDE, "cache_control": {"type": "ephemeral"}}]},
        longer,
        "blocks",
    ),
    honoured("temperature", {"temperature": 1.0, "top_k": 1}, same),
    honoured("top_k", {"temperature": 1.0, "top_k": 1}, same),
    honoured("top_p", {"temperature": 1.0, "top_p": 0.0001}, same),
    hint("thinking", {"type": "enabled", "budget_tokens": 1024}, "enabled"),
    hint("thinking", {"type": "adaptive", "display": "omitted"}, "adaptive"),
    hint("thinking", {"type": "disabled"}, "disabled"),
    hint("thinking", {"type": "between_tools"}, "between_tools"),
    hint("thread", {"type": "create"}, "create"),
    refused(
        "thread",
        {"type": "continue", "previous_message_id": "msg_1"},
        Capability.THREADS,
        "continue",
    ),
    honoured("tools", {"tools": TOOLS}, longer, "custom"),
    refused(
        "tools",
        [{"type": "web_search_20250305", "name": "web_search"}],
        Capability.OTHER_TOOLS,
        "of the vendor's",
    ),
    *CHOICES,
)
