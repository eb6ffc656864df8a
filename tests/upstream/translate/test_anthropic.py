"""Callers of the OpenAI dialect on Anthropic's API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from gateway.domain.events import FailureKind, Relayed, Usage
from tests.simulators.anthropic_api import KEY, MODEL, AnthropicVendor
from tests.upstream.translate.bench import (
    LOOKED,
    PIXEL,
    WEATHER,
    Bench,
    bench,
    called,
    model_of,
    text_of,
    usage_of,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def vendor() -> Iterator[AnthropicVendor]:
    with AnthropicVendor() as simulator:
        yield simulator


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def channel(vendor: AnthropicVendor) -> AsyncIterator[Bench]:
    async with bench("anthropic", vendor.url, "claude-sonnet-4-5", {"api_key": KEY}) as made:
        yield made


@pytest.fixture(autouse=True)
def _at_first(vendor: AnthropicVendor) -> None:
    vendor.behave("answer")
    vendor.requests.clear()


async def test_a_plain_answer(vendor: AnthropicVendor, channel: Bench) -> None:
    """It is of the dialect, of the model that the app asked for, and its counts are the vendor's;
    the vendor got its own model id, its own words and the channel's key.
    """
    events = await channel.events(max_tokens=20, temperature=0.5, stop=["END"])
    assert model_of(events) == MODEL
    assert usage_of(events) == Usage(13, 5, 4)
    answer = await channel.plain()
    assert answer["model"] == "asked-model"
    assert answer["object"] == "chat.completion"
    assert answer["choices"][0]["message"]["content"] == "Paris is the capital of France."
    assert answer["choices"][0]["finish_reason"] == "stop"
    asked = vendor.requests[0]
    assert asked.json["model"] == "claude-sonnet-4-5"
    assert (asked.json["max_tokens"], asked.json["temperature"]) == (20, 0.5)
    assert asked.json["stop_sequences"] == ["END"]
    assert asked.headers["user-agent"] == "sovereign-gateway/test"
    assert asked.headers["accept-encoding"] == "identity"


async def test_a_stream(channel: Bench) -> None:
    """One id, one role, the text in pieces, one finish; no usage that was not asked for, and the
    counts for the record all the same.
    """
    chunks = await channel.chunks()
    assert text_of(chunks) == "Paris is the capital of France."
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert {chunk["model"] for chunk in chunks} == {"asked-model"}
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    assert [delta["role"] for delta in deltas if "role" in delta] == ["assistant"]
    finishes = [choice["finish_reason"] for chunk in chunks for choice in chunk["choices"]]
    assert [reason for reason in finishes if reason] == ["stop"]
    assert all("usage" not in chunk for chunk in chunks)
    events = await channel.events(stream=True)
    assert usage_of(events) == Usage(13, 5, 4)
    assert len([event for event in events if isinstance(event, Relayed)]) >= 2


async def test_a_stream_with_its_usage(channel: Bench) -> None:
    """As ``stream_options.include_usage`` has it: the last chunk, without a choice."""
    *_, last = await channel.chunks(stream_options={"include_usage": True})
    assert last["choices"] == []
    assert last["usage"]["total_tokens"] == 18
    assert last["usage"]["prompt_tokens_details"] == {"cached_tokens": 4, "cache_write_tokens": 0}


async def test_a_tool_is_called(vendor: AnthropicVendor, channel: Bench) -> None:
    """Plain and streamed."""
    vendor.behave("tool")
    answer = await channel.plain(tools=[WEATHER], tool_choice="required")
    (call,) = answer["choices"][0]["message"]["tool_calls"]
    assert call["function"] == {"name": "get_weather", "arguments": '{"city": "Paris"}'}
    assert (call["id"], call["type"]) == ("toolu_1", "function")
    assert answer["choices"][0]["finish_reason"] == "tool_calls"
    assert vendor.requests[0].json["tools"][0]["input_schema"]["required"] == ["city"]
    assert vendor.requests[0].json["tool_choice"] == {"type": "any"}
    vendor.behave("tool")
    chunks = await channel.chunks(tools=[WEATHER])
    calls = [
        call
        for chunk in chunks
        for choice in chunk["choices"]
        for call in choice["delta"].get("tool_calls", ())
    ]
    assert calls[0]["function"]["name"] == "get_weather"
    assert {call["index"] for call in calls} == {0}
    assert "".join(call["function"]["arguments"] for call in calls) == '{"city": "Paris"}'


async def test_a_tool_has_answered(vendor: AnthropicVendor, channel: Bench) -> None:
    """The call and its result go back in the vendor's words."""
    short = {"role": "system", "content": "Be short."}
    await channel.plain(tools=[WEATHER], messages=[short, *called("toolu_1")])
    asked = vendor.requests[0].json
    assert asked["system"][0]["text"] == "Be short."
    assert asked["messages"][1]["content"][0]["input"] == {"city": "Paris"}
    result = asked["messages"][2]["content"][0]
    assert (result["type"], result["tool_use_id"]) == ("tool_result", "toolu_1")


