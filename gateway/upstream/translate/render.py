"""What litellm makes of an answer, to bytes of the OpenAI dialect. Pure.

Written out member by member: litellm's own are the dialect's and many more.
Source: the published OpenAPI document of the OpenAI API, ``POST /chat/completions`` and
``POST /embeddings``.
"""

from __future__ import annotations

import struct
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

import msgspec

_DONE = b"data: [DONE]\n\n"
_TEXTS = ("content", "reasoning_content", "refusal")


def whole(answer: Mapping[str, Any], model: str) -> bytes:
    """The body of a plain answer by ``model``."""
    return msgspec.json.encode(
        {
            "id": answer["id"],
            "object": "chat.completion",
            "created": answer["created"],
            "model": model,
            "choices": [
                {
                    "index": choice.get("index", at),
                    "message": {"role": "assistant", "content": None, "refusal": None}
                    | _said(choice["message"], whole=True),
                    "logprobs": choice.get("logprobs"),
                    "finish_reason": choice.get("finish_reason") or "stop",
                }
                for at, choice in enumerate(answer["choices"])
            ],
            "usage": usage(answer.get("usage")),
            "system_fingerprint": None,
        }
    )


def vectors(answer: Mapping[str, Any], model: str) -> bytes:
    """The body of an answer with embeddings by ``model``, as base64: as numbers the largest would
    be too long to be handed on at once.
    """
    counted = usage(answer.get("usage")) or {"prompt_tokens": 0}
    prompt = counted["prompt_tokens"]
    return msgspec.json.encode(
        {
            "object": "list",
            "data": [
                {"object": "embedding", "index": at, "embedding": _base64(row["embedding"])}
                for at, row in enumerate(answer["data"])
            ],
            "model": model,
            "usage": {"prompt_tokens": prompt, "total_tokens": prompt},
        }
    )


def _base64(numbers: list[float]) -> str:
    return b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode("ascii")


class StreamWriter:
    """The events of one stream by ``model``; with ``usage`` it ends with that. The first chunk's id
    and time are those of all.
    """

    def __init__(self, model: str, *, usage: bool) -> None:
        self._model = model
        self._usage = usage
        self._head: dict[str, Any] | None = None
        self._begun: set[int] = set()

    def chunk(self, chunk: Mapping[str, Any]) -> bytes:
        """The event of a chunk; nothing where it says nothing."""
        choices = []
        for choice in chunk.get("choices") or ():
            index = choice.get("index") or 0
            delta = _said(choice.get("delta") or {}, whole=False)
            if index not in self._begun:
                delta = {"role": "assistant", "content": "", **delta}
                self._begun.add(index)
            elif not delta and choice.get("finish_reason") is None:
                continue
            choices.append(
                {
                    "index": index,
                    "delta": delta,
                    "logprobs": choice.get("logprobs"),
                    "finish_reason": choice.get("finish_reason"),
                }
            )
        return self._event(chunk, choices) if choices else b""

    def end(self, last: Mapping[str, Any] | None) -> bytes:
        """The usage, where it is wanted, and the terminator."""
        if not self._usage or last is None or self._head is None:
            return _DONE
        return self._event({}, [], usage=last) + _DONE

    def _event(
        self, chunk: Mapping[str, Any], choices: list[Any], **more: Mapping[str, Any]
    ) -> bytes:
        if self._head is None:
            self._head = {
                "id": chunk["id"],
                "object": "chat.completion.chunk",
                "created": chunk["created"],
                "model": self._model,
                "system_fingerprint": None,
            }
        event = {**self._head, "choices": choices, **more}
        return b"data: %b\n\n" % msgspec.json.encode(event)


def usage(given: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Token counts as the dialect has them."""
    if not given:
        return None
    prompt, completion = given.get("prompt_tokens") or 0, given.get("completion_tokens") or 0
    counted: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }
    for details, names in (
        ("prompt_tokens_details", ("cached_tokens", "cache_write_tokens")),
        ("completion_tokens_details", ("reasoning_tokens",)),
    ):
        told = given.get(details) or {}
        kept = {name: told[name] for name in names if told.get(name) is not None}
        if kept:
            counted[details] = kept
    return counted


def _said(message: Mapping[str, Any], *, whole: bool) -> dict[str, Any]:
    """The members of a message or delta that say something."""
    said: dict[str, Any] = {name: message[name] for name in _TEXTS if message.get(name)}
    calls = message.get("tool_calls") or ()
    if calls:
        said["tool_calls"] = [_call(call, at, whole=whole) for at, call in enumerate(calls)]
    if message.get("function_call"):
        said["function_call"] = _function(message["function_call"])
    if whole and "content" not in said and not calls and message.get("content") is not None:
        said["content"] = message["content"]
    return said


def _call(call: Mapping[str, Any], at: int, *, whole: bool) -> dict[str, Any]:
    written: dict[str, Any] = {} if whole else {"index": call.get("index", at)}
    if call.get("id"):
        written |= {"id": call["id"], "type": "function"}
    return written | {"function": _function(call.get("function") or {})}


def _function(function: Mapping[str, Any]) -> dict[str, Any]:
    named = {"name": function["name"]} if function.get("name") else {}
    return named | {"arguments": function.get("arguments") or ""}
