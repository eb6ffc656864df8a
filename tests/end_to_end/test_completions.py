"""Plain texts that are gone on with, by the official SDK: asked of the real local model, of a
vendor, and of both where the vendor fails.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types import Completion

from tests.end_to_end.running import KEY, RunningGateway, configuration
from tests.simulators.vendor import VendorSimulator

MODELS = """\
  own: {targets: [local/smollm2]}
  text: {targets: [openai/gpt-3.5-turbo-instruct, local/smollm2]}
  cloud: {targets: [openai/gpt-3.5-turbo-instruct]}
  both: {targets: [openai/gpt-3.5-turbo-instruct, second/gpt-4o]}
  second: {targets: [second/gpt-4o]}
  crossed: {targets: [claude/claude-real, local/smollm2]}
  claude: {targets: [claude/claude-real]}
"""
CHANNELS = """\
  second: {{vendor: self, kind: openai, base_url: "{url}", locality: sovereign}}
  claude: {{vendor: anthropic, kind: anthropic, base_url: "{url}", api_key: "${{VENDOR_KEY}}"}}
models:
"""
FRANCE = "France is a country in Europe. The capital of France is"
COUNTING = "One, two, three, four,"


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
        text = text.replace("idle_timeout: 20", "idle_timeout: 1")
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
        assert ask(running, model).choices
    return running


def ask(bench: Bench, model: str = "own", **fields: Any) -> Completion:
    asked: dict[str, Any] = {"prompt": FRANCE, "max_tokens": 3, "temperature": 0} | fields
    answer: Completion = bench.client.completions.create(model=model, **asked)
    return answer


def streamed(bench: Bench, model: str = "own", **fields: Any) -> list[Completion]:
    asked: dict[str, Any] = {"prompt": FRANCE, "max_tokens": 3, "temperature": 0} | fields
    return list(bench.client.completions.create(model=model, stream=True, **asked))


def said(chunks: list[Completion]) -> dict[int, str]:
    """The text of each choice."""
    texts: dict[int, str] = {}
    for chunk in chunks:
        for choice in chunk.choices:
            texts[choice.index] = texts.get(choice.index, "") + choice.text
    return texts


def test_the_local_model_goes_on_with_a_text(bench: Bench) -> None:
    """In the shape that the SDK's types say."""
    answer = ask(bench)
    Completion.model_validate_json(answer.to_json(), strict=True)
    assert answer.id.startswith("cmpl-")
    assert (answer.object, answer.model) == ("text_completion", "own")
    (choice,) = answer.choices
    assert choice.text.startswith(" Paris")
    assert (choice.index, choice.finish_reason, choice.logprobs) == (0, "length", None)
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (12, 3)


def test_sixteen_tokens_are_what_nobody_says(bench: Bench) -> None:
    """As in the vendor's API, not up to the end of the context."""
    answer = bench.client.completions.create(
        model="own", prompt=COUNTING, temperature=0, extra_body={"ignore_eos": True}
    )
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 16


def test_each_prompt_has_its_choices(bench: Bench) -> None:
    """Texts and tokens, plain and streamed, numbered by the prompt first."""
    fields: dict[str, Any] = {"prompt": [FRANCE, COUNTING], "n": 2}
    answer = ask(bench, **fields)
    texts = [choice.text for choice in answer.choices]
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    assert texts[0] == texts[1] != texts[2] == texts[3]
    assert texts[2].startswith(" five")
    chunks = streamed(bench, stream_options={"include_usage": True}, **fields)
    assert said(chunks) == dict(enumerate(texts))
    ends = sorted(c.index for chunk in chunks for c in chunk.choices if c.finish_reason)
    assert ends == [0, 1, 2, 3]
    for usage in (chunks[-1].usage, answer.usage):
        assert usage is not None
        assert (usage.prompt_tokens, usage.completion_tokens) == (12 + 8, 4 * 3)
    assert all(chunk.usage is None for chunk in chunks[:-1])
    tokens = ask(bench, prompt=[[28120], [28120, 2]], echo=True, max_tokens=0)
    assert [choice.text for choice in tokens.choices] == ["hello", "hello<|im_end|>"]


def test_more_answers_than_there_are_places(bench: Bench) -> None:
    """One request's prompts wait together, however short the queue is: it is not a busy server."""
    prompts = [f"{number}, {number + 1}," for number in range(90)]
    answer = ask(bench, prompt=prompts, max_tokens=1)
    assert len(answer.choices) == 90
    assert all(choice.text for choice in answer.choices)


def test_the_prompt_is_said_again(bench: Bench) -> None:
    """With ``echo``, in a stream too; a stop within it stops nothing."""
    fields: dict[str, Any] = {"echo": True, "stop": ["capital", "aris"], "max_tokens": 20}
    (choice,) = ask(bench, **fields).choices
    assert (choice.text, choice.finish_reason) == (FRANCE + " P", "stop")
    assert said(streamed(bench, **fields)) == {0: FRANCE + " P"}


