"""Embeddings of the OpenAI dialect: from vectors to an answer's bytes, and from a vendor's answer
to one that is written as the app wants it.

Source: the published OpenAPI document of the OpenAI API, ``POST /embeddings``. In base64 a vector
stands as 32-bit floats, little endian: that is how the official SDKs ask for it unless they are
told otherwise. Those of Python take numbers instead, those of JavaScript make zeros of them, and
who asks for numbers cannot read the other: so an answer is always written as it was asked for.
"""

from __future__ import annotations

import re
import sys
from array import array
from base64 import b64decode, b64encode
from binascii import Error

import msgspec

from gateway.domain.events import Finished, Usage
from gateway.wire.writer import Writer

_VECTOR = re.compile(rb'"embedding"[ \t\r\n]*:[ \t\r\n]*(.)')
_objects = msgspec.json.Decoder(dict[str, msgspec.Raw])
_rows = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_vectors = msgspec.json.Decoder(str | list[float])


class EmbeddingWriter(Writer):
    """``model`` is what the app asked for; ``base64`` says how vectors are written."""

    def __init__(self, *, model: str, base64: bool) -> None:
        self._model = model
        self._base64 = base64
        self._written: list[bytes] = []
        self._usage = Usage(0, 0)

    def embed(self, vectors: tuple[bytes, ...]) -> None:
        self._written += map(_in_base64 if self._base64 else _in_numbers, vectors)

    def count(self, usage: Usage) -> None:
        self._usage = usage

    def whole(self, finished: Finished) -> bytes:
        """The body of the answer."""
        rows = [
            b'{"object":"embedding","index":%d,"embedding":%b}' % numbered
            for numbered in enumerate(self._written)
        ]
        return b'{"object":"list","data":[%b],"model":%b,"usage":%b}' % (
            b",".join(rows),
            msgspec.json.encode(self._model),
            msgspec.json.encode(
                {"prompt_tokens": self._usage.prompt, "total_tokens": self._usage.total}
            ),
        )

    def relayed_whole(self, data: bytes) -> bytes:
        """A vendor's answer, with its vectors written as the app wants them."""
        first = _VECTOR.search(data)
        if first is None or (first[1] == b'"') is self._base64:
            return data
        try:
            return self._rewritten(data)
        except (msgspec.MsgspecError, Error, ValueError):
            # No vectors after all: the app is given what the vendor said.
            return data

    def _rewritten(self, data: bytes) -> bytes:
        answer = _objects.decode(data)
        rows = _rows.decode(answer["data"])
        for row in rows:
            written = _vectors.decode(row["embedding"])
            vector = b64decode(written) if isinstance(written, str) else _floats(written)
            again = _in_base64(vector) if self._base64 else _in_numbers(vector)
            row["embedding"] = msgspec.Raw(again)
        answer["data"] = msgspec.Raw(msgspec.json.encode(rows))
        return msgspec.json.encode(answer)


def _in_base64(vector: bytes) -> bytes:
    return b'"%b"' % b64encode(vector)


def _in_numbers(vector: bytes) -> bytes:
    """With nine digits each, which is what it takes to tell any two 32-bit floats apart."""
    numbers = array("f", vector)
    if sys.byteorder == "big":
        numbers.byteswap()
    return ("[" + ",".join(["%.9g"] * len(numbers)) % tuple(numbers) + "]").encode()


def _floats(numbers: list[float]) -> bytes:
    vector = array("f", numbers)
    if sys.byteorder == "big":
        vector.byteswap()
    return vector.tobytes()
