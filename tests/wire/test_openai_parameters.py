"""What is passed over where a body says nothing of it is passed over only then."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.call import Sampling
from gateway.domain.target import Capability
from gateway.errors import InvalidRequest
from gateway.wire import openai_chat, openai_completions
from gateway.wire.openai_parameters import check_ranges

NEEDY: dict[str, tuple[Any, Capability]] = {
    "tools": ([{"type": "function", "function": {"name": "f"}}], Capability.TOOLS),
    "functions": ([{"name": "f"}], Capability.TOOLS),
    "response_format": ({"type": "json_object"}, Capability.JSON_OBJECT),
    "structured_outputs": ({"choice": ["a"]}, Capability.STRUCTURED_OUTPUTS),
    "logit_bias": ({"1": 1}, Capability.LOGIT_BIAS),
    "n": (2, Capability.SEVERAL_CHOICES),
    "logprobs": (True, Capability.LOGPROBS),
    "web_search_options": ({}, Capability.WEB_SEARCH),
    "moderation": ({}, Capability.MODERATION),
    "modalities": (["text", "audio"], Capability.AUDIO),
}
SAMPLED: dict[str, tuple[Any, Sampling]] = {
    "temperature": (0, Sampling(temperature=0.0)),
    "top_p": (0, Sampling(top_p=0.0)),
    "presence_penalty": (1, Sampling(presence_penalty=1.0)),
    "frequency_penalty": (1, Sampling(frequency_penalty=1.0)),
    "seed": (0, Sampling(seed=0)),
    "top_k": (1, Sampling(top_k=1)),
    "min_p": (0, Sampling(min_p=0.0)),
    "repetition_penalty": (1.5, Sampling(repeat_penalty=1.5)),
    "logit_bias": ({"1": 1}, Sampling(logit_bias=((1, 1.0),))),
    "ignore_eos": (True, Sampling(ignore_end=True)),
}


def _chat(**more: Any) -> openai_chat.ChatRequest:
    messages = [{"role": "user", "content": "hi"}]
    return openai_chat.parse(json.dumps({"model": "m", "messages": messages, **more}).encode())


@pytest.mark.parametrize("name", NEEDY)
def test_each_parameter_that_takes_more_of_a_target_is_seen(name: str) -> None:
    value, need = NEEDY[name]
    assert need not in _chat().needs
    assert need in _chat(**{name: value}).needs


@pytest.mark.parametrize("name", SAMPLED)
def test_each_parameter_of_sampling_is_seen(name: str) -> None:
    value, sampling = SAMPLED[name]
    assert _chat().chat.sampling == Sampling()
    assert _chat(**{name: value}).chat.sampling == sampling


@given(
    st.dictionaries(
        st.sampled_from([name for name, _, _ in openai_chat.BOUNDS]),
        st.sampled_from([None, -3, 0, 1, 2, 21, 129]),
        max_size=3,
    )
)
def test_ranges_are_those_that_are_looked_at_one_by_one(said: dict[str, int | None]) -> None:
    body: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    body |= {"logprobs": True, **said}
    parsed = openai_chat.BODY(**body)
    told = _refusal(lambda: check_ranges(parsed, openai_chat.BOUNDS))
    assert _refusal(lambda: openai_chat.parse(json.dumps(body).encode())) == told


def _refusal(read: Any) -> str | None:
    try:
        read()
    except InvalidRequest as refused:
        return refused.message
    return None


def test_a_completion_has_ranges_of_its_own() -> None:
    with pytest.raises(InvalidRequest, match="'best_of' is 21"):
        openai_completions.parse(b'{"model":"m","prompt":"a","best_of":21}')
