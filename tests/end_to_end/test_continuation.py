"""A vendor breaks off in mid-stream: the official client reads one answer and notices nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from openai.lib.streaming.chat import ChatCompletionStream
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from tests.end_to_end.running import RunningGateway, configuration
from tests.simulators.vendor import VendorSimulator

MODELS = """\
  second: {targets: [second/gpt-4o]}
  both: {targets: [openai/gpt-4o, second/gpt-4o]}
  three: {targets: [openai/gpt-4o, second/gpt-4o, local/smollm2]}
  strict: {targets: [openai/gpt-4o, local/smollm2], continuation: false}
"""
SECOND = """\
  second: {{vendor: self, kind: openai, base_url: "{url}", locality: sovereign}}
models:
"""
QUESTION = [{"role": "user", "content": "In which country is the city of Paris?"}]
FAILS = ("break_off", "stall_mid_stream", "error_event")


@pytest.fixture(scope="module")
def vendors() -> Iterator[tuple[VendorSimulator, VendorSimulator]]:
    with VendorSimulator() as first, VendorSimulator() as second:
        yield first, second


@pytest.fixture(scope="module")
def gateway(
    tmp_path_factory: pytest.TempPathFactory, vendors: tuple[VendorSimulator, VendorSimulator]
) -> Iterator[RunningGateway]:
    first, second = vendors
    text = configuration(first.url, models=MODELS)
    text = text.replace("models:\n", SECOND.format(url=second.url), 1)
    text = text.replace("idle_timeout: 20", "idle_timeout: 1")
    with RunningGateway(tmp_path_factory.mktemp("gateway"), text) as running:
        yield running


@pytest.fixture(autouse=True)
def healthy(gateway: RunningGateway, vendors: tuple[VendorSimulator, VendorSimulator]) -> None:
    """No breaker opens for what the test before did."""
    for vendor in vendors:
        vendor.behave("answer")
    for model in ("gpt-4o", "second"):
        assert gateway.ask(model)[0] == 200


def streamed(gateway: RunningGateway, model: str, **fields: Any) -> list[ChatCompletionChunk]:
    """The chunks of an answer, as they came over the wire."""
    asked: dict[str, Any] = {"max_tokens": 24, "temperature": 0, "messages": QUESTION} | fields
    stream = gateway.sdk.chat.completions.create(model=model, stream=True, **asked)
    return list(stream)


def whole(gateway: RunningGateway, model: str, **fields: Any) -> ChatCompletion:
    """The answer that the client's own helper puts together, and checks as it does."""
    stream: ChatCompletionStream[Any]
    asked: dict[str, Any] = {"max_tokens": 24, "temperature": 0, "messages": QUESTION} | fields
    with gateway.sdk.chat.completions.stream(model=model, **asked) as stream:
        return stream.get_final_completion()


@pytest.mark.parametrize("behaviour", FAILS)
def test_local_goes_on_with_a_vendors_answer(
    gateway: RunningGateway,
    vendors: tuple[VendorSimulator, VendorSimulator],
    behaviour: str,
) -> None:
    """One id, one role, one finish, one usage that adds up; the vendor's words come first."""
    vendors[0].behave(behaviour, words=("The city", " of", " Paris"), after=3)
    chunks = streamed(gateway, "gpt-4o", stream_options={"include_usage": True})
    told = [choice for chunk in chunks for choice in chunk.choices]
    text = "".join(choice.delta.content or "" for choice in told)
    assert text.startswith("The city of Paris")
    assert len(text) > len("The city of Paris")
    assert {(chunk.id, chunk.created, chunk.model) for chunk in chunks} == {
        ("chatcmpl-sim", 1_700_000_000, "gpt-4o")
    }
    assert [choice.delta.role for choice in told if choice.delta.role] == ["assistant"]
    assert [c.finish_reason for c in told if c.finish_reason] in (["stop"], ["length"])
    (usage,) = (chunk.usage for chunk in chunks if chunk.usage)
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert 3 < usage.completion_tokens <= 24
    record = gateway.last_record()
    assert [attempt["target"] for attempt in record["attempts"]] == [
        *("openai/gpt-4o", "local/smollm2"),
    ]
    assert record["attempts"][0]["seam"] == {"byte": 17, "token": 3}
    assert record["completion_tokens"] == usage.completion_tokens


