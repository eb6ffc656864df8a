"""Callers of the OpenAI dialect who ask other APIs for embeddings: Gemini's, Cohere's, and Titan's
on Bedrock. Each of them has the vectors that its simulator makes of a text.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from gateway.domain.events import Event, Failed, FailureKind, Finished, Relayed
from gateway.domain.providers import PROVIDERS
from gateway.wire.openai_embeddings_answer import EmbeddingWriter
from tests.simulators.bedrock_api import (
    ACCESS_KEY,
    REGION,
    SECRET_KEY,
    SESSION_TOKEN,
    BedrockVendor,
)
from tests.simulators.cohere_api import KEY as COHERE_KEY
from tests.simulators.cohere_api import CohereVendor
from tests.simulators.foreign import ForeignVendor
from tests.simulators.gemini_api import KEY as GEMINI_KEY
from tests.simulators.gemini_api import GeminiVendor
from tests.simulators.openai_texts import numbers
from tests.upstream.translate.bench import Bench, bench, usage_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

TITAN = "amazon.titan-embed-text-v2:0"
AMAZON = {
    "aws_access_key_id": ACCESS_KEY,
    "aws_secret_access_key": SECRET_KEY,
    "aws_session_token": SESSION_TOKEN,
}


class Asked(NamedTuple):
    vendor: ForeignVendor
    channel: Bench


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["gemini", "cohere", "bedrock"])
async def running(request: pytest.FixtureRequest) -> AsyncIterator[Asked]:
    kinds = {"gemini": GeminiVendor, "cohere": CohereVendor, "bedrock": BedrockVendor}
    async with AsyncExitStack() as stack:
        vendor: ForeignVendor = stack.enter_context(kinds[request.param]())
        match request.param:
            case "gemini":
                url, model = f"{vendor.url}/v1beta", "gemini-embedding-001"
                made = bench("gemini", url, model, {"api_key": GEMINI_KEY})
            case "cohere":
                url, model = f"{vendor.url}/v2/embed", "embed-v4.0"
                made = bench("cohere", url, model, {"api_key": COHERE_KEY})
            case _:
                region = {"aws_region_name": REGION}
                made = bench("bedrock", vendor.url, TITAN, AMAZON, parameters=region)
        yield Asked(vendor, await stack.enter_async_context(made))


@pytest.fixture
def asked(running: Asked) -> Asked:
    running.vendor.behave("answer")
    running.vendor.requests.clear()
    return running


def read(events: list[Event], *, base64: bool = False) -> dict[str, Any]:
    """The body as an app gets it."""
    assert isinstance(events[-1], Finished), events[-1]
    data = b"".join(event.data for event in events if isinstance(event, Relayed))
    body: dict[str, Any] = json.loads(EmbeddingWriter(model="x", base64=base64).relayed_whole(data))
    return body


@pytest.mark.parametrize(
    ("provider", "model", "credentials", "parameters"),
    [
        ("gemini", "gemini-embedding-001", {"api_key": GEMINI_KEY}, {}),
        ("cohere", "embed-v4.0", {"api_key": COHERE_KEY}, {}),
        ("bedrock", TITAN, AMAZON, {"aws_region_name": REGION}),
    ],
)
async def test_an_api_is_where_its_provider_is(
    provider: str, model: str, credentials: dict[str, str], parameters: dict[str, str]
) -> None:
    """The host that the configuration names, and none that litellm has instead."""
    (url,) = PROVIDERS[provider].addresses(REGION)
    made = bench(provider, url, model, credentials, parameters=parameters, base=False)
    async with made as channel:
        (failed,) = await channel.embeddings(input="a")
        assert isinstance(failed, Failed)
        assert failed.kind is FailureKind.REFUSED
        assert set(channel.looked_up) == {urlsplit(url).hostname}


async def test_each_text_has_its_vector(asked: Asked) -> None:
    """In their order, under the name that the app asked for, with what was used."""
    texts = ["one text", "another", "a third"]
    events = await asked.channel.embeddings(input=texts, user="u", encoding_format="base64")
    answer = read(events)
    assert (answer["object"], answer["model"]) == ("list", "asked-model")
    assert [row["index"] for row in answer["data"]] == [0, 1, 2]
    assert [row["embedding"] for row in answer["data"]] == [numbers(text, 8) for text in texts]
    assert answer["usage"]["prompt_tokens"] == usage_of(events).prompt > 0
    assert isinstance(read(events, base64=True)["data"][0]["embedding"], str)


async def test_one_text_by_itself_and_fewer_dimensions(asked: Asked) -> None:
    """The vendor makes them, not we."""
    answer = read(await asked.channel.embeddings(input="one", dimensions=4))
    assert [row["embedding"] for row in answer["data"]] == [numbers("one", 4)]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": [1, 2]}, "input"),
        ({"input": [[1, 2]]}, "input"),
        ({"input": ["a", "files/secret"]}, "input"),
        ({"input": "data:image/png;base64,AAAA"}, "input"),
        ({"input": "gs://bucket/a.png"}, "input"),
        ({"input": "a", "api_base": "http://127.0.0.1:9"}, "api_base"),
        ({"input": "a", "input_type": "query"}, "input_type"),
    ],
)
async def test_what_cannot_be_translated_is_named(
    asked: Asked, fields: dict[str, Any], param: str
) -> None:
    """Tokens are of another vocabulary, and a text is never taken for a file; nobody is asked."""
    (failed,) = await asked.channel.embeddings(**fields)
    assert isinstance(failed, Failed)
    assert (failed.kind, failed.param) == (FailureKind.INCAPABLE, param)
    assert asked.vendor.requests == []


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, FailureKind.REQUEST_FAULT),
        (401, FailureKind.UNAUTHORIZED),
        (429, FailureKind.RATE_LIMITED),
        (500, FailureKind.SERVER_ERROR),
    ],
)
async def test_a_refusal_is_the_vendors(asked: Asked, status: int, kind: FailureKind) -> None:
    """Told apart by its status."""
    asked.vendor.behave(status)
    (failed,) = await asked.channel.embeddings(input="a")
    assert isinstance(failed, Failed)
    assert (failed.kind, failed.status) == (kind, status)


@pytest.mark.parametrize(
    ("behaviour", "kind"),
    [("cut", FailureKind.TRUNCATED), ("html", FailureKind.MALFORMED)],
)
async def test_what_is_no_answer_is_a_failure(
    asked: Asked, behaviour: str, kind: FailureKind
) -> None:
    """Whatever litellm makes of it."""
    asked.vendor.behave(behaviour)
    (failed,) = await asked.channel.embeddings(input="a")
    assert isinstance(failed, Failed)
    assert failed.kind is kind
