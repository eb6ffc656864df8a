"""Callers of the OpenAI dialect on Vertex AI, over TLS that an operator's own authority vouches
for: Gemini, Claude, and the token that both need.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest
import pytest_asyncio
import trustme

from gateway.domain.events import FailureKind, Usage
from tests.simulators.vertex_api import PROJECT, REGION, TokenVendor, VertexVendor
from tests.upstream.translate.bench import LOOKED, PIXEL, WEATHER, Bench, bench, text_of, usage_of

GEMINI = "gemini-2.5-flash"
CLAUDE = "claude-sonnet-4-5@20250929"
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def tokens() -> Iterator[TokenVendor]:
    with TokenVendor() as simulator:
        yield simulator


@pytest.fixture(scope="module")
def vendor(authority: trustme.CA) -> Iterator[VertexVendor]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("vertex.test").configure_cert(context)
    with VertexVendor(tls=context) as simulator:
        yield simulator


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def both(
    vendor: VertexVendor, tokens: TokenVendor, authority: trustme.CA
) -> AsyncIterator[Bench]:
    async with bench(
        "vertex_ai",
        f"https://vertex.test:{vendor.port}",
        GEMINI,
        {"vertex_credentials": tokens.service_account()},
        parameters={"vertex_project": PROJECT, "vertex_location": REGION},
        also=(f"{tokens.url}/token",),
        authorities=authority.cert_pem.bytes().decode(),
    ) as made:
        yield made


@pytest.fixture(params=[GEMINI, CLAUDE])
def channel(request: pytest.FixtureRequest, both: Bench) -> Bench:
    return replace(both, model=request.param)


@pytest.fixture(autouse=True)
def _at_first(vendor: VertexVendor) -> None:
    vendor.behave("answer")
    vendor.requests.clear()


async def test_a_plain_answer(vendor: VertexVendor, tokens: TokenVendor, channel: Bench) -> None:
    """With one token for all of a kind, had by a signature that the simulator verifies."""
    tokens.requests.clear()
    events = await channel.events(max_tokens=20)
    assert usage_of(events) == Usage(13, 5, 4)
    answer = await channel.plain()
    assert answer["choices"][0]["message"]["content"] == "Paris is the capital of France."
    assert answer["model"] == "asked-model"
    assert len(tokens.requests) <= 1
    publisher = "google" if channel.model == GEMINI else "anthropic"
    assert f"/publishers/{publisher}/models/{channel.model}:" in vendor.requests[0].path


async def test_a_stream(channel: Bench) -> None:
    chunks = await channel.chunks()
    assert text_of(chunks) == "Paris is the capital of France."
    assert usage_of(await channel.events(stream=True)) == Usage(13, 5, 4)


async def test_a_tool_is_called(vendor: VertexVendor, channel: Bench) -> None:
    vendor.behave("tool")
    answer = await channel.plain(tools=[WEATHER])
    (call,) = answer["choices"][0]["message"]["tool_calls"]
    assert json.loads(call["function"]["arguments"]) == {"city": "Paris"}
    chunks = await channel.chunks(tools=[WEATHER])
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    calls = [call for choice in choices for call in choice["delta"].get("tool_calls", ())]
    assert "".join(call["function"]["arguments"] for call in calls) == '{"city": "Paris"}'


async def test_an_image(vendor: VertexVendor, channel: Bench) -> None:
    await channel.plain(messages=LOOKED)
    assert PIXEL.encode() in vendor.requests[0].body


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, FailureKind.REQUEST_FAULT),
        (403, FailureKind.UNAUTHORIZED),
        (429, FailureKind.RATE_LIMITED),
        (503, FailureKind.SERVER_ERROR),
    ],
)
async def test_a_refusal(
    vendor: VertexVendor, channel: Bench, status: int, kind: FailureKind, stream: bool
) -> None:
    vendor.behave(status)
    failed = await channel.failure(stream=stream)
    assert (failed.kind, failed.status) == (kind, status)
    assert len(vendor.requests) == 1


@pytest.mark.parametrize("behaviour", ["cut", "end_early"])
async def test_a_stream_that_breaks_off(
    vendor: VertexVendor, channel: Bench, behaviour: str
) -> None:
    vendor.behave(behaviour, after=3)
    assert await channel.kind(stream=True) is FailureKind.TRUNCATED


@pytest.mark.parametrize("stream", [False, True])
async def test_the_answer_is_of_a_denied_model(
    vendor: VertexVendor, channel: Bench, stream: bool
) -> None:
    vendor.behave("other_model", model="deepseek-v3")
    assert await channel.kind(stream=stream) is FailureKind.ANSWERED_BY_DENIED


async def test_a_wrong_name_and_an_unknown_authority(
    vendor: VertexVendor, tokens: TokenVendor, authority: trustme.CA
) -> None:
    """TLS failures, and no request is sent."""
    credentials = {"vertex_credentials": tokens.service_account()}
    where = {"vertex_project": PROJECT, "vertex_location": REGION}
    trusted = authority.cert_pem.bytes().decode()
    for host, authorities in (("other.test", trusted), ("vertex.test", None)):
        async with bench(
            "vertex_ai",
            f"https://{host}:{vendor.port}",
            GEMINI,
            credentials,
            parameters=where,
            also=(f"{tokens.url}/token",),
            authorities=authorities,
        ) as other:
            assert await other.kind() is FailureKind.TLS
    assert vendor.requests == []


async def test_a_service_account_of_another_key(vendor: VertexVendor, tokens: TokenVendor) -> None:
    """The token's endpoint does not take it, and the vendor is not asked."""
    with TokenVendor() as another:
        account = json.loads(another.service_account())
    account["token_uri"] = f"{tokens.url}/token"
    async with bench(
        "vertex_ai",
        f"https://vertex.test:{vendor.port}",
        GEMINI,
        {"vertex_credentials": json.dumps(account)},
        parameters={"vertex_project": PROJECT, "vertex_location": REGION},
        also=(f"{tokens.url}/token",),
    ) as other:
        assert await other.kind() is FailureKind.UNAUTHORIZED
    assert vendor.requests == []
