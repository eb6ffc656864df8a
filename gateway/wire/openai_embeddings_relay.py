"""Embeddings that pass between an app and a vendor of the same API, byte for byte but for the
model's name. The vectors are stepped over: an answer may have many megabytes of them.
"""

from __future__ import annotations

import msgspec

from gateway.domain.call import Call
from gateway.domain.target import Target
from gateway.wire.model_name import with_model
from gateway.wire.openai_told import WrittenUsage, text_only, usage_of, vendor_error
from gateway.wire.relay import Answer, StreamReader, VendorError


class _Row(msgspec.Struct):
    embedding: msgspec.Raw


class _Answer(msgspec.Struct):
    data: list[_Row]
    model: str | None = None
    usage: WrittenUsage | None = None
    provider: object = None


_answers = msgspec.json.Decoder(_Answer)


class EmbeddingSpeech:
    """Implements ``Speech`` for embeddings, which are never streamed."""

    def request(self, call: Call, target: Target) -> bytes:
        return with_model(call.body, call.model, target.model)

    def answer(self, body: bytes, asked: str, *, typed: bool) -> Answer:
        try:
            answer = _answers.decode(body)
            data = with_model(body, answer.model, asked)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise ValueError("the answer is no list of embeddings") from None
        if not answer.data:
            raise ValueError("the answer has no embedding")
        return Answer(
            data=data,
            model=answer.model,
            provider=text_only(answer.provider),
            usage=usage_of(answer.usage),
            reasons=(),
            text="",
        )

    def error(self, body: bytes) -> VendorError:
        return vendor_error(body)

    def reader(self, asked: str, *, typed: bool) -> StreamReader:
        raise NotImplementedError("embeddings are not streamed")
