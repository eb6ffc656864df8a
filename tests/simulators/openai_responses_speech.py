"""What a vendor with the Responses API says: responses, plain and streamed, and errors.

Source: OpenAI's API reference, "Responses" and "Streaming events", in the shapes of the official
SDK's typed models.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tests.simulators.delivery import Answer, Delivery, whole
from tests.simulators.openai_speech import MODEL, REFUSALS, WORDS
from tests.simulators.speech import Speech

INPUT_TOKENS = 7
OUTPUT_TOKENS = 4
CACHED_TOKENS = 2
ID = "resp_sim"
CREATED = 1_700_000_000
ENCRYPTED = "Z2F0ZXdheQ=="
ERROR = {"code": "server_error", "message": "The server had an error."}
_ENDS = {"completed": "response.completed", "incomplete": "response.incomplete"}


class ResponsesSpeech(Speech):
    """Options: ``words`` (each a piece of the text), ``thinking`` (a summary that comes first, with
    its encrypted content where that is to be included), ``search`` (a query that is searched for
    before the text), ``tool`` (name and arguments of a call that comes last), ``refusal`` (in place
    of the text), ``status`` (how it ends), ``code`` (of an error), ``shape`` (``error`` or
    ``failed``: what an error is), ``called`` (what the vendor calls its model).
    """

    def __init__(self, request: dict[str, Any], options: dict[str, Any]) -> None:
        super().__init__(request, options)
        self._model: str = options.get("called", MODEL)
        self._number = 0

    def answer(self) -> Answer:
        if not self.streamed:
            return Answer.plain(_encode(self._ended()))
        self._number = 0
        events = [self._event(event) for event in self._events()]
        told = [index for index, event in enumerate(events) if b".delta" in event[:60]]
        first, last = (told[0], told[-1]) if told else (len(events) - 1, len(events) - 2)
        return Answer(
            opening=tuple(events[:first]),
            content=tuple(events[first : last + 1]),
            closing=tuple(events[last + 1 : -1]),
            terminator=(events[-1],),
            streamed=True,
        )

    def error(self) -> bytes:
        code = self.options.get("code", ERROR["code"])
        message = self.options.get("message", ERROR["message"])
        failed = {
            **self._about("failed", []),
            "error": {"code": code, "message": message},
            "usage": None,
        }
        if not self.streamed:
            return _encode(failed)
        self._number = len(self.begun())
        if self.options.get("shape", "error") == "failed":
            return self._event({"type": "response.failed", "response": failed})
        told = {"type": "error", "code": code, "message": message, "param": None}
        return self._event(told)

    def broken(self) -> bytes:
        if not self.streamed:
            return b'{"object":"response","output":[{"type"'
        return b'event: response.output_text.delta\ndata: {"type":"response.output\n\n'

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
        if behaviour == "other_model":
            self._model = self.options.get("model", "deepseek-chat")
            return whole(self.answer(), self.options)
        # Endless: the response is in progress for ever, or blanks where a body was to come.
        good = whole(self.answer(), self.options)
        if not self.streamed:
            return replace(good, pieces=(), length=None, endless=b"\n")
        keepalive = self._event({"type": "keepalive"})
        return replace(good, pieces=self.answer().opening[:2], endless=keepalive)

    def _event(self, event: dict[str, Any]) -> bytes:
        numbered = {**event, "sequence_number": self._number}
        self._number += 1
        return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), _encode(numbered))

    def _events(self) -> Iterator[dict[str, Any]]:
        begun = {**self._about("in_progress", []), "usage": None}
        yield {"type": "response.created", "response": begun}
        yield {"type": "response.in_progress", "response": begun}
        for index, item in enumerate(self._items()):
            place = {"output_index": index, "item_id": item["id"]}
            opening = {**item, **_EMPTY.get(item["type"], {}), "status": "in_progress"}
            if item["type"] == "reasoning":
                opening.pop("status")
            added = {"output_index": index, "item": opening}
            yield {"type": "response.output_item.added", **added}
            yield from _PIECES[item["type"]](self, place, item)
            done = {"output_index": index, "item": item}
            yield {"type": "response.output_item.done", **done}
        ended = self._ended()
        yield {"type": _ENDS[ended["status"]], "response": ended}

    def _message(self, place: dict[str, Any], item: dict[str, Any]) -> Iterator[dict[str, Any]]:
        place = {**place, "content_index": 0}
        (part,) = item["content"]
        name = "text" if part["type"] == "output_text" else "refusal"
        kind = f"response.{part['type']}"
        yield {"type": "response.content_part.added", **place, "part": {**part, name: ""}}
        words = self.options.get("words", WORDS) if name == "text" else (part[name],)
        scores: dict[str, Any] = {"logprobs": []} if name == "text" else {}
        for word in words:
            yield {"type": f"{kind}.delta", **place, "delta": word, **scores}
        yield {"type": f"{kind}.done", **place, name: part[name], **scores}
        yield {"type": "response.content_part.done", **place, "part": part}

    def _reasoning(self, place: dict[str, Any], item: dict[str, Any]) -> Iterator[dict[str, Any]]:
        place = {**place, "summary_index": 0}
        (part,) = item["summary"]
        begun = {**part, "text": ""}
        yield {"type": "response.reasoning_summary_part.added", **place, "part": begun}
        for half in _halves(part["text"]):
            yield {"type": "response.reasoning_summary_text.delta", **place, "delta": half}
        yield {"type": "response.reasoning_summary_text.done", **place, "text": part["text"]}
        yield {"type": "response.reasoning_summary_part.done", **place, "part": part}

    def _call(self, place: dict[str, Any], item: dict[str, Any]) -> Iterator[dict[str, Any]]:
        kind = "response.function_call_arguments"
        for half in _halves(item["arguments"]):
            yield {"type": f"{kind}.delta", **place, "delta": half}
        yield {
            "type": f"{kind}.done",
            **place,
            "name": item["name"],
            "arguments": item["arguments"],
        }

    def _search(self, place: dict[str, Any], item: dict[str, Any]) -> Iterator[dict[str, Any]]:
        for stage in ("in_progress", "searching", "completed"):
            yield {"type": f"response.web_search_call.{stage}", **place}

    def _items(self) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []
        if thinking := self.options.get("thinking"):
            summary = [{"type": "summary_text", "text": thinking}]
            item = {"id": "rs_sim", "type": "reasoning", "summary": summary}
            if "reasoning.encrypted_content" in (self.request.get("include") or ()):
                item["encrypted_content"] = ENCRYPTED
            items.append(item)
        if query := self.options.get("search"):
            action = {"type": "search", "query": query}
            items.append({"id": "ws_sim", "type": "web_search_call", "action": action})
        if refusal := self.options.get("refusal"):
            items.append(_said({"type": "refusal", "refusal": refusal}))
        elif words := self.options.get("words", WORDS):
            text = "".join(words)
            items.append(_said({"type": "output_text", "text": text, "annotations": []}))
        if tool := self.options.get("tool"):
            name, given = tool
            call = {"call_id": "call_sim", "name": name, "arguments": json.dumps(given)}
            items.append({"id": "fc_sim", "type": "function_call", **call})
        return [
            item if item["type"] == "reasoning" else {**item, "status": "completed"}
            for item in items
        ]

    def _ended(self) -> dict[str, Any]:
        status = self.options.get("status", "completed")
        ended = self._about(status, self._items())
        if status == "incomplete":
            ended["incomplete_details"] = {"reason": "max_output_tokens"}
        return ended

    def _about(self, status: str, output: list[dict[str, Any]]) -> dict[str, Any]:
        asked = self.request
        return {
            "id": ID,
            "object": "response",
            "created_at": CREATED,
            "completed_at": CREATED + 1 if status == "completed" else None,
            "background": False,
            "frequency_penalty": 0.0,
            "max_tool_calls": asked.get("max_tool_calls"),
            "presence_penalty": 0.0,
            "prompt_cache_key": asked.get("prompt_cache_key"),
            "safety_identifier": asked.get("safety_identifier"),
            "service_tier": "default",
            "top_logprobs": 0,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "instructions": asked.get("instructions"),
            "max_output_tokens": asked.get("max_output_tokens"),
            "metadata": asked.get("metadata") or {},
            "model": self._model,
            "output": output,
            "parallel_tool_calls": True,
            "previous_response_id": asked.get("previous_response_id"),
            "reasoning": {"effort": None, "summary": None},
            "store": asked.get("store", True),
            "temperature": 1.0,
            "text": {"format": {"type": "text"}},
            "tool_choice": "auto",
            "tools": [_WHOLE | tool for tool in asked.get("tools") or []],
            "top_p": 1.0,
            "truncation": "disabled",
            "usage": {
                "input_tokens": INPUT_TOKENS,
                "input_tokens_details": {"cached_tokens": CACHED_TOKENS, "cache_write_tokens": 1},
                "output_tokens": OUTPUT_TOKENS,
                "output_tokens_details": {"reasoning_tokens": 3},
                "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
            },
        }


_WHOLE: dict[str, Any] = {"description": None, "parameters": None, "strict": True}
"""What an answer says of a function where the request did not."""
_EMPTY: dict[str, dict[str, Any]] = {
    "message": {"content": []},
    "reasoning": {"summary": []},
    "function_call": {"arguments": ""},
}
"""What an item is before anything is in it."""
_PIECES = {
    "message": ResponsesSpeech._message,
    "reasoning": ResponsesSpeech._reasoning,
    "function_call": ResponsesSpeech._call,
    "web_search_call": ResponsesSpeech._search,
}


def _said(part: dict[str, Any]) -> dict[str, Any]:
    return {"id": "msg_sim", "type": "message", "role": "assistant", "content": [part]}


def _halves(text: str) -> tuple[str, str]:
    return text[: len(text) // 2], text[len(text) // 2 :]


def _encode(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