async def test_an_image(vendor: AnthropicVendor, channel: Bench) -> None:
    """By its bytes."""
    await channel.plain(messages=LOOKED)
    source = vendor.requests[0].json["messages"][0]["content"][1]["source"]
    assert source == {"type": "base64", "media_type": "image/png", "data": PIXEL}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, FailureKind.UNAUTHORIZED),
        (403, FailureKind.UNAUTHORIZED),
        (404, FailureKind.REQUEST_FAULT),
        (413, FailureKind.REQUEST_FAULT),
        (451, FailureKind.VENDOR_BLOCKED),
        (500, FailureKind.SERVER_ERROR),
        (529, FailureKind.SERVER_ERROR),
    ],
)
async def test_a_refusal(
    vendor: AnthropicVendor, channel: Bench, status: int, kind: FailureKind, stream: bool
) -> None:
    """It means what the same status of a relayed vendor means, and is asked for once."""
    vendor.behave(status)
    failed = await channel.failure(stream=stream)
    assert (failed.kind, failed.status) == (kind, status)
    assert len(vendor.requests) == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_a_rate_limit(vendor: AnthropicVendor, channel: Bench, stream: bool) -> None:
    """With the time that the vendor asks for."""
    vendor.behave(429, headers={"retry-after": "17"})
    failed = await channel.failure(stream=stream)
    assert (failed.kind, failed.retry_after) == (FailureKind.RATE_LIMITED, 17)
    assert len(vendor.requests) == 1


async def test_the_request_is_at_fault(vendor: AnthropicVendor, channel: Bench) -> None:
    """The vendor's own words come back, without key and address."""
    vendor.behave(400, message=f"max_tokens: too large for {KEY} at 127.0.0.1")
    failed = await channel.failure()
    assert failed.kind is FailureKind.REQUEST_FAULT
    assert failed.message == "max_tokens: too large for [key] at [vendor]"


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("prompt is too long: 208310 tokens > 200000 maximum", FailureKind.CONTEXT_OVERFLOW),
        ("Your credit balance is too low to access the API.", FailureKind.VENDOR_BLOCKED),
        ("This organization has been disabled.", FailureKind.VENDOR_BLOCKED),
    ],
)
async def test_a_400_that_means_something_else(
    vendor: AnthropicVendor, channel: Bench, message: str, kind: FailureKind
) -> None:
    """There is no code for it: the vendor says it in words."""
    vendor.behave(400, message=message)
    assert await channel.kind() is kind


@pytest.mark.parametrize(
    ("behaviour", "kind"),
    [
        ("cut", FailureKind.TRUNCATED),
        ("end_early", FailureKind.TRUNCATED),
        ("broken_event", FailureKind.MALFORMED),
        ("error_event", FailureKind.STREAM_ERROR),
        ("html", FailureKind.MALFORMED),
        ("redirect", FailureKind.MALFORMED),
    ],
)
async def test_a_stream_that_fails(
    vendor: AnthropicVendor, channel: Bench, behaviour: str, kind: FailureKind
) -> None:
    """It never looks like one that is complete."""
    vendor.behave(behaviour, after=5)
    events = await channel.events(stream=True)
    assert events[-1].kind is kind  # type: ignore[union-attr]
    assert len(vendor.requests) == 1


@pytest.mark.parametrize(
    ("behaviour", "kind"),
    [
        ("cut", FailureKind.TRUNCATED),
        ("broken_event", FailureKind.MALFORMED),
        ("html", FailureKind.MALFORMED),
        ("redirect", FailureKind.MALFORMED),
    ],
)
async def test_a_plain_answer_that_fails(
    vendor: AnthropicVendor, channel: Bench, behaviour: str, kind: FailureKind
) -> None:
    vendor.behave(behaviour)
    assert await channel.kind() is kind


@pytest.mark.parametrize("stream", [False, True])
async def test_the_answer_is_of_a_denied_model(
    vendor: AnthropicVendor, channel: Bench, stream: bool
) -> None:
    """What the vendor says of its model is judged, not what it was asked for."""
    vendor.behave("other_model", model="deepseek-v3")
    events = await channel.events(stream=stream)
    assert [event.kind for event in events] == [FailureKind.ANSWERED_BY_DENIED]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"seed": 7}, "seed"),
        ({"logit_bias": {"5": 1}}, "logit_bias"),
        ({"logprobs": True}, "logprobs"),
        ({"n": 2}, "n"),
        ({"presence_penalty": 0.5}, "presence_penalty"),
        ({"api_base": "http://127.0.0.1:9"}, "api_base"),
        ({"mock_response": "hello"}, "mock_response"),
        ({"fallbacks": ["gpt-4o"]}, "fallbacks"),
        ({"extra_headers": {"x-api-key": "k"}}, "extra_headers"),
    ],
)
async def test_a_parameter_that_the_api_has_nothing_for(
    vendor: AnthropicVendor, channel: Bench, given: dict[str, object], named: str
) -> None:
    """It is named, and nothing is sent: another target may be able to."""
    failed = await channel.failure(**given)
    assert failed.kind is FailureKind.INCAPABLE
    assert failed.param == named
    assert named in failed.message
    assert vendor.requests == []


async def test_values_that_say_nothing(vendor: AnthropicVendor, channel: Bench) -> None:
    """What is the default anyway, written out, and hints are no reason to refuse."""
    await channel.plain(
        n=1, presence_penalty=0, logprobs=False, logit_bias={}, user="u1", metadata={"a": "b"}
    )
    assert not {"n", "presence_penalty", "logprobs"} & set(vendor.requests[0].json)
