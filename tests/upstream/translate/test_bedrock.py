"""Callers of the OpenAI dialect on Amazon Bedrock: signed requests, answers in a binary framing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from gateway.domain.events import FailureKind, Usage
from tests.simulators.bedrock_api import (
    ACCESS_KEY,
    REGION,
    SECRET_KEY,
    SESSION_TOKEN,
    BedrockVendor,
)
from tests.upstream.translate.bench import (
    LOOKED,
    PIXEL,
    WEATHER,
    Bench,
    bench,
    called,
    text_of,
    usage_of,
)

MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
CREDENTIALS = {
    "aws_access_key_id": ACCESS_KEY,
    "aws_secret_access_key": SECRET_KEY,
    "aws_session_token": SESSION_TOKEN,
}
REGIONAL = {"aws_region_name": REGION}
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def vendor() -> Iterator[BedrockVendor]:
    with BedrockVendor() as simulator:
        yield simulator


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def channel(vendor: BedrockVendor) -> AsyncIterator[Bench]:
    async with bench("bedrock", vendor.url, MODEL, CREDENTIALS, parameters=REGIONAL) as made:
        yield made


@pytest.fixture(autouse=True)
def _at_first(vendor: BedrockVendor) -> None:
    vendor.behave("answer")
    vendor.requests.clear()


async def test_a_plain_answer(vendor: BedrockVendor, channel: Bench) -> None:
    """The signature holds (the simulator works it out itself), and the id goes out unchanged."""
    events = await channel.events(max_tokens=20, temperature=0.5)
    assert usage_of(events) == Usage(13, 5, 4)
    answer = await channel.plain()
    assert answer["model"] == "asked-model"
    assert answer["choices"][0]["message"]["content"] == "Paris is the capital of France."
    assert answer["choices"][0]["finish_reason"] == "stop"
    asked = vendor.requests[0]
    assert asked.path == "/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse"
    assert asked.json["inferenceConfig"] == {"maxTokens": 20, "temperature": 0.5}


async def test_a_stream(vendor: BedrockVendor, channel: Bench) -> None:
    chunks = await channel.chunks()
    assert text_of(chunks) == "Paris is the capital of France."
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert usage_of(await channel.events(stream=True)) == Usage(13, 5, 4)
    assert vendor.requests[0].path.endswith("/converse-stream")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_tool_is_called(vendor: BedrockVendor, channel: Bench, stream: bool) -> None:
    vendor.behave("tool")
    if stream:
        chunks = await channel.chunks(tools=[WEATHER])
        choices = [choice for chunk in chunks for choice in chunk["choices"]]
        calls = [call for choice in choices for call in choice["delta"].get("tool_calls", ())]
    else:
        choices = (await channel.plain(tools=[WEATHER]))["choices"]
        calls = choices[0]["message"]["tool_calls"]
    assert (calls[0]["id"], calls[0]["function"]["name"]) == ("tooluse_1", "get_weather")
    assert "".join(call["function"]["arguments"] for call in calls) == '{"city": "Paris"}'
    assert [c["finish_reason"] for c in choices if c["finish_reason"]] == ["tool_calls"]
    spec = vendor.requests[0].json["toolConfig"]["tools"][0]["toolSpec"]
    assert spec["inputSchema"]["json"]["required"] == ["city"]


async def test_a_tool_has_answered(vendor: BedrockVendor, channel: Bench) -> None:
    await channel.plain(tools=[WEATHER], messages=called("tooluse_1"))
    turns = vendor.requests[0].json["messages"]
    assert turns[1]["content"][0]["toolUse"]["input"] == {"city": "Paris"}
    assert turns[2]["content"][0]["toolResult"]["toolUseId"] == "tooluse_1"


async def test_an_image(vendor: BedrockVendor, channel: Bench) -> None:
    await channel.plain(messages=LOOKED)
    image = vendor.requests[0].json["messages"][0]["content"][1]["image"]
    assert image == {"format": "png", "source": {"bytes": PIXEL}}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, FailureKind.REQUEST_FAULT),
        (403, FailureKind.UNAUTHORIZED),
        (404, FailureKind.REQUEST_FAULT),
        (429, FailureKind.RATE_LIMITED),
        (500, FailureKind.SERVER_ERROR),
        (503, FailureKind.SERVER_ERROR),
    ],
)
async def test_a_refusal(
    vendor: BedrockVendor, channel: Bench, status: int, kind: FailureKind, stream: bool
) -> None:
    vendor.behave(status)
    failed = await channel.failure(stream=stream)
    assert (failed.kind, failed.status) == (kind, status)
    assert len(vendor.requests) == 1


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({"kind": "UnrecognizedClientException"}, FailureKind.UNAUTHORIZED),
        ({"message": "Input is too long for requested model."}, FailureKind.CONTEXT_OVERFLOW),
    ],
)
async def test_a_400_that_means_something_else(
    vendor: BedrockVendor, channel: Bench, given: dict[str, str], kind: FailureKind
) -> None:
    vendor.behave(400, **given)
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
    vendor: BedrockVendor, channel: Bench, behaviour: str, kind: FailureKind
) -> None:
    """What is no frame (here a server-sent event among them) ends it, as a wrong checksum does."""
    vendor.behave(behaviour, after=4)
    assert await channel.kind(stream=True) is kind


async def test_a_wrong_secret_is_refused_by_the_simulator(vendor: BedrockVendor) -> None:
    """So that the signature is known to be checked."""
    wrong = CREDENTIALS | {"aws_secret_access_key": "another/secret+0123456789"}
    async with bench("bedrock", vendor.url, MODEL, wrong, parameters=REGIONAL) as other:
        assert await other.kind() is FailureKind.UNAUTHORIZED
