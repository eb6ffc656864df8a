"""What an app asks of a cloud model, asked of the local one by the official SDK: nothing answers
but the shipped model, through a gateway that was started by its command line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam

from tests.end_to_end.running import RunningGateway, configuration

OWN = "  own: {targets: [local/smollm2]}"
QUESTION: list[ChatCompletionMessageParam] = [
    {"role": "user", "content": "What is the weather in Paris?"}
]
WEATHER: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city, now.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "maxLength": 20}},
            "required": ["city"],
        },
    },
}
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 12}, "age": {"enum": [7, 8]}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenAI]:
    folder: Path = tmp_path_factory.mktemp("features")
    with RunningGateway(folder, configuration(models=OWN), key=None) as gateway:
        yield gateway.sdk


def test_a_function_that_must_be_called(client: OpenAI) -> None:
    """With arguments that its schema takes; then its result is taken too."""
    answer = client.chat.completions.create(
        model="gpt-4o",
        messages=QUESTION,
        tools=[WEATHER],
        tool_choice="required",
        parallel_tool_calls=False,
        temperature=0,
        max_tokens=60,
    )
    (choice,) = answer.choices
    assert choice.finish_reason == "tool_calls"
    calls: Any = choice.message.tool_calls
    (call,) = calls
    assert set(json.loads(call.function.arguments)) == {"city"}
    function = {"name": call.function.name, "arguments": call.function.arguments}
    history: Any = [
        *QUESTION,
        {
            "role": "assistant",
            "tool_calls": [{"id": call.id, "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": call.id, "content": "18 degrees, sunny"},
    ]
    after = client.chat.completions.create(
        model="gpt-4o",
        messages=history,
        tools=[WEATHER],
        tool_choice="none",
        temperature=0,
        max_tokens=16,
    )
    assert after.choices[0].message.content
    assert after.choices[0].message.tool_calls is None


def test_a_named_function_streamed(client: OpenAI) -> None:
    """Its arguments come in parts; the finish is ``stop``, as the API has it for a named one."""
    stream = client.chat.completions.create(
        model="gpt-4o",
        messages=QUESTION,
        tools=[WEATHER],
        temperature=0,
        max_tokens=60,
        stream=True,
        tool_choice={"type": "function", "function": {"name": "get_weather"}},
    )
    chunks = list(stream)
    deltas = [call for c in chunks for call in c.choices[0].delta.tool_calls or ()]
    assert [call.function.name for call in deltas if call.function and call.function.name] == [
        "get_weather"
    ]
    assert len(deltas) > 2
    text = "".join(call.function.arguments or "" for call in deltas if call.function)
    assert set(json.loads(text)) == {"city"}
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_a_strict_schema(client: OpenAI) -> None:
    """The text is JSON of that schema."""
    answer = client.chat.completions.create(
        model="gpt-4o",
        messages=[{"role": "user", "content": "Make up a child, as JSON."}],
        max_tokens=60,
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "person", "strict": True, "schema": PERSON},
        },
    )
    assert json.loads(answer.choices[0].message.content or "")["age"] in (7, 8)
    assert answer.choices[0].finish_reason == "stop"


@pytest.mark.parametrize(
    ("wanted", "expression"),
    [
        ({"regex": "[0-9]{3}-[a-z]{4}"}, "[0-9]{3}-[a-z]{4}"),
        ({"choice": ["sunny", "rainy"]}, "sunny|rainy"),
        ({"grammar": 'root ::= "yes" | "no"'}, "yes|no"),
    ],
)
def test_other_shapes(client: OpenAI, wanted: dict[str, Any], expression: str) -> None:
    """Regular expressions, choices and grammars, with vLLM's parameter."""
    answer = client.chat.completions.create(
        model="gpt-4o", messages=QUESTION, extra_body={"structured_outputs": wanted}
    )
    assert re.fullmatch(expression, answer.choices[0].message.content or "")


def test_a_schema_that_cannot_be_kept_is_refused(client: OpenAI) -> None:
    """Naming the parameter and what is not known."""
    schema: dict[str, object] = {"type": "object", "properties": {"a": {"not": {"type": "string"}}}}
    with pytest.raises(openai.BadRequestError, match="not") as caught:
        client.chat.completions.create(
            model="gpt-4o",
            messages=QUESTION,
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "x", "strict": True, "schema": schema},
            },
        )
    assert caught.value.param == "response_format"


@pytest.mark.parametrize("stream", [True, False])
def test_scores_of_each_token(client: OpenAI, stream: bool) -> None:
    """As many as tokens, their texts the answer's, the chosen one among the likely ones."""
    asked: dict[str, Any] = {
        "model": "gpt-4o",
        "messages": QUESTION,
        "temperature": 0,
        "max_tokens": 6,
        "logprobs": True,
        "top_logprobs": 3,
    }
    if stream:
        chunks = list(client.chat.completions.create(**asked, stream=True))
        text = "".join(c.choices[0].delta.content or "" for c in chunks)
        scores = [
            score
            for c in chunks
            if c.choices[0].logprobs
            for score in c.choices[0].logprobs.content or ()
        ]
    else:
        choice = client.chat.completions.create(**asked).choices[0]
        assert choice.logprobs is not None
        text, scores = choice.message.content or "", choice.logprobs.content or []
    assert len(scores) == 6
    assert "".join(score.token for score in scores) == text
    for score in scores:
        assert score.top_logprobs[0].token == score.token
        assert -20 < score.logprob <= 0


def test_several_choices_and_a_seed(client: OpenAI) -> None:
    """Each choice has words of its own; the same seed has the same, whoever else asks."""
    asked: dict[str, Any] = {
        "model": "gpt-4o",
        "messages": [{"role": "user", "content": "Invent a name for a cat."}],
        "max_tokens": 12,
        "temperature": 1.2,
        "n": 3,
        "seed": 11,
    }
    first = [c.message.content for c in client.chat.completions.create(**asked).choices]
    assert len(set(first)) == 3
    others = client.chat.completions.create(
        model="gpt-4o", messages=QUESTION, max_tokens=40, stream=True
    )
    again = [c.message.content for c in client.chat.completions.create(**asked).choices]
    others.close()
    assert again == first


def test_token_ids_are_only_taken_for_a_model_that_was_asked_for_itself(client: OpenAI) -> None:
    """The ids in ``logit_bias`` are those of the model that the app names: for another's vocabulary
    they would be noise, so they are refused by name rather than applied.
    """
    asked: dict[str, Any] = {"messages": QUESTION, "max_tokens": 3, "logit_bias": {"30": -100}}
    assert client.chat.completions.create(model="own", **asked).choices
    with pytest.raises(openai.APIStatusError, match="logit_bias"):
        client.chat.completions.create(model="gpt-4o", **asked)
