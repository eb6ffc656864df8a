"""The Responses API in front of vendors that do not have it: they are asked in the API that they
do have, and where they fail or are banned another goes on.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai.types.responses import (
    ParsedResponse,
    Response,
    ResponseFunctionToolCall,
    ResponseReasoningItem,
)

from tests.end_to_end.running import ROOT, RunningGateway, configuration
from tests.simulators.anthropic_api import KEY, AnthropicVendor
from tests.simulators.vendor import VendorSimulator

pytestmark = pytest.mark.alone

MODELS = """\
  three: {targets: [openai/gpt-4o, second/gpt-4o, local/smollm2]}
  strict: {targets: [openai/gpt-4o, local/smollm2], continuation: false}
  claude: {targets: [claude/claude-sonnet-4-5]}
"""
CHANNELS = """\
  second: {{vendor: self, kind: openai, base_url: "{second}", locality: sovereign}}
  claude:
    vendor: anthropic
    kind: litellm
    provider: anthropic
    base_url: "{claude}"
    api_key: "${{VENDOR_KEY}}"
models:
"""
PYTHON = ROOT / ".venv-translate" / "bin" / "python"
QUESTION = "In which country is the city of Paris?"
FAILS = ("break_off", "stall_mid_stream", "error_event")
BAN = "version: 1\ndefault: deny\nvendors: {anthropic: allow}\n"


@pytest.fixture(scope="module")
def vendors() -> Iterator[tuple[VendorSimulator, VendorSimulator, AnthropicVendor]]:
    with VendorSimulator() as first, VendorSimulator() as second, AnthropicVendor() as claude:
        yield first, second, claude


@pytest.fixture(scope="module")
def gateway(
    tmp_path_factory: pytest.TempPathFactory,
    vendors: tuple[VendorSimulator, VendorSimulator, AnthropicVendor],
) -> Iterator[RunningGateway]:
    first, second, claude = vendors
    channels = CHANNELS.format(second=second.url, claude=claude.url)
    text = configuration(first.url, models=MODELS, extra=f"translate: {{python: {PYTHON}}}")
    text = text.replace("models:\n", channels, 1)
    text = text.replace("idle_timeout: 20", "idle_timeout: 1")
    text = text.replace('api_key: "${VENDOR_KEY}"}', 'api_key: "${VENDOR_KEY}", apis: []}', 1)
    with RunningGateway(tmp_path_factory.mktemp("gateway"), text, key=KEY) as running:
        yield running


@pytest.fixture
def first(
    gateway: RunningGateway, vendors: tuple[VendorSimulator, VendorSimulator, AnthropicVendor]
) -> VendorSimulator:
    """It serves: what it did in the test before is forgotten."""
    for vendor in vendors[:2]:
        vendor.behave("answer")
    until = time.monotonic() + 10
    while gateway.ask("gpt-4o")[2]["x-gateway-served-by"] != "openai/gpt-4o":
        assert time.monotonic() < until
        time.sleep(0.1)
    return vendors[0]


@pytest.fixture
def second(
    first: VendorSimulator, vendors: tuple[VendorSimulator, VendorSimulator, AnthropicVendor]
) -> VendorSimulator:
    return vendors[1]


def streamed(
    gateway: RunningGateway, model: str, **fields: Any
) -> tuple[ParsedResponse[Any], list[Any]]:
    """What the client's own helper puts together, and checks as it does; and the events."""
    asked: dict[str, Any] = {"model": model, "input": QUESTION, "temperature": 0} | fields
    with gateway.sdk.responses.stream(**asked) as stream:
        events = list(stream)
        return stream.get_final_response(), events


def test_a_vendor_is_asked_for_a_chat(gateway: RunningGateway, first: VendorSimulator) -> None:
    """And its answer is told as a response."""
    response = gateway.sdk.responses.create(
        model="gpt-4o",
        instructions="Be brief.",
        input=[{"role": "user", "content": [{"type": "input_text", "text": QUESTION}]}],
        max_output_tokens=30,
        tools=[{"type": "function", "name": "f", "parameters": {}, "strict": False}],
        tool_choice="auto",
        text={"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}},
    )
    assert response.output_text == "vendor answer in pieces"
    assert response.id.startswith("resp_")
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.output_tokens) == (7, 4)
    assert response.usage.input_tokens_details.cached_tokens == 2
    asked = first.requests[-1]
    assert asked.path.endswith("/v1/chat/completions")
    assert asked.json["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": QUESTION},
    ]
    assert asked.json["max_completion_tokens"] == 30
    assert asked.json["tools"][0]["function"]["name"] == "f"
    assert asked.json["response_format"]["type"] == "json_schema"


def test_a_vendor_streams_a_chat(gateway: RunningGateway, first: VendorSimulator) -> None:
    """Each piece is a delta."""
    response, events = streamed(gateway, "gpt-4o")
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert deltas == ["vendor", " answer", " in", " pieces"]
    assert response.output_text == "vendor answer in pieces"
    assert response.usage is not None
    assert response.usage.total_tokens == 11


