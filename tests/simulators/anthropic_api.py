"""Anthropic's Messages API, plain and streamed. Source: its published API reference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tests.simulators.foreign import TOOL, WORDS, ForeignVendor, compact
from tests.simulators.seen import SeenRequest

KEY = "sk-ant-planted-0123456789"
MODEL = "claude-sonnet-4-5-20250929"
USAGE = {
    "input_tokens": 9,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 4,
    "output_tokens": 5,
}
KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    529: "overloaded_error",
}


class AnthropicVendor(ForeignVendor):
    """``POST /v1/messages``."""

    def check(self, request: SeenRequest) -> tuple[int, str] | None:
        if not request.path.startswith("/v1/messages"):
            return 404, "Not found"
        if request.headers.get("x-api-key") != KEY:
            return 401, "invalid x-api-key"
        if "anthropic-version" not in request.headers:
            return 400, "anthropic-version: header is required"
        return None

    def streams(self, request: SeenRequest) -> bool:
        return request.json.get("stream") is True

    def whole(self, request: SeenRequest) -> bytes:
        return compact(message(self, tool=self.behaviour == "tool"))

    def events(self, request: SeenRequest) -> Iterator[bytes]:
        return events(self, tool=self.behaviour == "tool")

    def refusal(self, status: int, message: str, kind: str) -> tuple[bytes, Mapping[str, str]]:
        error = {"type": kind or KINDS.get(status, "api_error"), "message": message}
        return compact({"type": "error", "error": error, "request_id": "req_1"}), {}

    def error_event(self) -> bytes:
        error = {"type": "overloaded_error", "message": "Overloaded"}
        return event({"type": "error", "error": error})


def event(data: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (data["type"].encode(), compact(data))


def message(vendor: ForeignVendor, *, tool: bool) -> dict[str, Any]:
    """A whole message, of text or with a call of a tool behind some."""
    content: list[dict[str, Any]] = [{"type": "text", "text": "".join(WORDS)}]
    if tool:
        name, given = TOOL
        content.append({"type": "tool_use", "id": "toolu_1", "name": name, "input": given})
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": vendor.model or MODEL,
        "content": content,
        "stop_reason": "tool_use" if tool else "end_turn",
        "stop_sequence": None,
        "usage": USAGE,
    }


def events(vendor: ForeignVendor, *, tool: bool) -> Iterator[bytes]:
    """The events of a streamed message."""
    opening = message(vendor, tool=False) | {"content": [], "stop_reason": None}
    opening["usage"] = USAGE | {"output_tokens": 1}
    yield event({"type": "message_start", "message": opening})
    block = {"type": "content_block_start", "index": 0}
    yield event(block | {"content_block": {"type": "text", "text": ""}})
    yield event({"type": "ping"})
    for word in WORDS:
        delta = {"type": "text_delta", "text": word}
        yield event({"type": "content_block_delta", "index": 0, "delta": delta})
    yield event({"type": "content_block_stop", "index": 0})
    if tool:
        name, _ = TOOL
        started = {"type": "tool_use", "id": "toolu_1", "name": name, "input": {}}
        yield event({"type": "content_block_start", "index": 1, "content_block": started})
        for part in ('{"city"', ': "Paris"}'):
            delta = {"type": "input_json_delta", "partial_json": part}
            yield event({"type": "content_block_delta", "index": 1, "delta": delta})
        yield event({"type": "content_block_stop", "index": 1})
    ended = {"stop_reason": "tool_use" if tool else "end_turn", "stop_sequence": None}
    yield event({"type": "message_delta", "delta": ended, "usage": {"output_tokens": 5}})
    yield event({"type": "message_stop"})
