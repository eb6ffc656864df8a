"""Callers of the OpenAI dialect on Google's Gemini API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from gateway.domain.events import FailureKind, Usage
from tests.simulators.gemini_api import KEY, MODEL, GeminiVendor
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
def vendor() -> Iterator[GeminiVendor]:
    with GeminiVendor() as simulator:
        yield simulator


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def channel(vendor: GeminiVendor) -> AsyncIterator[Bench]:
    url = f"{vendor.url}/v1beta"
    async with bench("gemini", url, MODEL, {"api_key": KEY}) as made:
        yield made


@pytest.fixture(autouse=True)
def _at_first(vendor: GeminiVendor) -> None:
    vendor.behave("answer")
    vendor.requests.clear()


async def test_a_plain_answer(vendor: GeminiVendor, channel: Bench) -> None:
    """With the vendor's counts, and the name that it gives its model."""
    events = await channel.events(max_tokens=20, temperature=0.5, seed=7)
    assert model_of(events) == MODEL
    assert usage_of(events) == Usage(13, 5, 4)
    answer = await channel.plain()
    assert answer["model"] == "asked-model"
    assert answer["choices"][0]["message"]["content"] == "Paris is the capital of France."
    assert answer["choices"][0]["finish_reason"] == "stop"
    sent = vendor.requests[0].json["generationConfig"]
    assert (sent["max_output_tokens"], sent["temperature"], sent["seed"]) == (20, 0.5, 7)
    assert KEY not in vendor.requests[0].path


async def test_a_stream(channel: Bench) -> None:
    chunks = await channel.chunks()
    assert text_of(chunks) == "Paris is the capital of France."
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert usage_of(await channel.events(stream=True)) == Usage(13, 5, 4)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_tool_is_called(vendor: GeminiVendor, channel: Bench, stream: bool) -> None:
    vendor.behave("tool")
    if stream:
        chunks = await channel.chunks(tools=[WEATHER])
        choices = [choice for chunk in chunks for choice in chunk["choices"]]
        calls = [call for choice in choices for call in choice["delta"].get("tool_calls", ())]
    else:
        choices = (await channel.plain(tools=[WEATHER]))["choices"]
        calls = choices[0]["message"]["tool_calls"]
    assert calls[0]["function"]["name"] == "get_weather"
    assert "".join(call["function"]["arguments"] for call in calls) == '{"city": "Paris"}'
    assert [c["finish_reason"] for c in choices if c["finish_reason"]] == ["tool_calls"]
    declared = vendor.requests[0].json["tools"][0]["function_declarations"][0]
    assert declared["name"] == "get_weather"


async def test_a_tool_has_answered(vendor: GeminiVendor, channel: Bench) -> None:
    await channel.plain(tools=[WEATHER], messages=called("call_1"))
    turns = vendor.requests[0].json["contents"]
    assert turns[1]["parts"][0]["function_call"]["args"] == {"city": "Paris"}
    assert turns[2]["parts"][0]["function_response"]["name"] == "get_weather"


async def test_an_image(vendor: GeminiVendor, channel: Bench) -> None:
    await channel.plain(messages=LOOKED)
    parts = vendor.requests[0].json["contents"][0]["parts"]
    assert any(part.get("inline_data", {}).get("data") == PIXEL for part in parts)


async def test_an_image_by_its_address_is_not_fetched(vendor: GeminiVendor, channel: Bench) -> None:
    """litellm would fetch it: the guard is asked for a host that is none of the channel's."""
    picture = {"type": "image_url", "image_url": {"url": "http://elsewhere.test/cat.png"}}
    failed = await channel.failure(messages=[{"role": "user", "content": [picture]}])
    assert failed.kind in (FailureKind.EGRESS_REFUSED, FailureKind.INCAPABLE)
    assert vendor.requests == []
    assert channel.looked_up == []


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, FailureKind.REQUEST_FAULT),
        (401, FailureKind.UNAUTHORIZED),
        (403, FailureKind.UNAUTHORIZED),
        (429, FailureKind.RATE_LIMITED),
        (500, FailureKind.SERVER_ERROR),
        (503, FailureKind.SERVER_ERROR),
    ],
)
async def test_a_refusal(
    vendor: GeminiVendor, channel: Bench, status: int, kind: FailureKind, stream: bool
) -> None:
    vendor.behave(status)
    failed = await channel.failure(stream=stream)
    assert (failed.kind, failed.status) == (kind, status)
    assert len(vendor.requests) == 1


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("API key not valid. Please pass a valid API key.", FailureKind.UNAUTHORIZED),
        ("User location is not supported for the API use.", FailureKind.VENDOR_BLOCKED),
        (
            "The input token count (1200000) exceeds the maximum number of tokens allowed",
            FailureKind.CONTEXT_OVERFLOW,
        ),
    ],
)
async def test_a_400_that_means_something_else(
    vendor: GeminiVendor, channel: Bench, message: str, kind: FailureKind
) -> None:
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
    ],
)
async def test_a_stream_that_fails(
    vendor: GeminiVendor, channel: Bench, behaviour: str, kind: FailureKind
) -> None:
    vendor.behave(behaviour, after=2)
    assert await channel.kind(stream=True) is kind


@pytest.mark.parametrize("stream", [False, True])
async def test_the_answer_is_of_a_denied_model(
    vendor: GeminiVendor, channel: Bench, stream: bool
) -> None:
    vendor.behave("other_model", model="deepseek-v3")
    assert await channel.kind(stream=stream) is FailureKind.ANSWERED_BY_DENIED