@pytest.mark.parametrize("likely", [0, 3])
def test_scores_have_the_shape_of_this_api(bench: Bench, likely: int) -> None:
    """Four lists of one length, of which the places point into the text; the chosen token is among
    the likely ones. A stream's pieces make the same.
    """
    fields: dict[str, Any] = {"prompt": COUNTING, "logprobs": likely, "max_tokens": 8}
    (choice,) = ask(bench, **fields).choices
    told = choice.logprobs
    assert told is not None
    assert told.tokens is not None
    assert told.token_logprobs is not None
    assert told.top_logprobs is not None
    assert told.text_offset is not None
    assert len(told.tokens) == len(told.token_logprobs) == len(told.top_logprobs) == 8
    for token, score, top, place in zip(
        told.tokens, told.token_logprobs, told.top_logprobs, told.text_offset, strict=True
    ):
        assert choice.text[place:].startswith(token)
        assert top[token] == score <= 0
        assert len(top) == max(likely, 1)
        assert max(top.values()) == score
    pieces = [c.logprobs for chunk in streamed(bench, **fields) for c in chunk.choices]
    for name in ("tokens", "token_logprobs", "text_offset"):
        whole = [one for piece in pieces if piece for one in getattr(piece, name)]
        expected = getattr(told, name)
        assert whole == (
            expected if name != "token_logprobs" else pytest.approx(expected, abs=1e-3)
        )


def test_what_is_asked_of_the_sampling_is_done(bench: Bench) -> None:
    """The same seed has the same answer; a token is banned by its id; a shape is kept."""
    seeded: dict[str, Any] = {"temperature": 1.0, "seed": 7, "max_tokens": 12, "top_p": 0.95}
    assert ask(bench, **seeded).choices[0].text == ask(bench, **seeded).choices[0].text
    (first,) = ask(bench, max_tokens=1).choices
    ids = {"7042": -100}  # " Paris"
    (other,) = ask(bench, max_tokens=1, logit_bias=ids).choices
    assert first.text == " Paris" != other.text
    shape = {"structured_outputs": {"choice": [" Berlin", " Rome"]}}
    (choice,) = ask(bench, max_tokens=8, extra_body=shape).choices
    assert choice.text in (" Berlin", " Rome")
    again: dict[str, Any] = {"prompt": "a a a a a a a a", "max_tokens": 12}
    penalised = ask(
        bench,
        **again,
        frequency_penalty=2.0,
        presence_penalty=2.0,
        extra_body={"repetition_penalty": 1.5, "top_k": 20, "min_p": 0.01},
    )
    assert penalised.choices[0].text != ask(bench, **again).choices[0].text


async def test_the_asynchronous_client_reads_a_stream(bench: Bench) -> None:
    """As the other does."""
    async with AsyncOpenAI(base_url=f"{bench.gateway.url}/v1", api_key="unused") as client:
        stream = await client.completions.create(
            model="own", prompt=FRANCE, max_tokens=3, temperature=0, stream=True
        )
        chunks = [chunk async for chunk in stream]
    assert said(chunks)[0] == ask(bench).choices[0].text
    assert {chunk.object for chunk in chunks} == {"text_completion"}
    assert len({chunk.id for chunk in chunks}) == 1


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("own", {"suffix": "!"}, "suffix"),
    ("own", {"best_of": 2}, "best_of"),
    ("own", {"echo": True, "logprobs": 1}, "echo with logprobs"),
    ("text", {"logit_bias": {"1": 1}, "best_of": 2}, "best_of"),
    ("claude", {}, "completions"),
    ("own", {"prompt": [50_000]}, "prompt"),
    ("own", {"prompt": []}, "prompt"),
    ("own", {"prompt": "one two three four " * 1000}, "prompt"),
    ("own", {"logprobs": 6}, "logprobs"),
    ("own", {"extra_body": {"stream_options": {}}}, "stream_options"),
]


@pytest.mark.parametrize(("model", "fields", "param"), REFUSED)
def test_what_cannot_be_done_is_named(
    bench: Bench, model: str, fields: dict[str, Any], param: str
) -> None:
    """By what the request says of it. What only the vendor could have done is refused when the
    vendor is banned, and no sooner.
    """
    if model == "text":
        assert ask(bench, model, **fields).choices
        bench.gateway.run("ban", "openai", "--reason", "directive 12")
    try:
        with pytest.raises(openai.BadRequestError) as caught:
            ask(bench, model, **fields)
    finally:
        if model == "text":
            bench.gateway.run("unban", "openai")
    assert caught.value.param == param


