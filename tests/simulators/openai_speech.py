"""What a vendor of the OpenAI dialect says: chat completions, plain and streamed, and errors.

Sources: OpenAI's API reference, "Chat completions" and "Streaming"; for errors in a stream what
OpenRouter, vLLM and Azure send.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tests.simulators.delivery import Answer, Delivery, whole
from tests.simulators.speech import Speech

MODEL = "gpt-4o-2024-08-06"
WORDS = ("vendor", " answer", " in", " pieces")
USAGE: dict[str, Any] = {
    "prompt_tokens": 7,
    "completion_tokens": 4,
    "total_tokens": 11,
    "prompt_tokens_details": {"cached_tokens": 2},
}
REFUSALS: dict[int, tuple[str, str | None, str]] = {
    400: ("invalid_request_error", "invalid_value", "Invalid 'temperature'."),
    401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    402: ("insufficient_quota", "insufficient_quota", "Insufficient credits."),
    403: ("invalid_request_error", None, "You may not do this."),
    404: ("invalid_request_error", "model_not_found", "The model does not exist."),
    413: ("invalid_request_error", None, "The request is too large."),
    422: ("invalid_request_error", None, "The request cannot be processed."),
    429: ("requests", "rate_limit_exceeded", "Rate limit reached."),
    451: ("policy", "unavailable_for_legal_reasons", "Not available."),
}
"""Type, code and message by status; any other is the server's fault."""

_LATE = "The server had an error."
ERRORS: dict[str, dict[str, Any]] = {
    "openai": {"error": {"message": _LATE, "type": "server_error", "param": None, "code": None}},
    "text": {"error": _LATE},
    "status": {"error": {"message": _LATE, "code": "unavailable", "status": "not a number"}},
    "code": {"error": {"message": _LATE, "code": 502}},
    "openrouter": {
        "id": "gen-1",
        "object": "chat.completion.chunk",
        "model": MODEL,
        "error": {"code": "server_error", "message": _LATE},
        "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}],
    },
    "response.failed": {
        "type": "response.failed",
        "response": {
            "id": "resp_1",
            "object": "response",
            "status": "failed",
            "error": {"code": "server_error", "message": _LATE},
            "output": [],
        },
    },
}
"""Shapes in which vendors say within an answer that they failed."""


