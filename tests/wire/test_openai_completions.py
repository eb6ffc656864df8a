"""Plain completions: what is read of a body, what each mistake in one is told, and what is written
and relayed of an answer.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai.types import Completion as SdkCompletion

from gateway.domain.call import Completion, Prompt, Sampling, Shape, ShapeKind
from gateway.domain.events import (
    Continued,
    Delta,
    Finished,
    FinishReason,
    Likely,
    Piece,
    Scored,
    Usage,
)
from gateway.domain.target import Capability
from gateway.errors import InvalidRequest
from gateway.wire.openai_completions import CompletionRequest, parse
from gateway.wire.openai_completions_answer import CompletionWriter
from gateway.wire.openai_completions_relay import CompletionReader, CompletionSpeech


def body(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "prompt": "Once"} | fields).encode()


BAD = [
    # body, param, code
    (b"{", None, "invalid_json"),
    (b"[]", None, "invalid_type"),
    (b'{"prompt": "a"}', "model", "missing_required_parameter"),
    (body(model=""), "model", "invalid_value"),
    (body(prompt=3), "prompt", "invalid_type"),
    (body(prompt=[]), "prompt", "empty_array"),
    (body(prompt=[["a"]]), "prompt[0][0]", "invalid_type"),
    (body(prompt=["a", 1]), "prompt[1]", "invalid_type"),
    (body(prompt=[[1], 1]), "prompt[1]", "invalid_type"),
    (body(prompt=[1.5]), "prompt[0]", "invalid_type"),
    (body(prompt=["a"] * 1025, n=2), "prompt", "invalid_value"),
    (body(n=0), "n", "invalid_value"),
    (body(n=129), "n", "invalid_value"),
    (body(best_of=21), "best_of", "invalid_value"),
    (body(best_of=2, n=3), "best_of", "invalid_value"),
    (body(best_of=2, stream=True), "best_of", "invalid_value"),
    (body(logprobs=6), "logprobs", "invalid_value"),
    (body(logprobs=-1), "logprobs", "invalid_value"),
    (body(logprobs=True), "logprobs", "invalid_type"),
    (body(max_tokens=-1), "max_tokens", "invalid_value"),
    (body(temperature=2.1), "temperature", "invalid_value"),
    (body(top_p=-0.1), "top_p", "invalid_value"),
    (body(presence_penalty=3), "presence_penalty", "invalid_value"),
    (body(frequency_penalty=-3), "frequency_penalty", "invalid_value"),
    (body(stop=["a"] * 5), "stop", "invalid_value"),
    (body(suffix=3), "suffix", "invalid_type"),
    (body(echo="yes"), "echo", "invalid_type"),
    (body(logit_bias={"x": 1}), "logit_bias", "invalid_value"),
    (body(logit_bias={"1": 101}), "logit_bias", "invalid_value"),
    (body(stream_options={"include_usage": True}), "stream_options", "invalid_value"),
    (body(structured_outputs={}), "structured_outputs", "invalid_value"),
]


@pytest.mark.parametrize(("raw", "param", "code"), BAD)
def test_a_mistake_is_named(raw: bytes, param: str | None, code: str) -> None:
    """By the parameter to correct."""
    with pytest.raises(InvalidRequest) as caught:
        parse(raw)
    assert (caught.value.param, caught.value.code) == (param, code)


PROMPTS: list[tuple[Any, tuple[Prompt, ...]]] = [
    ("Once", ("Once",)),
    ("", ("",)),
    (None, ("",)),
    (["a", "b"], ("a", "b")),
    ([1, 2], ((1, 2),)),
    ([[1, 2], [3]], ((1, 2), (3,))),
    ([[], [3]], ((), (3,))),
]


@pytest.mark.parametrize(("written", "prompts"), PROMPTS)
def test_a_prompt_has_four_forms(written: Any, prompts: tuple[Prompt, ...]) -> None:
    """A text, texts, tokens, tokens of several; none is where a text begins."""
    assert parse(body(prompt=written)).completion.prompts == prompts


def test_what_nobody_says_has_the_values_of_the_api() -> None:
    """Sixteen tokens, one answer, no more."""
    assert parse(b'{"model": "m"}') == CompletionRequest(
        model="m",
        stream=False,
        include_usage=False,
        completion=Completion(("",), max_tokens=16),
        needs=frozenset({Capability.COMPLETIONS}),
        session=None,
    )


def test_every_parameter_is_read() -> None:
    """Of the published API, and those of vLLM's server."""
    request = parse(
        body(
            prompt=["a"],
            best_of=2,
            echo=True,
            frequency_penalty=0.5,
            logit_bias={"7": -100},
            logprobs=5,
            max_tokens=3,
            n=2,
            presence_penalty=-0.5,
            seed=11,
            stop=["x", ""],
            stream=True,
            stream_options={"include_usage": True},
            suffix="end",
            temperature=0.5,
            top_p=0.9,
            user="u",
            top_k=4,
            min_p=0.1,
            repetition_penalty=1.1,
            ignore_eos=True,
            structured_outputs={"choice": ["b"]},
        )
    )
    assert request.completion == Completion(
        ("a",),
        suffix="end",
        echo=True,
        sampling=Sampling(
            0.5, 0.9, -0.5, 0.5, 11, 4, 0.1, 1.1, logit_bias=((7, -100.0),), ignore_end=True
        ),
        max_tokens=3,
        stop=("x",),
        shape=Shape(ShapeKind.CHOICE, '["b"]'),
        logprobs=5,
        choices=2,
    )
    assert (request.stream, request.include_usage, request.session) == (True, True, "u")


