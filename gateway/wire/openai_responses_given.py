"""What a response repeats of its request, defaults included.

Source: the typed model of the official SDK (``Response``); ``presence_penalty`` and
``frequency_penalty`` as in the Open Responses specification.
"""

from __future__ import annotations

from typing import Any

import msgspec


class _Reasoning(msgspec.Struct):
    effort: str | None = None
    summary: str | None = None


class _Given(msgspec.Struct):
    model: str
    instructions: str | None = None
    max_output_tokens: int | None = None
    max_tool_calls: int | None = None
    metadata: dict[str, str] | None = None
    parallel_tool_calls: bool | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    reasoning: _Reasoning | None = None
    safety_identifier: str | None = None
    temperature: float | None = None
    text: dict[str, Any] | None = None
    tool_choice: Any = None
    tools: list[dict[str, Any]] | None = None
    top_logprobs: int | None = None
    top_p: float | None = None
    truncation: str | None = None
    user: str | None = None


_decoder = msgspec.json.Decoder(_Given)
_TEXT = {"format": {"type": "text"}, "verbosity": "medium"}
_TOOL = {"description": None, "parameters": None, "strict": False}
"""What a function is where its tool does not say so: its schema is a wish unless it does."""


def given(body: bytes, *, previous: str | None, stored: bool) -> dict[str, Any]:
    """The members that repeat a body which has been read. ``stored`` says whether the response is
    kept.
    """
    asked = _decoder.decode(body)
    return {
        "model": asked.model,
        "instructions": asked.instructions or None,
        "max_output_tokens": asked.max_output_tokens,
        "max_tool_calls": asked.max_tool_calls,
        "metadata": asked.metadata or {},
        "parallel_tool_calls": asked.parallel_tool_calls is not False,
        "presence_penalty": asked.presence_penalty or 0.0,
        "frequency_penalty": asked.frequency_penalty or 0.0,
        "previous_response_id": previous,
        "prompt_cache_key": asked.prompt_cache_key,
        "prompt_cache_retention": asked.prompt_cache_retention,
        "reasoning": asked.reasoning or _Reasoning(),
        "safety_identifier": asked.safety_identifier,
        # Which of its tiers a vendor has taken, only its own answers say.
        "service_tier": "default",
        "store": stored,
        "temperature": _or_one(asked.temperature),
        "text": {**_TEXT, **_told(asked.text)},
        "tool_choice": asked.tool_choice or "auto",
        "tools": [_tool(tool) for tool in asked.tools or ()],
        "top_logprobs": asked.top_logprobs or 0,
        "top_p": _or_one(asked.top_p),
        "truncation": asked.truncation or "disabled",
        "user": asked.user,
    }


def _or_one(value: float | None) -> float:
    """The API says its own default where the app says none."""
    return 1.0 if value is None else value


def _told(text: dict[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in (text or {}).items() if value is not None}


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    return {**_TOOL, **tool} if tool.get("type") == "function" else tool