@pytest.mark.parametrize("stream", [True, False])
def test_thoughts_and_calls_of_a_vendor(
    gateway: RunningGateway, first: VendorSimulator, stream: bool
) -> None:
    """Are items of their own."""
    call = {"index": 0, "id": "call_1", "type": "function"}
    called = call | {"function": {"name": "f", "arguments": '{"a": 1}'}}
    first.behave("answer", content={"reasoning_content": "hm", "tool_calls": [called]})
    if stream:
        output = streamed(gateway, "gpt-4o")[0].output
    else:
        output = gateway.sdk.responses.create(model="gpt-4o", input="x").output  # type: ignore[assignment]
    thoughts = [item for item in output if isinstance(item, ResponseReasoningItem)]
    assert [part.text for item in thoughts for part in item.content or ()] == ["hm"]
    (made,) = (item for item in output if isinstance(item, ResponseFunctionToolCall))
    assert (made.call_id, made.name, made.arguments) == ("call_1", "f", '{"a": 1}')


@pytest.mark.parametrize("failure", ["503", "429", "empty"])
def test_local_answers_for_a_vendor_that_fails(
    gateway: RunningGateway, first: VendorSimulator, failure: str
) -> None:
    """The app sees a response."""
    first.behave(failure, retry_after=1)
    raw = gateway.sdk.responses.with_raw_response.create(
        model="gpt-4o", input=QUESTION, temperature=0, max_output_tokens=32
    )
    assert "France" in raw.parse().output_text
    assert raw.headers["x-gateway-served-by"] == "local/smollm2"


@pytest.mark.parametrize("behaviour", FAILS)
def test_local_goes_on_with_a_vendors_answer(
    gateway: RunningGateway, first: VendorSimulator, behaviour: str
) -> None:
    """One response, one item, one usage that adds up; the vendor's words come first."""
    first.behave(behaviour, words=("The city", " of", " Paris"), after=3)
    response, events = streamed(gateway, "gpt-4o", max_output_tokens=64)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    text = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    assert text.startswith("The city of Paris")
    assert len(text) > len("The city of Paris")
    assert [event.type for event in events].count("response.output_item.added") == 1
    (item,) = response.output
    assert item.type == "message"
    assert response.output_text == text
    assert response.usage is not None
    assert response.usage.output_tokens > 3
    record = gateway.last_record()
    assert record["attempts"][0]["seam"] == {"byte": 17, "token": 3}
    assert record["completion_tokens"] == response.usage.output_tokens
    assert record["api"] == "responses"


def test_another_server_goes_on_and_local_ends_it(
    gateway: RunningGateway, first: VendorSimulator, second: VendorSimulator
) -> None:
    """Each from all that was sent before."""
    first.behave("break_off", words=("The city",), after=1)
    second.behave("break_off", words=(" of Paris",), after=1)
    response, _ = streamed(gateway, "three", max_output_tokens=64)
    assert response.output_text.startswith("The city of Paris")
    assert len(gateway.last_record()["attempts"]) == 3


def test_a_stream_that_nobody_goes_on_with(gateway: RunningGateway, first: VendorSimulator) -> None:
    """Ends in the response as far as it came, which has failed."""
    first.behave("break_off", after=2)
    *_, told, failed = gateway.sdk.responses.create(model="strict", input="x", stream=True)
    assert told.type == "error"
    assert told.code == "stream_interrupted"
    assert failed.type == "response.failed"
    assert failed.response.status == "failed"
    assert failed.response.output_text == "vendor answer"
    assert failed.sequence_number == told.sequence_number + 1


def test_a_fault_of_the_request_is_handed_back(
    gateway: RunningGateway, first: VendorSimulator
) -> None:
    """As the SDK's error for it, with the name that this API has for what is wrong."""
    first.behave("400", param="max_completion_tokens")
    with pytest.raises(openai.BadRequestError) as caught:
        gateway.sdk.responses.create(model="gpt-4o", input="x", max_output_tokens=2)
    assert caught.value.param == "max_output_tokens"


def test_a_banned_vendor(gateway: RunningGateway, first: VendorSimulator) -> None:
    """Nobody else has the model: 451, and what is banned is named."""
    policy = gateway.policies / "10-vendors.yaml"
    before, seen = policy.read_text(), len(first.requests)
    with gateway.another_policy():
        policy.write_text(BAN)
    try:
        with pytest.raises(openai.APIStatusError) as caught:
            gateway.sdk.responses.create(model="only-cloud", input="x", stream=True)
        assert caught.value.status_code == 451
        assert caught.value.code == "vendor_blocked"
        assert "openai" in caught.value.message
        local = gateway.sdk.responses.create(
            model="gpt-4o", input=QUESTION, temperature=0, max_output_tokens=16
        )
        assert local.output_text
        assert len(first.requests) == seen
    finally:
        with gateway.another_policy():
            policy.write_text(before)


@pytest.mark.parametrize("stream", [True, False])
def test_a_translated_vendor(gateway: RunningGateway, first: VendorSimulator, stream: bool) -> None:
    """Of a third API, by its translator."""
    response: Response
    if stream:
        response, _ = streamed(gateway, "claude")
    else:
        response = gateway.sdk.responses.create(model="claude", input=QUESTION)
    assert response.output_text == "Paris is the capital of France."
    assert response.usage is not None
    assert response.usage.input_tokens == 13