NEEDS: list[tuple[dict[str, Any], set[Capability]]] = [
    ({"logprobs": 0}, {Capability.LOGPROBS}),
    ({"logprobs": 1, "echo": True}, {Capability.LOGPROBS, Capability.PROMPT_LOGPROBS}),
    ({"echo": True}, set()),
    ({"logit_bias": {"1": 1}}, {Capability.LOGIT_BIAS}),
    ({"n": 2, "best_of": 2}, {Capability.SEVERAL_CHOICES}),
    ({"best_of": 2}, {Capability.BEST_OF}),
    ({"suffix": ""}, {Capability.INFILL}),
    ({"response_format": {"type": "json_object"}}, {Capability.JSON_OBJECT}),
    ({"structured_outputs": {"regex": "a"}}, {Capability.STRUCTURED_OUTPUTS}),
]


@pytest.mark.parametrize(("fields", "needs"), NEEDS)
def test_what_a_request_needs_of_a_target(fields: dict[str, Any], needs: set[Capability]) -> None:
    """Beside the API itself; as many candidates as answers need no choice between them."""
    assert parse(body(**fields)).needs == needs | {Capability.COMPLETIONS}


def writer(*, include_usage: bool = False, scores: bool = False) -> CompletionWriter:
    return CompletionWriter(
        id="cmpl-1", model="m", created=5, include_usage=include_usage, scores=scores
    )


def chunks(stream: bytes) -> list[Any]:
    """The events of a stream, each as the SDK reads it; behind the last stands ``[DONE]``."""
    *events, last, behind = stream.split(b"\n\n")
    assert (last, behind) == (b"data: [DONE]", b"")
    return [json.loads(event.removeprefix(b"data: ")) for event in events]


# An é in two tokens, and a word behind it.
SCORES = (
    Scored(b"a", -0.5, (Likely(b"a", -0.5), Likely(b"b", -1.5))),
    Scored(b"\xc3", -1.0, (Likely(b" x", -0.25),)),
    Scored(b"\xa9", float("-inf")),
    Scored(b" end", -0.125),
)
LOGPROBS = {
    "tokens": ["a", "bytes:\\xc3", "bytes:\\xa9", " end"],
    "token_logprobs": [-0.5, -1.0, -9999.0, -0.125],
    "top_logprobs": [
        {"a": -0.5, "b": -1.5},
        {" x": -0.25, "bytes:\\xc3": -1.0},
        {"bytes:\\xa9": -9999.0},
        {" end": -0.125},
    ],
    "text_offset": [0, 1, 1, 2],
}