def test_another_server_goes_on_and_is_told_how(
    gateway: RunningGateway, vendors: tuple[VendorSimulator, VendorSimulator]
) -> None:
    """It gets the beginning as the assistant's turn, and no more tokens than are left."""
    vendors[0].behave("break_off", words=("Hel", "lo"), after=2)
    vendors[1].behave("answer", words=(", ", "world"))
    answer = whole(gateway, "both", max_tokens=9)
    assert answer.choices[0].message.content == "Hello, world"
    assert answer.id == "chatcmpl-sim"
    asked = vendors[1].requests[-1].json
    assert asked["messages"] == [*QUESTION, {"role": "assistant", "content": "Hello"}]
    assert (asked["max_tokens"], asked["continue_final_message"]) == (7, True)
    assert asked["stream_options"] == {"include_usage": True}
    record = gateway.last_record()
    assert record["completion_tokens"] == 4 + 2


def test_two_break_off_and_local_ends_it(
    gateway: RunningGateway, vendors: tuple[VendorSimulator, VendorSimulator]
) -> None:
    """Each goes on from all that was sent before."""
    vendors[0].behave("break_off", words=("The city",), after=1)
    vendors[1].behave("break_off", words=(" of Paris",), after=1)
    content = whole(gateway, "three").choices[0].message.content
    assert content is not None
    assert content.startswith("The city of Paris")
    assert [a["seam"] for a in gateway.last_record()["attempts"]] == [
        *({"byte": 8, "token": 1}, {"byte": 17, "token": 2}, None),
    ]


def test_what_was_begun_in_a_schema_ends_in_it(
    gateway: RunningGateway, vendors: tuple[VendorSimulator, VendorSimulator]
) -> None:
    """Half an object of the vendor, the rest of it local: together what the schema says."""
    schema = {
        "type": "object",
        "properties": {"country": {"type": "string", "maxLength": 20}, "big": {"type": "boolean"}},
        "required": ["country", "big"],
        "additionalProperties": False,
    }
    vendors[0].behave("break_off", words=('{"coun', 'try": "Fra'), after=2)
    shape = {"type": "json_schema", "json_schema": {"name": "c", "schema": schema, "strict": True}}
    chunks = streamed(gateway, "gpt-4o", response_format=shape, max_tokens=60)
    text = "".join(c.delta.content or "" for chunk in chunks for c in chunk.choices)
    answer = json.loads(text)
    assert answer["country"].startswith("Fra")
    assert set(answer) == {"country", "big"}


def test_a_model_that_says_no_continuation_ends_in_an_error(
    gateway: RunningGateway, vendors: tuple[VendorSimulator, VendorSimulator]
) -> None:
    """Its apps get an error that says that the answer is not complete."""
    vendors[0].behave("break_off", after=2)
    with pytest.raises(Exception, match="broke off") as caught:
        streamed(gateway, "strict")
    assert getattr(caught.value, "code", None) == "stream_interrupted"
    assert gateway.last_record()["outcome"] == "broken"


def test_half_a_call_is_not_gone_on_with(
    gateway: RunningGateway, vendors: tuple[VendorSimulator, VendorSimulator]
) -> None:
    """Another model cannot be made to have said it."""
    call = {"index": 0, "id": "call_1", "function": {"name": "f", "arguments": '{"a"'}}
    vendors[0].behave("break_off", after=0, content={"tool_calls": [call]})
    with pytest.raises(Exception, match="broke off"):
        streamed(gateway, "gpt-4o")
    assert len(gateway.last_record()["attempts"]) == 1
