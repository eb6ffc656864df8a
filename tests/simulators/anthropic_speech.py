"""What a vendor of the Anthropic dialect says: messages, plain and streamed, and errors.

Source: Anthropic's API reference, "Messages", "Streaming messages" and "Errors".
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tests.simulators.delivery import Answer, Delivery, whole
from tests.simulators.speech import Speech

MODEL = "claude-sonnet-4-5-20250929"
WORDS = ("vendor", " answer", " in", " pieces")
INPUT_TOKENS = 7
OUTPUT_TOKENS = 4
CACHED_TOKENS = 2
REFUSALS = {
    400: ("invalid_request_error", "max_tokens: Field required"),
    401: ("authentication_error", "invalid x-api-key"),
    402: ("billing_error", "Your credit balance is too low."),
    403: ("permission_error", "Your API key may not use this."),
    404: ("not_found_error", "model: claude-none"),
    413: ("request_too_large", "Request exceeds the maximum size"),
    429: ("rate_limit_error", "This request would exceed your rate limit."),
    504: ("timeout_error", "The request timed out."),
    529: ("overloaded_error", "Overloaded"),
}
"""Type and message by status; any other is ``api_error``."""


class AnthropicSpeech(Speech):
    """Options: ``words`` (each a piece of the text), ``thinking`` (a text that comes first),
    ``tool`` (name and input of a call that comes last), ``pings`` (how many after the opening),
    ``model``, and for errors ``type`` and ``message``.
    """

    def __init__(self, request: dict[str, Any], options: dict[str, Any]) -> None:
        super().__init__(request, options)
        self._model: str = MODEL

    def answer(self) -> Answer:
        return self._events() if self.streamed else Answer.plain(_encode(self._message()))

    def error(self) -> bytes:
        body = self._envelope("overloaded_error", "Overloaded")
        return _event(body) if self.streamed else _encode(body)

    def broken(self) -> bytes:
        if not self.streamed:
            return b'{"type":"message","content":[{"type"'
        return b'event: content_block_delta\ndata: {"type":"content_block_delta","delta"\n\n'

    def refusal(self, status: int) -> bytes:
        return _encode(
            self._envelope(*REFUSALS.get(status, ("api_error", "Internal server error")))
        )

    def own(self, behaviour: str) -> Delivery:
        if behaviour == "other_model":
            self._model = self.options.get("model", "deepseek-chat")
            return whole(self.answer(), self.options)
        # Endless: nothing but pings after the opening, or blanks where a body was to come.
        good = whole(self.answer(), self.options)
        if not self.streamed:
            return replace(good, pieces=(), length=None, endless=b"\n")
        return replace(good, pieces=self.answer().opening, endless=_event({"type": "ping"}))

    def _envelope(self, kind: str, message: str) -> dict[str, Any]:
        error = {
            "type": self.options.get("type", kind),
            "message": self.options.get("message", message),
        }
        return {"type": "error", "error": error, "request_id": "req_sim"}

    def _message(self) -> dict[str, Any]:
        return {
            **self._about(self._blocks()),
            "stop_reason": self._stop_reason,
            "usage": self._usage(OUTPUT_TOKENS),
        }

    def _events(self) -> Answer:
        about = {**self._about([]), "usage": self._usage(1)}
        first, *events = self._block_events()
        *content, last = events
        ending = {"stop_reason": self._stop_reason, "stop_sequence": None}
        usage = {"output_tokens": OUTPUT_TOKENS}
        pings = (_event({"type": "ping"}),) * self.options.get("pings", 1)
        return Answer(
            opening=(_event({"type": "message_start", "message": about}), _event(first), *pings),
            content=tuple(_event(event) for event in content),
            closing=(
                _event(last),
                _event({"type": "message_delta", "delta": ending, "usage": usage}),
            ),
            terminator=(_event({"type": "message_stop"}),),
            streamed=True,
        )

    def _blocks(self) -> list[dict[str, Any]]:
        blocks: list[dict[str, Any]] = []
        if thinking := self.options.get("thinking"):
            blocks.append({"type": "thinking", "thinking": thinking, "signature": "c2lnbmVk"})
        if words := self.options.get("words", WORDS):
            blocks.append({"type": "text", "text": "".join(words), "citations": None})
        if tool := self.options.get("tool"):
            name, given = tool
            called = {"id": "toolu_sim", "name": name, "input": given}
            blocks.append({"type": "tool_use", **called, "caller": {"type": "direct"}})
        return blocks

    def _block_events(self) -> Iterator[dict[str, Any]]:
        """Each block's start, deltas and stop."""
        for index, block in enumerate(self._blocks()):
            begun, deltas = self._pieces(block)
            yield {"type": "content_block_start", "index": index, "content_block": begun}
            for delta in deltas:
                yield {"type": "content_block_delta", "index": index, "delta": delta}
            yield {"type": "content_block_stop", "index": index}

    def _pieces(self, block: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """A block as it begins, and what is added to it."""
        if block["type"] == "text":
            words = self.options.get("words", WORDS)
            return {**block, "text": ""}, [{"type": "text_delta", "text": word} for word in words]
        if block["type"] == "thinking":
            halves = _halves(block["thinking"])
            deltas = [{"type": "thinking_delta", "thinking": half} for half in halves]
            signed = {"type": "signature_delta", "signature": block["signature"]}
            return {**block, "thinking": "", "signature": ""}, [*deltas, signed]
        halves = _halves(json.dumps(block["input"]))
        parts = [{"type": "input_json_delta", "partial_json": part} for part in ("", *halves)]
        return {**block, "input": {}}, parts

    @property
    def _stop_reason(self) -> str:
        return "tool_use" if self.options.get("tool") else "end_turn"

    def _about(self, content: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": "msg_sim",
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": content,
            "stop_reason": None,
            "stop_sequence": None,
            "stop_details": None,
            "container": None,
        }

    def _usage(self, output: int) -> dict[str, Any]:
        return {
            "cache_creation": None,
            "inference_geo": None,
            "output_tokens_details": None,
            "server_tool_use": None,
            "service_tier": "standard",
            "input_tokens": INPUT_TOKENS,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": CACHED_TOKENS,
            "output_tokens": output,
        }


def _halves(text: str) -> tuple[str, str]:
    return text[: len(text) // 2], text[len(text) // 2 :]


def _encode(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _event(value: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (value["type"].encode(), _encode(value))