class OpenAISpeech(Speech):
    """Options: ``words`` (each a piece of the text), ``tool`` (name and arguments of a call that
    comes last), ``content`` (more fields of message and delta), ``provider`` (what a router says),
    ``called`` (what the vendor calls its model), ``shape`` (one of ``ERRORS``).
    """

    def __init__(self, request: dict[str, Any], options: dict[str, Any]) -> None:
        super().__init__(request, options)
        self._usage = bool((request.get("stream_options") or {}).get("include_usage"))
        self._model: str = options.get("called", MODEL)

    def answer(self) -> Answer:
        return self._events() if self.streamed else Answer.plain(self._completion())

    def error(self) -> bytes:
        return self._say(ERRORS[self.options.get("shape", "openai")])

    def broken(self) -> bytes:
        return _event(b'{"choices": [{"delta"') if self.streamed else b'{"choices": [{"message"'

    def refusal(self, status: int) -> bytes:
        unknown = ("server_error", None, f"The server answers {status}.")
        kind, code, message = REFUSALS.get(status, unknown)
        error = {
            "message": self.options.get("message", message),
            "type": self.options.get("type", kind),
            "param": self.options.get("param"),
            "code": self.options.get("code", code),
        }
        return _encode({"error": error})

    def own(self, behaviour: str) -> Delivery:
        match behaviour:
            case "other_model":
                return self._other_model()
            case "usage_twice":
                return self._usage_twice()
            case "no_choices":
                return self._no_choices()
            case _:
                return self._endless()

    def _other_model(self) -> Delivery:
        """The answer names ``model``; a stream from its first event, or with ``late`` from behind
        its second word on.
        """
        answer = self.answer()
        self._model = self.options.get("model", "deepseek-chat")
        other = self.answer()
        if self.options.get("late") and self.streamed:
            content = (*answer.content[:2], *other.content[2:])
            other = replace(other, opening=answer.opening, content=content)
        return whole(other, self.options)

    def _usage_twice(self) -> Delivery:
        """A first usage that counts one token less, and then the right one."""
        answer = self.answer()
        if not self.streamed:
            return whole(answer, self.options)
        less = {**USAGE, "completion_tokens": 3, "total_tokens": 10}
        closing = (self._chunk([], less), self._chunk([], USAGE))
        return whole(replace(answer, closing=(answer.closing[0], *closing)), self.options)

    def _no_choices(self) -> Delivery:
        if not self.streamed:
            return self.only(_encode({**self._about("chat.completion"), "choices": []}))
        answer = replace(self.answer(), opening=(self._chunk([], None),) * 3, content=())
        return whole(replace(answer, closing=()), self.options)

    def _endless(self) -> Delivery:
        """Nothing is ever said: ``comments`` before an opening, else empty events after it; blanks
        where a body was to come.
        """
        good = whole(self.answer(), self.options)
        if not self.streamed:
            return replace(good, pieces=(), length=None, endless=b"\n")
        if self.options.get("comments"):
            return replace(good, pieces=(), endless=b": keep-alive\n\n")
        return replace(good, pieces=self.answer().opening, endless=self._delta({"content": ""}))

    def _completion(self) -> bytes:
        words = self.options.get("words", WORDS)
        message: dict[str, Any] = {
            "role": "assistant",
            "content": "".join(words),
            "refusal": None,
        }
        message |= self.options.get("content", {})
        if calls := self._calls():
            message["tool_calls"] = calls
        choice = {
            "index": 0,
            "message": message,
            "logprobs": None,
            "finish_reason": self._reason,
        }
        about = self._about("chat.completion")
        return _encode({**about, "choices": [choice], "usage": USAGE})

    def _events(self) -> Answer:
        more = self.options.get("content", {})
        words = self.options.get("words", WORDS)
        pieces: list[dict[str, Any]] = [{"content": word} for word in words]
        pieces += [{"tool_calls": [piece]} for piece in self._call_pieces()]
        closing = [self._delta({}, self._reason)]
        if self._usage:
            closing.append(self._chunk([], USAGE))
        return Answer(
            opening=(self._delta({"role": "assistant", "content": "", **more}),),
            content=tuple(self._delta(piece) for piece in pieces),
            closing=tuple(closing),
            terminator=(_event(b"[DONE]"),),
            streamed=True,
        )

    @property
    def _reason(self) -> str:
        return "tool_calls" if self.options.get("tool") else "stop"

    def _calls(self) -> list[dict[str, Any]]:
        if (tool := self.options.get("tool")) is None:
            return []
        name, given = tool
        function = {"name": name, "arguments": json.dumps(given)}
        return [{"id": "call_sim", "type": "function", "function": function}]

    def _call_pieces(self) -> Iterator[dict[str, Any]]:
        """A call as it begins, and what is added to its arguments."""
        for index, call in enumerate(self._calls()):
            text = call["function"]["arguments"]
            begun = {**call["function"], "arguments": ""}
            yield {"index": index, **call, "function": begun}
            for half in (text[: len(text) // 2], text[len(text) // 2 :]):
                yield {"index": index, "function": {"arguments": half}}

    def _delta(self, delta: dict[str, Any], reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return self._chunk([choice])

    def _chunk(self, choices: list[Any], usage: dict[str, Any] | None = None) -> bytes:
        chunk = {**self._about("chat.completion.chunk"), "choices": choices}
        return self._say(chunk if usage is None else {**chunk, "usage": usage})

    def _say(self, value: dict[str, Any]) -> bytes:
        return _event(_encode(value)) if self.streamed else _encode(value)

    def _about(self, kind: str) -> dict[str, Any]:
        return {
            "id": "chatcmpl-sim",
            "object": kind,
            "created": 1_700_000_000,
            "model": self._model,
            "system_fingerprint": "fp_sim",
            **({"provider": self.options["provider"]} if "provider" in self.options else {}),
        }


def _encode(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _event(data: bytes) -> bytes:
    return b"data: " + data + b"\n\n"
