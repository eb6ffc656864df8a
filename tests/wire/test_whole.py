"""Whole numbers that no process can pass on: to schemathesis, a seed of 81 bits was a 500."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from gateway.errors import InvalidRequest
from gateway.wire import (
    anthropic_messages,
    openai_chat,
    openai_completions,
    openai_embeddings,
    openai_responses,
)

BODY: dict[str, object] = {
    "model": "m",
    "messages": [{"role": "user", "content": "x"}],
    "max_tokens": 4,
}
BODY |= {"prompt": "x", "input": "x"}
OPENAI = ("max_tokens", "max_completion_tokens", "top_k", "seed", "n", "top_logprobs")


@pytest.mark.parametrize("value", [2**63, 2**64, -(2**63) - 1, 2**80])
@pytest.mark.parametrize(
    ("parse", "name"),
    [(openai_chat.parse, name) for name in OPENAI]
    + [(openai_completions.parse, name) for name in ("best_of", "logprobs")]
    + [(openai_responses.parse, name) for name in ("max_output_tokens", "max_tool_calls")]
    + [(openai_embeddings.parse, "dimensions")]
    + [(anthropic_messages.parse, name) for name in ("max_tokens", "top_k")],
)
def test_more_than_64_bits_are_refused_by_name(
    parse: Callable[[bytes], object], name: str, value: int
) -> None:
    """It is the app's fault, and no defect of the gateway."""
    with pytest.raises(InvalidRequest) as caught:
        parse(json.dumps(BODY | {name: value}).encode())
    assert (caught.value.param, caught.value.code) == (name, "invalid_type")


@pytest.mark.parametrize("seed", [-(2**63), 2**63 - 1, 0])
def test_64_bits_are_taken(seed: int) -> None:
    """To the last one."""
    request = openai_chat.parse(json.dumps(BODY | {"seed": seed}).encode())
    assert request.chat.sampling.seed == seed
