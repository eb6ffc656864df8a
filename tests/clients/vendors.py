"""Simulated vendors that do what they are asked: they call tools, and answer by schemas."""

from __future__ import annotations

import json
from typing import Any

from tests.simulators.anthropic_speech import AnthropicSpeech
from tests.simulators.anthropic_vendor import AnthropicSimulator
from tests.simulators.seen import SeenRequest
from tests.simulators.speech import Speech
from tests.simulators.vendor import VendorSimulator


class ObligingOpenAI(VendorSimulator):
    """Calls a tool where one is offered and no result is there yet."""

    def speech(self, request: SeenRequest, options: dict[str, Any]) -> Speech:
        asked = request.json
        if request.path.endswith("/chat/completions"):
            return super().speech(request, _wanted_of_chat(asked) | options)
        if request.path.endswith("/responses"):
            return super().speech(request, _wanted_of_response(asked) | options)
        return super().speech(request, options)


def _wanted_of_chat(asked: dict[str, Any]) -> dict[str, Any]:
    offered = [tool["function"] for tool in asked.get("tools", []) if "function" in tool]
    choice = asked.get("tool_choice", "auto")
    if offered and choice != "none" and asked["messages"][-1]["role"] != "tool":
        named = choice["function"]["name"] if isinstance(choice, dict) else offered[0]["name"]
        return _call(offered, named, "parameters")
    form = asked.get("response_format") or {}
    return _by_schema(form["json_schema"]["schema"]) if form.get("type") == "json_schema" else {}


def _wanted_of_response(asked: dict[str, Any]) -> dict[str, Any]:
    offered = [tool for tool in asked.get("tools") or [] if tool["type"] == "function"]
    choice = asked.get("tool_choice") or "auto"
    given = asked["input"] if isinstance(asked["input"], list) else [{}]
    if offered and choice != "none" and given[-1].get("type") != "function_call_output":
        named = choice["name"] if isinstance(choice, dict) else offered[0]["name"]
        return _call(offered, named, "parameters")
    form = (asked.get("text") or {}).get("format") or {}
    return _by_schema(form["schema"]) if form.get("type") == "json_schema" else {}


class ObligingAnthropic(AnthropicSimulator):
    """Calls a tool where one is offered and no result is there yet."""

    def speech(self, request: SeenRequest, options: dict[str, Any]) -> AnthropicSpeech:
        return super().speech(request, _wanted_of_message(request.json) | options)


def _wanted_of_message(asked: dict[str, Any]) -> dict[str, Any]:
    offered = asked.get("tools", [])
    choice = asked.get("tool_choice", {})
    last = asked["messages"][-1]["content"]
    answered = any(part["type"] == "tool_result" for part in last if isinstance(part, dict))
    if offered and choice.get("type") != "none" and not answered:
        return _call(offered, choice.get("name", offered[0]["name"]), "input_schema")
    form = asked.get("output_config", {}).get("format") or asked.get("output_format")
    return _by_schema(form["schema"]) if form else {}


def _call(offered: list[dict[str, Any]], named: str, schema: str) -> dict[str, Any]:
    called = next(tool for tool in offered if tool["name"] == named)
    return {"words": (), "tool": (named, example(called.get(schema, {})))}


def _by_schema(schema: dict[str, Any]) -> dict[str, Any]:
    text = json.dumps(example(schema))
    return {"words": (text[:5], text[5:])}


def example(schema: dict[str, Any]) -> Any:
    """A value that a simple schema takes: objects, arrays, enumerations, references, scalars."""
    return _example(schema, schema.get("$defs", {}))


def _example(schema: dict[str, Any], named: dict[str, Any]) -> Any:
    if reference := schema.get("$ref"):
        return _example(named[reference.rpartition("/")[2]], named)
    if "enum" in schema:
        return schema["enum"][0]
    if "const" in schema:
        return schema["const"]
    match schema.get("type"):
        case "object":
            fields = schema.get("properties", {})
            return {name: _example(field, named) for name, field in fields.items()}
        case "array":
            return [_example(schema["items"], named)]
        case "integer" | "number":
            return 7
        case "boolean":
            return True
        case _:
            return "Paris"
