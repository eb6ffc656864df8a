"""Plain completions of the OpenAI dialect: from events to an answer's bytes, where the target does
not speak the dialect itself.

Source: the published OpenAPI document of the OpenAI API, ``POST /completions``. A token whose bytes
are no UTF-8 is written ``bytes:\\xe2\\x80``, as that API does it; ``text_offset`` counts the
characters of the choice's own text, as vLLM's server does.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from gateway.domain.events import (
    Continued,
    Delta,
    Finished,
    FinishReason,
    Piece,
    Scored,
    Usage,
)
from gateway.wire.openai_answer import LEAST, usage_members
from gateway.wire.writer import Writer

_REASONS = frozenset({FinishReason.STOP, FinishReason.LENGTH, FinishReason.CONTENT_FILTER})


def _decoder() -> codecs.IncrementalDecoder:
    return codecs.getincrementaldecoder("utf-8")("replace")


@dataclass(slots=True)
class _Choice:
    """One choice as it grows: ``place`` is the character at which the next token begins."""

    text: list[str] = field(default_factory=list)
    scores: list[Scored] = field(default_factory=list)
    place: int = 0
    decoder: codecs.IncrementalDecoder = field(default_factory=_decoder)

    def logprobs(self, scores: Iterable[Scored]) -> dict[str, Any]:
        """Those of the next tokens."""
        said: dict[str, list[Any]] = {
            "tokens": [],
            "token_logprobs": [],
            "top_logprobs": [],
            "text_offset": [],
        }
        for one in scores:
            said["tokens"].append(_name(one.token))
            said["token_logprobs"].append(max(one.logprob, LEAST))
            likely = {_name(other.token): max(other.logprob, LEAST) for other in one.top}
            likely.setdefault(_name(one.token), max(one.logprob, LEAST))
            said["top_logprobs"].append(likely)
            said["text_offset"].append(self.place)
            self.place += len(self.decoder.decode(one.token))
        return said


class CompletionWriter(Writer):
    """``id`` is the answer's id, ``model`` what the app asked for, ``created`` seconds since 1970;
    ``scores`` says that they were asked for.
    """

    def __init__(
        self, *, id: str, model: str, created: int, include_usage: bool, scores: bool
    ) -> None:
        self._head = {"id": id, "object": "text_completion", "created": created, "model": model}
        self._include_usage = include_usage
        self._scores = scores
        self._choices: dict[int, _Choice] = {}
        self._usage: Usage | None = None

    def piece(self, piece: Piece) -> bytes:
        """The chunk of a stream that carries a piece."""
        if not isinstance(piece, Delta):
            return b""
        scores = self._choice(piece.choice).logprobs(piece.scores) if self._scores else None
        return self._chunk([_choice(piece.choice, piece.text, None, scores)])

    def resume(self, continued: Continued) -> None:
        """Go on with a stream that the app has the beginning of, in another target's bytes."""
        if continued.id is not None:
            self._head["id"] = continued.id
        if continued.created is not None:
            self._head["created"] = continued.created

    def keep(self, piece: Piece) -> None:
        """Collect a piece for an answer that is not streamed."""
        if isinstance(piece, Delta):
            choice = self._choice(piece.choice)
            choice.text.append(piece.text)
            choice.scores += piece.scores

    def count(self, usage: Usage) -> None:
        self._usage = usage

    def end(self, finished: Finished) -> bytes:
        """The last chunks of a stream: the finishes, the usage where it was asked for,
        ``[DONE]``.
        """
        last = b"".join(
            self._chunk([_choice(choice, "", _reason(reason), None)])
            for choice, reason in enumerate(finished.reasons or (FinishReason.STOP,))
        )
        if self._include_usage and self._usage is not None:
            last += self._chunk([], usage=usage_members(self._usage))
        return last + b"data: [DONE]\n\n"

    def whole(self, finished: Finished) -> bytes:
        """The body of an answer that is not streamed."""
        choices = [
            self._whole_choice(choice, reason)
            for choice, reason in enumerate(finished.reasons or (FinishReason.STOP,))
        ]
        body: dict[str, Any] = {**self._head, "choices": choices}
        if self._usage is not None:
            body["usage"] = usage_members(self._usage)
        return msgspec.json.encode(body)

    def _whole_choice(self, index: int, reason: FinishReason) -> dict[str, Any]:
        choice = self._choice(index)
        scores = choice.logprobs(choice.scores) if self._scores else None
        return _choice(index, "".join(choice.text), _reason(reason), scores)

    def _choice(self, index: int) -> _Choice:
        return self._choices.setdefault(index, _Choice())

    def _chunk(
        self, choices: Sequence[dict[str, Any]], usage: dict[str, Any] | None = None
    ) -> bytes:
        body: dict[str, Any] = {**self._head, "choices": choices}
        if self._include_usage:
            body["usage"] = usage
        return b"data: " + msgspec.json.encode(body) + b"\n\n"


def _choice(
    index: int, text: str, reason: str | None, scores: dict[str, Any] | None
) -> dict[str, Any]:
    return {"text": text, "index": index, "logprobs": scores, "finish_reason": reason}


def _reason(reason: FinishReason) -> str:
    return (reason if reason in _REASONS else FinishReason.STOP).value


def _name(token: bytes) -> str:
    try:
        return token.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in token)