def test_an_answer_has_the_shape_of_the_api() -> None:
    """Choices by their number, the scores of one token after the other, usage."""
    made = writer(scores=True)
    pieces: list[Piece] = [
        Delta("other", 1),
        Delta("aé", 0, SCORES[:3]),
        Delta(" end", 0, SCORES[3:]),
    ]
    for piece in pieces:
        made.keep(piece)
    made.count(Usage(3, 4, cached=2))
    answer = made.whole(Finished((FinishReason.LENGTH, FinishReason.TOOL_CALLS)))
    SdkCompletion.model_validate_json(answer, strict=True)
    empty: dict[str, list[Any]] = {name: [] for name in LOGPROBS}
    assert json.loads(answer) == {
        "id": "cmpl-1",
        "object": "text_completion",
        "created": 5,
        "model": "m",
        "choices": [
            {"text": "aé end", "index": 0, "logprobs": LOGPROBS, "finish_reason": "length"},
            {"text": "other", "index": 1, "logprobs": empty, "finish_reason": "stop"},
        ],
        "usage": {
            "prompt_tokens": 3,
            "completion_tokens": 4,
            "total_tokens": 7,
            "prompt_tokens_details": {"cached_tokens": 2},
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
    }


def test_places_of_tokens_go_on_from_piece_to_piece() -> None:
    """Half a character at the end of one included; each choice has its own."""
    made = writer(scores=True)
    sent = made.piece(Delta("a", 0, SCORES[:2]))
    sent += made.piece(Delta("é end", 0, SCORES[2:]))
    sent += made.piece(Delta("a", 1, SCORES[:1]))
    said = [choice for event in chunks(sent + made.end(Finished())) for choice in event["choices"]]
    offsets = [(choice["index"], choice["logprobs"]["text_offset"]) for choice in said[:3]]
    assert offsets == [(0, [0, 1]), (0, [1, 2]), (1, [0])]


def test_a_stream_ends_with_each_finish_and_the_usage() -> None:
    """Usage stands in every chunk, and is null before the last."""
    made = writer(include_usage=True)
    sent = made.piece(Delta("a", 1)) + made.piece(Delta("b", 0))
    made.count(Usage(3, 2))
    sent += made.end(Finished((FinishReason.STOP, FinishReason.LENGTH)))
    events = chunks(sent)
    said = [
        (c["index"], c["text"], c["finish_reason"]) for event in events for c in event["choices"]
    ]
    assert said == [(1, "a", None), (0, "b", None), (0, "", "stop"), (1, "", "length")]
    assert [event["usage"] is None for event in events] == [True] * 4 + [False]
    assert events[-1]["choices"] == []
    assert events[-1]["usage"]["total_tokens"] == 5
    assert {event["object"] for event in events} == {"text_completion"}


def test_a_stream_goes_on_under_its_first_name() -> None:
    """The app has seen another target's id."""
    made = writer()
    made.resume(Continued(id="cmpl-vendor", created=3))
    (event, _) = chunks(made.piece(Delta("a")) + made.end(Finished()))
    assert (event["id"], event["created"]) == ("cmpl-vendor", 3)


VENDOR = {
    "id": "cmpl-v",
    "object": "text_completion",
    "created": 3,
    "model": "gpt-3.5-turbo-instruct",
    "choices": [
        {"text": "one", "index": 0, "logprobs": None, "finish_reason": "length"},
        {"text": "two", "index": 1, "logprobs": None, "finish_reason": "stop", "stop_reason": "x"},
    ],
    "usage": {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5},
}


def test_a_vendors_answer_is_the_apps_but_for_the_model() -> None:
    """And what the gateway must know is read."""
    raw = json.dumps(VENDOR, indent=1).encode()
    answer = CompletionSpeech().answer(raw, "m", typed=True)
    assert answer.data == raw.replace(b"gpt-3.5-turbo-instruct", b"m")
    assert (answer.model, answer.usage) == ("gpt-3.5-turbo-instruct", Usage(2, 3))
    assert answer.reasons == (FinishReason.LENGTH, FinishReason.STOP)
    assert answer.pieces == (Delta("one", 0), Delta("two", 1))
    assert answer.text == "onetwo"


@pytest.mark.parametrize(
    "raw", [b"{}", b'{"choices": []}', b'{"choices": [{"text": 3}]}', b"[]", b"{", b"\xff"]
)
def test_what_is_no_answer_is_none(raw: bytes) -> None:
    """The target has failed, then."""
    with pytest.raises(ValueError):
        CompletionSpeech().answer(raw, "m", typed=False)


def test_a_vendors_stream_is_read_event_by_event() -> None:
    """Text, then what only closes, then the end."""
    reader = CompletionReader("m", typed=True)
    text = {**VENDOR, "choices": [{"text": "one", "index": 1, "finish_reason": None}]}
    chunk = reader.read(json.dumps(text, indent=1).encode())
    assert chunk.data.count(b"\n") == 2
    assert json.loads(chunk.data.removeprefix(b"data: ")) == text | {"model": "m"}
    assert (chunk.text, chunk.choices, chunk.content, chunk.closing) == ("one", (1,), True, False)
    assert chunk.pieces == (Delta("one", 1),)
    end = {**text, "choices": [{"text": "", "index": 1, "finish_reason": "length"}]}
    chunk = reader.read(json.dumps(end).encode())
    assert (chunk.closing, chunk.reason, chunk.pieces) == (True, (1, FinishReason.LENGTH), ())
    both = {**text, "choices": [{"text": "x", "index": 0, "finish_reason": "stop"}]}
    chunk = reader.read(json.dumps(both).encode())
    assert (chunk.closing, chunk.reason) == (False, (0, FinishReason.STOP))
    assert reader.read(b'{"error": {}}').error
    assert reader.read(b'{"object": "text_completion"}').malformed
    assert reader.read(b"[DONE]").done
