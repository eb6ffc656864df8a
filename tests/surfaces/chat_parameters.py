"""Each parameter of ``POST /v1/chat/completions``, and what the local model makes of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from gateway.domain.target import Capability
from tests.surfaces.rows import Answer, Row, Shows, hint, honoured, refused

QUESTION = "In which country is the city of Paris?"
GUIDE = "You are a guide, you know each city of all the countries, and you tell it in a few words."
PLAIN: Mapping[str, Any] = {
    "model": "mine",
    "messages": [{"role": "user", "content": QUESTION}],
    "max_tokens": 12,
    "temperature": 0,
    "seed": 1,
}


def tool(name: str) -> dict[str, Any]:
    properties = {"city": {"enum": ["Paris"]}}
    schema = {"type": "object", "properties": properties, "required": ["city"]}
    return {"type": "function", "function": {"name": name, "parameters": schema}}


TOOLS = [tool("weather"), tool("news")]
CUSTOM = {"type": "custom", "custom": {"name": "shell"}}
GRAMMAR = {"type": "grammar", "grammar": {"syntax": "lark", "definition": 'start: "a"'}}
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9Q"
    "DwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
PERSON = {
    "type": "object",
    "properties": {"name": {"enum": ["Ada"]}},
    "required": ["name"],
    "additionalProperties": False,
}


def said(answer: Answer, choice: int = 0) -> str:
    """What the assistant says, whole or in the chunks of a stream."""
    if "chunks" in answer:
        deltas = [c["choices"][0]["delta"] for c in answer["chunks"] if c["choices"]]
        return "".join(delta.get("content") or "" for delta in deltas)
    return answer["choices"][choice]["message"]["content"] or ""


def called(answer: Answer) -> list[str]:
    calls = answer["choices"][0]["message"].get("tool_calls") or ()
    return [call["function"]["name"] for call in calls]


def differs(answer: Answer, plain: Answer) -> bool:
    return said(answer) != said(plain)


def longer(answer: Answer, plain: Answer) -> bool:
    """There is more in the prompt than in the plain one."""
    return bool(answer["usage"]["prompt_tokens"] > plain["usage"]["prompt_tokens"])


def three_tokens(answer: Answer, plain: Answer) -> bool:
    return bool(answer["usage"]["completion_tokens"] == 3)


def calls(*names: str) -> Shows:
    return lambda answer, _: called(answer) == list(names)


def turn(role: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **more}


def asked(*before: dict[str, Any], part: dict[str, Any] | None = None, **more: Any) -> Any:
    text: Any = QUESTION if part is None else [{"type": "text", "text": QUESTION}, part]
    return {"messages": [*before, turn("user", text, **more)]}


def _scored(answer: Answer, plain: Answer) -> bool:
    scores = answer["choices"][0]["logprobs"]["content"]
    return bool(len(scores) == answer["usage"]["completion_tokens"])


def _two_likely(answer: Answer, plain: Answer) -> bool:
    return all(len(one["top_logprobs"]) == 2 for one in answer["choices"][0]["logprobs"]["content"])


def _json(answer: Answer, plain: Answer) -> bool:
    return isinstance(json.loads(said(answer)), dict)


CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
OLDER = [TOOLS[0]["function"]]
MESSAGES = (
    *(
        honoured("messages", asked(turn(role, GUIDE)), longer, role)
        for role in ("system", "developer", "assistant")
    ),
    honoured("messages", asked(turn("user", "Hello.")), longer, "user"),
    honoured(
        "messages",
        asked(
            turn("assistant", None, tool_calls=[CALL]), turn("tool", "rain", tool_call_id="call_1")
        )
        | {"tools": TOOLS, "tool_choice": "none"},
        longer,
        "tool",
    ),
    honoured(
        "messages",
        asked(
            turn("assistant", None, function_call=CALL["function"]),
            turn("function", "rain", name="weather"),
        ),
        longer,
        "function",
    ),
    honoured("messages", asked(part={"type": "text", "text": "Tell me."}), longer, "text"),
    honoured(
        "messages",
        asked(turn("assistant", [{"type": "refusal", "refusal": "I would rather not."}])),
        longer,
        "refusal",
    ),
    hint("messages", asked(name="ada")["messages"], "name"),
    refused(
        "messages",
        asked(part={"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}})["messages"],
        Capability.IMAGES,
        "image_url",
    ),
    refused(
        "messages",
        asked(part={"type": "input_audio", "input_audio": {"data": "", "format": "wav"}})[
            "messages"
        ],
        Capability.AUDIO,
        "input_audio",
    ),
    refused(
        "messages",
        asked(part={"type": "file", "file": {"file_id": "file-1"}})["messages"],
        Capability.FILES,
        "file",
    ),
    refused(
        "messages",
        asked(turn("assistant", None, audio={"id": "audio_1"}))["messages"],
        Capability.AUDIO,
        "audio of an earlier answer",
    ),
    refused(
        "messages",
        asked(
            turn(
                "assistant",
                None,
                tool_calls=[
                    {"id": "c", "type": "custom", "custom": {"name": "shell", "input": "ls"}}
                ],
            ),
            turn("tool", "a.txt", tool_call_id="c"),
        )["messages"],
        Capability.OTHER_TOOLS,
        "a custom tool's call",
    ),
)
CHOICES = (
    honoured("tool_choice", {"tools": TOOLS, "tool_choice": "none"}, calls(), "none"),
    honoured("tool_choice", {"tools": TOOLS, "tool_choice": "auto"}, longer, "auto"),
    honoured(
        "tool_choice",
        {
            "tools": TOOLS[:1],
            "tool_choice": "required",
            "max_tokens": 40,
            "parallel_tool_calls": False,
        },
        calls("weather"),
        "required",
    ),
    honoured(
        "tool_choice",
        {
            "tools": TOOLS,
            "tool_choice": {"type": "function", "function": {"name": "news"}},
            "max_tokens": 40,
        },
        calls("news"),
        "function",
    ),
    honoured(
        "tool_choice",
        {
            "tools": TOOLS,
            "tool_choice": {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "required",
                    "tools": [{"type": "function", "function": {"name": "news"}}],
                },
            },
            "parallel_tool_calls": False,
            "max_tokens": 40,
        },
        calls("news"),
        "allowed_tools",
    ),
    refused(
        "tool_choice",
        {"type": "custom", "custom": {"name": "shell"}},
        Capability.OTHER_TOOLS,
        "custom",
        tools=[CUSTOM],
    ),
)
FORMATS = (
    hint("response_format", {"type": "text"}, "text"),
    honoured(
        "response_format",
        {"response_format": {"type": "json_object"}, "max_tokens": 200},
        _json,
        "json_object",
    ),
    honoured(
        "response_format",
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "person", "schema": PERSON, "strict": True},
            },
            "max_tokens": 40,
        },
        lambda answer, _: json.loads(said(answer)) == {"name": "Ada"},
        "json_schema",
    ),
)
HOT = {"temperature": 2.0, "max_tokens": 24}
ROWS: tuple[Row, ...] = (
    *MESSAGES,
    honoured("model", {}, lambda answer, _: answer["model"] == "mine"),
    refused(
        "audio",
        {"voice": "alloy", "format": "mp3"},
        Capability.AUDIO,
        modalities=["text", "audio"],
    ),
    honoured("frequency_penalty", {"frequency_penalty": 2.0, "max_tokens": 60}, differs),
    honoured(
        "function_call",
        {"functions": OLDER, "function_call": {"name": "weather"}, "max_tokens": 40},
        lambda answer, _: answer["choices"][0]["message"]["function_call"]["name"] == "weather",
    ),
    honoured("functions", {"functions": OLDER}, longer),
    honoured("logit_bias", {"logit_bias": {"100": 100}}, differs),
    honoured("logprobs", {"logprobs": True}, _scored),
    honoured("top_logprobs", {"logprobs": True, "top_logprobs": 2}, _two_likely),
    honoured("max_completion_tokens", {"max_completion_tokens": 3}, three_tokens),
    honoured("max_tokens", {"max_tokens": 3}, three_tokens),
    hint("metadata", {"a": "b"}),
    hint("modalities", ["text"]),
    refused("moderation", {"model": "omni-moderation-latest"}, Capability.MODERATION),
    honoured("n", {"n": 2}, lambda answer, _: [c["index"] for c in answer["choices"]] == [0, 1]),
    honoured(
        "parallel_tool_calls",
        {
            "tools": TOOLS,
            "tool_choice": "required",
            "parallel_tool_calls": False,
            "max_tokens": 120,
        },
        lambda answer, _: len(called(answer)) == 1,
    ),
    hint("prediction", {"type": "content", "content": "France"}),
    honoured("presence_penalty", {"presence_penalty": 2.0, "max_tokens": 60}, differs),
    hint("prompt_cache_key", "k"),
    hint("prompt_cache_options", {"mode": "implicit"}),
    hint("prompt_cache_retention", "24h"),
    *(
        hint("reasoning_effort", effort, effort)
        for effort in ("none", "minimal", "low", "medium", "high", "xhigh", "max")
    ),
    *FORMATS,
    hint("safety_identifier", "user-1"),
    honoured(
        "seed",
        {"seed": 7, **HOT},
        lambda answer, _: bool(said(answer)) and answer["again"] == said(answer),
    ),
    hint("service_tier", "flex"),
    honoured(
        "stop",
        {"stop": ["Paris"]},
        lambda answer, plain: "Paris" in said(plain) and "Paris" not in said(answer),
    ),
    hint("store", True),
    honoured("stream", {"stream": True}, lambda answer, plain: said(answer) == said(plain)),
    honoured(
        "stream_options",
        {"stream": True, "stream_options": {"include_usage": True}},
        lambda answer, plain: answer["chunks"][-1]["usage"] == plain["usage"],
        "include_usage",
    ),
    hint("stream_options", {"include_obfuscation": True}, "include_obfuscation", stream=True),
    honoured("temperature", HOT, differs),
    honoured("tools", {"tools": TOOLS}, longer, "function"),
    refused("tools", [CUSTOM], Capability.OTHER_TOOLS, "custom"),
    refused(
        "tools",
        [{"type": "custom", "custom": {"name": "shell", "format": GRAMMAR}}],
        Capability.OTHER_TOOLS,
        "custom, with a grammar",
    ),
    *CHOICES,
    honoured(
        "top_p",
        {"top_p": 0.0001, "temperature": 2.0},
        lambda answer, plain: said(answer) == said(plain),
    ),
    hint("user", "user-1"),
    *(hint("verbosity", word, word) for word in ("low", "medium", "high")),
    refused("web_search_options", {}, Capability.WEB_SEARCH),
)
