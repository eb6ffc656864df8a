"""Vectors of texts, by the official SDK: of the real local model, of vendors, and of nobody where
only another vector space is left.
"""

from __future__ import annotations

import struct
from base64 import b64decode
from collections.abc import Iterator
from typing import Any, NamedTuple

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types import CreateEmbeddingResponse

from tests.end_to_end.running import KEY, RunningGateway, configuration
from tests.simulators.openai_texts import numbers
from tests.simulators.vendor import VendorSimulator

MODELS = """\
  own: {targets: [local/smollm2]}
  cloud: {targets: [openai/text-embedding-3-small]}
  second: {targets: [second/gpt-4o]}
  spaces: {targets: [openai/text-embedding-3-small, second/gpt-4o, local/smollm2]}
  crossed: {targets: [claude/claude-real]}
  one:
    targets: [openai/text-embedding-3-small, local/smollm2, second/gpt-4o]
    equivalent: [openai/text-embedding-3-small, second/gpt-4o]
"""
CHANNELS = """\
  second: {{vendor: self, kind: openai, base_url: "{url}", locality: sovereign}}
  claude: {{vendor: anthropic, kind: anthropic, base_url: "{url}", api_key: "${{VENDOR_KEY}}"}}
models:
"""
TEXTS = ["A cat sat on the mat.", "A kitten lies on the rug.", "The tax law was changed."]


class Bench(NamedTuple):
    gateway: RunningGateway
    first: VendorSimulator
    second: VendorSimulator
    client: OpenAI


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with VendorSimulator() as first, VendorSimulator() as second:
        text = configuration(first.url, models=MODELS)
        text = text.replace("models:\n", CHANNELS.format(url=second.url), 1)
        with (
            RunningGateway(tmp_path_factory.mktemp("gateway"), text) as gateway,
            gateway.sdk as client,
        ):
            yield Bench(gateway, first, second, client)


@pytest.fixture
def bench(running: Bench) -> Bench:
    """All is well: no breaker opens for what the test before did."""
    for vendor, model in ((running.first, "cloud"), (running.second, "second")):
        vendor.behave("answer")
        assert embed(running, model, "x").data
    return running


def embed(bench: Bench, model: str, input: Any, **fields: Any) -> CreateEmbeddingResponse:
    return bench.client.embeddings.create(model=model, input=input, **fields)


def vectors(answer: CreateEmbeddingResponse) -> list[list[float]]:
    assert [row.index for row in answer.data] == list(range(len(answer.data)))
    return [row.embedding for row in answer.data]


def product(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def test_the_local_model_has_vectors(bench: Bench) -> None:
    """In the order of the texts, at length 1, the more alike the nearer, in the shape that the
    SDK's types say; it asks for base64 by itself, and numbers say the same.
    """
    answer = embed(bench, "own", TEXTS)
    CreateEmbeddingResponse.model_validate_json(answer.to_json(), strict=True)
    assert (answer.object, answer.model) == ("list", "own")
    found = vectors(answer)
    assert [len(vector) for vector in found] == [576] * 3
    assert all(product(vector, vector) == pytest.approx(1, abs=1e-5) for vector in found)
    assert product(found[0], found[1]) > product(found[0], found[2])
    assert answer.usage.prompt_tokens == answer.usage.total_tokens > 12
    written = vectors(embed(bench, "own", TEXTS, encoding_format="float"))
    for vector, again in zip(found, written, strict=True):
        assert struct.pack("<576f", *vector) == struct.pack("<576f", *again)
    # Whoever asks for base64 gets the text itself.
    (text,) = vectors(embed(bench, "own", TEXTS[:1], encoding_format="base64"))
    assert struct.unpack("<576f", b64decode(str(text))) == pytest.approx(found[0], abs=1e-5)


def test_tokens_and_fewer_dimensions(bench: Bench) -> None:
    """A text's tokens have its vector; the first dimensions are of length 1 again."""
    (word,) = vectors(embed(bench, "own", "hello"))
    (token,) = vectors(embed(bench, "own", [28120]))
    assert token == pytest.approx(word, abs=1e-5)
    first, second = vectors(embed(bench, "own", [[28120], [28120, 28120]]))
    assert first == pytest.approx(word, abs=1e-4)
    assert second != pytest.approx(word, abs=1e-3)
    (part,) = vectors(embed(bench, "own", "hello", dimensions=64))
    length = product(word[:64], word[:64]) ** 0.5
    assert part == pytest.approx([number / length for number in word[:64]], abs=1e-5)


async def test_the_asynchronous_client_is_answered(bench: Bench) -> None:
    """A hundred texts, each with its own vector at its place."""
    texts = [f"{TEXTS[place % 3]} {place}" for place in range(100)]
    async with AsyncOpenAI(base_url=f"{bench.gateway.url}/v1", api_key="unused") as client:
        answer = await client.embeddings.create(model="own", input=texts)
    found = vectors(answer)
    (last,) = vectors(embed(bench, "own", texts[-1]))
    assert len(found) == 100
    assert product(found[-1], last) == pytest.approx(1, abs=1e-3)


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("own", {"input": ""}, "input"),
    ("own", {"input": ["a", ""]}, "input[1]"),
    ("own", {"input": ["a"] * 2049}, "input"),
    ("own", {"input": [50_000]}, "input"),
    ("own", {"input": "one two three four " * 1000}, "input"),
    ("own", {"input": "a", "dimensions": 577}, "dimensions"),
    ("own", {"input": "a", "dimensions": 0}, "dimensions"),
    ("own", {"input": "a", "encoding_format": "int8"}, "encoding_format"),
    ("crossed", {"input": "a"}, "embeddings"),
]


