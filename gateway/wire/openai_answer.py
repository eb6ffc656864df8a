"""Chat completions of the OpenAI dialect: from events to an answer's bytes, where the target does
not speak the dialect itself.

Source: the published OpenAPI document of the OpenAI API, ``POST /chat/completions``.
``reasoning_content`` is as in DeepSeek's API.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from gateway.domain.events import (
    Called,
    Continued,
    Delta,
    Finished,
    FinishReason,
    Likely,
    Piece,
    Reasoned,
    Scored,
    Usage,
)
from gateway.wire.writer import Writer

LEAST = -9999.0
"""What the API says of a token that cannot be; JSON has no infinity."""
_ROLE: Mapping[str, Any] = {"role": "assistant"}


@dataclass(slots=True)
class _Message:
    """One choice of an answer that is not streamed, as it grows."""

    text: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)
    arguments: list[list[str]] = field(default_factory=list)
    scores: list[Scored] = field(default_factory=list)


class ChatWriter(Writer):
    """``id`` is the answer's id, ``model`` what the app asked for, ``created`` seconds since 1970;
    ``functions`` as in ``ChatRequest``; ``scores`` says that they were asked for.
    """

    def __init__(
        self,
        *,
        id: str,
        model: str,
        created: int,
        include_usage: bool,
        functions: bool = False,
        scores: bool = False,
    ) -> None:
        self._head = {"id": id, "created": created, "model": model}
        self._include_usage = include_usage
        self._functions = functions
        self._scores = scores
        self._begun: set[int] = set()
        self._messages: dict[int, _Message] = {}
        self._usage: Usage | None = None

    def piece(self, piece: Piece) -> bytes:
        """The chunk of a stream that carries a piece; a choice's first one carries the role too."""
        delta: dict[str, Any] = {}
        if piece.choice not in self._begun:
            self._begun.add(piece.choice)
            delta = {**_ROLE, "content": None if isinstance(piece, Called) else ""}
        match piece:
            case Delta(text=text):
                delta["content"] = text
            case Reasoned(text=text):
                delta["reasoning_content"] = text
            case Called():
                delta |= self._call(piece)
        scores = _logprobs(piece.scores) if isinstance(piece, Delta) and self._scores else None
        return self._chunk([_choice(piece.choice, delta, None, scores)])

    def resume(self, continued: Continued) -> None:
        """Go on with a stream that the app has the beginning of, in another target's bytes."""
        self._begun.add(0)
        if continued.id is not None:
            self._head["id"] = continued.id
        if continued.created is not None:
            self._head["created"] = continued.created

    def keep(self, piece: Piece) -> None:
        """Collect a piece for an answer that is not streamed."""
        message = self._messages.setdefault(piece.choice, _Message())
        match piece:
            case Delta(text=text, scores=scores):
                message.text.append(text)
                message.scores += scores
            case Reasoned(text=text):
                message.reasoning.append(text)
            case Called(name=None, arguments=arguments):
                message.arguments[-1].append(arguments)
            case Called():
                called = {"name": piece.name}
                message.calls.append({"id": piece.id, "type": "function", "function": called})
                message.arguments.append([piece.arguments])

    def count(self, usage: Usage) -> None:
        self._usage = usage

    def end(self, finished: Finished) -> bytes:
        """The last chunks of a stream: the finishes, the usage where it was asked for,
        ``[DONE]``.
        """
        last = b""
        for choice, reason in enumerate(finished.reasons or (FinishReason.STOP,)):
            if choice not in self._begun:
                last += self.piece(Delta("", choice))
            last += self._chunk([_choice(choice, {}, self._reason(reason), None)])
        usage = b""
        if self._include_usage and self._usage is not None:
            usage = self._chunk([], usage=usage_members(self._usage))
        return last + usage + b"data: [DONE]\n\n"

    def whole(self, finished: Finished) -> bytes:
        """The body of an answer that is not streamed."""
        choices = [
            self._whole_choice(choice, reason)
            for choice, reason in enumerate(finished.reasons or (FinishReason.STOP,))
        ]
        body = {**self._head, "object": "chat.completion", "choices": choices}
        if self._usage is not None:
            body["usage"] = usage_members(self._usage)
        return msgspec.json.encode(body)

    def _whole_choice(self, choice: int, reason: FinishReason) -> dict[str, Any]:
        kept = self._messages.get(choice, _Message())
        text = "".join(kept.text)
        message: dict[str, Any] = {
            **_ROLE,
            "content": None if kept.calls and not text else text,
            "refusal": None,
            "annotations": [],
        }
        if kept.reasoning:
            message["reasoning_content"] = "".join(kept.reasoning)
        for call, arguments in zip(kept.calls, kept.arguments, strict=True):
            call["function"]["arguments"] = "".join(arguments)
        if kept.calls and self._functions:
            message["function_call"] = kept.calls[0]["function"]
        elif kept.calls:
            message["tool_calls"] = kept.calls
        scores = _logprobs(kept.scores) if self._scores else None
        return {
            "index": choice,
            "message": message,
            "logprobs": scores,
            "finish_reason": self._reason(reason),
        }

    def _call(self, piece: Called) -> dict[str, Any]:
        named = {} if piece.name is None else {"name": piece.name}
        function = {**named, "arguments": piece.arguments}
        if self._functions:
            return {"function_call": function}
        call: dict[str, Any] = {"index": piece.index, "function": function}
        if piece.id is not None:
            call |= {"id": piece.id, "type": "function"}
        return {"tool_calls": [call]}

    def _reason(self, reason: FinishReason) -> str:
        if self._functions and reason is FinishReason.TOOL_CALLS:
            return "function_call"
        return reason.value

    def _chunk(self, choices: list[dict[str, Any]], usage: dict[str, Any] | None = None) -> bytes:
        body = {**self._head, "object": "chat.completion.chunk", "choices": choices}
        if self._include_usage:
            body["usage"] = usage
        return b"data: " + msgspec.json.encode(body) + b"\n\n"


def _choice(
    index: int, delta: dict[str, Any], reason: str | None, scores: dict[str, Any] | None
) -> dict[str, Any]:
    return {"index": index, "delta": delta, "logprobs": scores, "finish_reason": reason}


def token_scores(scores: Sequence[Scored]) -> list[dict[str, Any]]:
    return [
        {**_token(one), "top_logprobs": [_token(likely) for likely in one.top]} for one in scores
    ]


def _logprobs(scores: Sequence[Scored]) -> dict[str, Any]:
    return {"content": token_scores(scores), "refusal": None}


def _token(one: Scored | Likely) -> dict[str, Any]:
    text = one.token.decode("utf-8", "replace")
    return {"token": text, "logprob": max(one.logprob, LEAST), "bytes": list(one.token)}


def usage_members(usage: Usage) -> dict[str, Any]:
    prompt = {"cached_tokens": usage.cached}
    if usage.stored:
        prompt["cache_write_tokens"] = usage.stored
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.total,
        "prompt_tokens_details": prompt,
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }
