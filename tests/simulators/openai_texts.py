"""What a vendor of the OpenAI dialect says of plain texts: completions, plain and streamed, and
embeddings.

Sources: OpenAI's API reference, "Completions" and "Embeddings".
"""

from __future__ import annotations

import hashlib
import json
import struct
from base64 import b64encode
from typing import Any

from tests.simulators.delivery import Answer
from tests.simulators.openai_speech import USAGE, WORDS, OpenAISpeech

DIMENSIONS = 8


class CompletionsSpeech(OpenAISpeech):
    """Each prompt gets ``n`` times the words, of which only ``words`` can be varied."""

    def answer(self) -> Answer:
        choices = range(len(inputs(self.request.get("prompt", ""))) * (self.request.get("n") or 1))
        words = self.options.get("words", WORDS)
        if not self.streamed:
            said = [_choice(index, "".join(words), "stop") for index in choices]
            return Answer.plain(self._say(self._body(said, USAGE)))
        closing = [self._say(self._body([_choice(index, "", "stop")])) for index in choices]
        if self._usage:
            closing.append(self._say(self._body([], USAGE)))
        content = [
            self._say(self._body([_choice(index, word)])) for word in words for index in choices
        ]
        return Answer(
            opening=(),
            content=tuple(content),
            closing=tuple(closing),
            terminator=(b"data: [DONE]\n\n",),
            streamed=True,
        )

    def _body(self, choices: list[Any], usage: dict[str, Any] | None = None) -> dict[str, Any]:
        about = self._about("text_completion") | {"id": "cmpl-sim", "choices": choices}
        return about if usage is None else {**about, "usage": usage}


class EmbeddingsSpeech(OpenAISpeech):
    """``encoding`` is how vectors are written, whatever was asked for."""

    def answer(self) -> Answer:
        given = inputs(self.request["input"])
        size = self.request.get("dimensions") or DIMENSIONS
        encoding = self.options.get("encoding", self.request.get("encoding_format", "float"))
        rows = [
            {"object": "embedding", "index": index, "embedding": _written(one, size, encoding)}
            for index, one in enumerate(given)
        ]
        usage = {"prompt_tokens": len(given), "total_tokens": len(given)}
        body = {"object": "list", "data": rows, "model": self._model, "usage": usage}
        return Answer.plain(json.dumps(body).encode())


def inputs(given: Any) -> list[Any]:
    """What stands in the body as one or several of them."""
    if isinstance(given, list) and not all(isinstance(one, int) for one in given):
        return given
    return [given]


def numbers(text: Any, size: int) -> list[float]:
    """A vector of its own for each text."""
    digest = hashlib.shake_128(json.dumps(text).encode()).digest(size)
    return [byte / 256 for byte in digest]


def _written(text: Any, size: int, encoding: str) -> list[float] | str:
    vector = numbers(text, size)
    return vector if encoding == "float" else b64encode(struct.pack(f"<{size}f", *vector)).decode()


def _choice(index: int, text: str, reason: str | None = None) -> dict[str, Any]:
    return {"text": text, "index": index, "logprobs": None, "finish_reason": reason}
