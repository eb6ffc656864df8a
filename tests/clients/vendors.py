"""Simulated vendors that do what they are asked: they call tools, and answer by schemas."""

from __future__ import annotations

import json
from typing import Any

from tests.simulators.anthropic_speech import AnthropicSpeech
from tests.simulators.anthropic_vendor import AnthropicSimulator
from tests.simulators.openai_speech import OpenAISpeech
from tests.simulators.seen import SeenRequest
from tests.simulators.vendor import VendorSimulator


class ObligingOpenAI(VendorSimulator):
    """Calls a tool where one is offered and no result is there yet."""

    def speech(self, request: SeenRequest, options: dict[str, Any]) -> OpenAISpeech:
        asked = request.json
        wanted: dict[str, Any] = {}
        offered = [tool["function"] for tool in asked.get("tools", []) if "function" in tool]
        choice = asked.get("tool_choice", "auto")
        answered = asked["messages"][-1]["role"] == "tool"
        if offered and choice != "none" and not answered:
            named = choice["function"]["name"] if isinstance(choice, dict) else offered[0]["name"]
            called = next(tool for tool in offered if tool["name"] == named)
            wanted = {"words": (), "tool": (named, example(called.get("parameters", {})))}
        elif (form := asked.get("response_format", {})).get("type") == "json_schema":
            wanted = {"words": _parts(example(form["json_schema"]["schema"]))}
        return OpenAISpeech(asked, wanted | options)


class ObligingAnthropic(AnthropicSimulator):
    """Calls a tool where one is offered and no result is there yet."""

    def speech(self, request: SeenRequest, options: dict[str, Any]) -> AnthropicSpeech:
        asked = request.json
        wanted: dict[str, Any] = {}
        offered = asked.get("tools", [])
        choice = asked.get("tool_choice", {})
        last = asked["messages"][-1]["content"]
        answered = any(part["type"] == "tool_result" for part in last if isinstance(part, dict))
        if offered and choice.get("type") != "none" and not answered:
            named = choice.get("name", offered[0]["name"])
            called = next(tool for tool in offered if tool["name"] == named)
            wanted = {"words": (), "tool": (named, example(called["input_schema"]))}
        elif form := asked.get("output_config", {}).get("format") or asked.get("output_format"):
            wanted = {"words": _parts(example(form["schema"]))}
        return AnthropicSpeech(asked, wanted | options)


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


def _parts(value: Any) -> tuple[str, str]:
    text = json.dumps(value)
    return text[:5], text[5:]