def test_a_vendor_is_asked_in_its_own_words(bench: Bench) -> None:
    """What it alone knows passes through; its answer is the app's but for the model."""
    raw = bench.client.completions.with_raw_response.create(
        model="text", prompt=["a", "b"], suffix="!", best_of=2, extra_body={"new": [1]}
    )
    answer = raw.parse()
    assert (answer.id, answer.model) == ("cmpl-sim", "text")
    assert [choice.text for choice in answer.choices] == ["vendor answer in pieces"] * 2
    assert raw.headers["x-gateway-served-by"] == "openai/gpt-3.5-turbo-instruct"
    seen = bench.first.requests[-1]
    assert (seen.path, seen.headers["authorization"]) == ("/v1/completions", f"Bearer {KEY}")
    assert seen.json == {
        "model": "gpt-3.5-turbo-instruct",
        "prompt": ["a", "b"],
        "suffix": "!",
        "best_of": 2,
        "new": [1],
    }
    record = bench.gateway.last_record()
    assert (record["api"], record["prompt_tokens"]) == ("completions", 7)


@pytest.mark.parametrize("behaviour", ["500", "reset", "empty", "no_choices", "refuse"])
def test_local_stands_in_for_a_vendor(bench: Bench, behaviour: str) -> None:
    """Before anything was sent: another model's text, and the header says why."""
    bench.first.behave(behaviour)
    for stream in (False, True):
        raw = bench.client.completions.with_raw_response.create(
            model="text", prompt=FRANCE, max_tokens=3, temperature=0, stream=stream
        )
        assert raw.headers["x-gateway-served-by"] == "local/smollm2"
        assert raw.headers["x-gateway-failover"]
        parsed: Any = raw.parse()
        text = said(list(parsed))[0] if stream else parsed.choices[0].text
        assert text.startswith(" Paris")
    bench.first.behave("answer")


@pytest.mark.parametrize("behaviour", ["break_off", "stall_mid_stream", "error_event"])
def test_local_goes_on_with_a_vendors_stream(bench: Bench, behaviour: str) -> None:
    """One id, one finish, one usage that adds up; the vendor's words come first."""
    bench.first.behave(behaviour, words=(" Par", "is", ", which"), after=3)
    chunks = streamed(bench, "text", max_tokens=20, stream_options={"include_usage": True})
    text = said(chunks)[0]
    assert text.startswith(" Paris, which")
    assert len(text) > len(" Paris, which")
    assert {(chunk.id, chunk.created, chunk.model) for chunk in chunks} == {
        ("cmpl-sim", 1_700_000_000, "text")
    }
    ends = [c.finish_reason for chunk in chunks for c in chunk.choices if c.finish_reason]
    assert ends in (["stop"], ["length"])
    (usage,) = (chunk.usage for chunk in chunks if chunk.usage)
    assert 3 < usage.completion_tokens <= 20
    assert usage.prompt_tokens == pytest.approx(12, abs=2)
    record = bench.gateway.last_record()
    assert record["attempts"][0]["seam"] == {"byte": 13, "token": 3}


def test_another_server_goes_on_behind_the_prompt(bench: Bench) -> None:
    """It gets prompt and beginning as one text, and no more tokens than are left."""
    bench.first.behave("break_off", words=(" a", " b"), after=2)
    bench.second.behave("answer", words=(" c", " d"))
    chunks = streamed(bench, "both", prompt="x", max_tokens=9)
    assert said(chunks) == {0: " a b c d"}
    asked = bench.second.requests[-1].json
    assert (asked["prompt"], asked["max_tokens"]) == ("x a b", 7)
    assert asked["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize(
    "fields", [{"logprobs": 1}, {"echo": True}, {"n": 2}, {"prompt": ["a", "b"]}, {"suffix": "!"}]
)
def test_more_than_one_text_is_not_gone_on_with(bench: Bench, fields: dict[str, Any]) -> None:
    """It ends in a well-formed error."""
    bench.first.behave("break_off", words=(" a", " b", " c", " d"), after=2)
    with pytest.raises(openai.APIError, match="what was sent so far is not complete"):
        streamed(bench, "both", **fields)


def test_a_ban_leads_to_local_or_to_451(bench: Bench) -> None:
    """At once, and with the reason."""
    bench.gateway.run("ban", "openai", "--reason", "directive 12")
    try:
        raw = bench.client.completions.with_raw_response.create(
            model="text", prompt=FRANCE, max_tokens=3
        )
        assert raw.headers["x-gateway-failover"] == "policy"
        with pytest.raises(openai.APIStatusError) as caught:
            ask(bench, "cloud")
        assert caught.value.status_code == 451
        assert "directive 12" in caught.value.message
    finally:
        bench.gateway.run("unban", "openai")


def test_a_channel_of_another_dialect_is_left_out_beforehand(bench: Bench) -> None:
    """It has no such API: nobody dials it."""
    before = len(bench.second.requests)
    raw = bench.client.completions.with_raw_response.create(
        model="crossed", prompt=FRANCE, max_tokens=3
    )
    assert raw.headers["x-gateway-served-by"] == "local/smollm2"
    assert raw.headers["x-gateway-failover"] == "capability"
    assert len(bench.second.requests) == before
    assert json.loads(raw.text)["object"] == "text_completion"