@pytest.mark.parametrize(("model", "fields", "param"), REFUSED)
def test_what_cannot_be_done_is_named(
    bench: Bench, model: str, fields: dict[str, Any], param: str
) -> None:
    """By what of the request to correct."""
    with pytest.raises(openai.BadRequestError) as caught:
        embed(bench, model, **fields)
    assert caught.value.param == param


def test_a_vendors_vectors_are_relayed(bench: Bench) -> None:
    """What the vendor alone knows passes through; the model is the app's, the key the gateway's."""
    raw = bench.client.embeddings.with_raw_response.create(
        model="spaces", input=TEXTS, dimensions=4, extra_body={"input_type": "query"}
    )
    answer = raw.parse()
    assert answer.model == "spaces"
    assert vectors(answer) == [numbers(text, 4) for text in TEXTS]
    assert raw.headers["x-gateway-served-by"] == "openai/text-embedding-3-small"
    assert "x-gateway-failover" not in raw.headers
    seen = bench.first.requests[-1]
    assert (seen.path, seen.headers["authorization"]) == ("/v1/embeddings", f"Bearer {KEY}")
    assert seen.json == {
        "model": "text-embedding-3-small",
        "input": TEXTS,
        "dimensions": 4,
        "encoding_format": "base64",
        "input_type": "query",
    }
    record = bench.gateway.last_record()
    assert (record["api"], record["prompt_tokens"]) == ("embeddings", 3)
    assert [one["left_out"] for one in record["targets"][1:]] == ["other_vectors"] * 2


@pytest.mark.parametrize("encoding", ["float", "base64"])
@pytest.mark.parametrize("wanted", [None, "float"])
def test_a_vendor_may_write_as_it_likes(bench: Bench, encoding: str, wanted: str | None) -> None:
    """The app reads what it asked for."""
    bench.first.behave("answer", encoding=encoding)
    fields = {} if wanted is None else {"encoding_format": wanted}
    assert vectors(embed(bench, "cloud", TEXTS, **fields)) == [numbers(text, 8) for text in TEXTS]


@pytest.mark.parametrize("behaviour", ["500", "reset", "refuse", "empty"])
def test_no_other_space_stands_in(bench: Bench, behaviour: str) -> None:
    """Neither a server that answers nor the local model: what they say could not be compared with
    what the app has stored. The error says so.
    """
    bench.first.behave(behaviour)
    before = len(bench.second.requests)
    with pytest.raises(openai.APIStatusError) as caught:
        embed(bench, "spaces", "x")
    assert caught.value.status_code == 503
    for target in ("second/gpt-4o", "local/smollm2"):
        assert f"{target}: other_vectors" in caught.value.message
    assert len(bench.second.requests) == before
    bench.first.behave("answer")


def test_an_equivalent_target_stands_in(bench: Bench) -> None:
    """Past the local model that stands before it and is of another space."""
    bench.first.behave("500")
    raw = bench.client.embeddings.with_raw_response.create(model="one", input="x")
    assert raw.headers["x-gateway-served-by"] == "second/gpt-4o"
    assert raw.headers["x-gateway-failover"] == "server_error"
    assert vectors(raw.parse()) == [numbers("x", 8)]
    record = bench.gateway.last_record()
    assert [one.get("left_out", "") for one in record["targets"]] == ["", "other_vectors", ""]


def test_a_ban_is_a_ban(bench: Bench) -> None:
    """451 where only other spaces are left, and the equivalent target where there is one."""
    bench.gateway.run("ban", "openai", "--reason", "directive 12")
    try:
        with pytest.raises(openai.APIStatusError) as caught:
            embed(bench, "spaces", "x")
        assert caught.value.status_code == 451
        assert "directive 12" in caught.value.message
        raw = bench.client.embeddings.with_raw_response.create(model="one", input="x")
        assert raw.headers["x-gateway-served-by"] == "second/gpt-4o"
        assert raw.headers["x-gateway-failover"] == "policy"
    finally:
        bench.gateway.run("unban", "openai")


def test_explain_says_who_may_stand_in(bench: Bench) -> None:
    """Of a model with equivalent targets by itself, and of any when it is asked for embeddings."""
    told = bench.gateway.run("policy", "explain", "--model", "one").stdout
    assert "plan: openai/text-embedding-3-small → second/gpt-4o" in told
    assert "other_vectors" in told
    told = bench.gateway.run("policy", "explain", "--model", "spaces", "--api", "embeddings").stdout
    assert "plan: openai/text-embedding-3-small (cloud)" in told
