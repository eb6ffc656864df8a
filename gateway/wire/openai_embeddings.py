"""Embeddings of the OpenAI dialect: from a body to what is asked for.

Source: the published OpenAPI document of the OpenAI API, ``POST /embeddings``.
"""

from __future__ import annotations

import msgspec

from gateway.domain.call import Embedding, Prompt
from gateway.domain.target import Capability
from gateway.errors import InvalidRequest
from gateway.wire.openai_parameters import (
    ENDLESS,
    Prompts,
    check_model,
    check_ranges,
    prompts,
    read,
)
from gateway.wire.whole import Whole

MOST_INPUTS = 2048
NEEDS = frozenset({Capability.EMBEDDINGS})


class _Body(msgspec.Struct):
    """What the gateway must know of a request. Other parameters pass through untouched."""

    model: str
    input: Prompts
    encoding_format: str | None = None
    dimensions: Whole | None = None


class EmbeddingRequest(msgspec.Struct, frozen=True):
    """A parsed body: what the engine needs beside the bytes themselves. ``base64`` says how the
    vectors are to be written.
    """

    model: str
    base64: bool
    embedding: Embedding


_decoder = msgspec.json.Decoder(_Body)
_RANGES = (("dimensions", 1, ENDLESS),)
BODY = _Body
BOUNDS = _RANGES
"""For whoever documents it, as is ``BODY``."""


def parse(body: bytes) -> EmbeddingRequest:
    """Read the body of a request for embeddings. Raises ``InvalidRequest`` that names the
    parameter.
    """
    parsed = read(_decoder, body)
    check_model(parsed.model)
    check_ranges(parsed, _RANGES)
    if parsed.encoding_format not in (None, "float", "base64"):
        raise InvalidRequest(
            f"'encoding_format' is {parsed.encoding_format[:64]!r}: it must be float or base64.",
            param="encoding_format",
        )
    return EmbeddingRequest(
        model=parsed.model,
        base64=parsed.encoding_format == "base64",
        embedding=Embedding(_inputs(parsed.input), parsed.dimensions),
    )


def _inputs(given: Prompts) -> tuple[Prompt, ...]:
    inputs = prompts(given, "input")
    if len(inputs) > MOST_INPUTS:
        raise InvalidRequest(
            f"'input' has {len(inputs)} inputs: it must have no more than {MOST_INPUTS}.",
            param="input",
        )
    for place, one in enumerate(inputs):
        if not one:
            name = "input" if isinstance(given, str) else f"input[{place}]"
            raise InvalidRequest(f"'{name}' is empty: it has no vector.", param=name)
    return inputs
