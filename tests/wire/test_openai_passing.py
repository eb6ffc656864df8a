"""Requests and answers that are passed on: what is read of them, and the model's name in them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.domain.call import Api, Call
from gateway.domain.events import Usage
from gateway.domain.identity import Identity, Locality
from gateway.domain.target import Capability, Target
from gateway.errors import InvalidRequest
from gateway.wire.openai_passed import PassingSpeech
from gateway.wire.openai_passing import FORMS, NEEDS, parse
from gateway.wire.relay import Chunk

TARGET = Target("x", "real", Identity("x", "x", "real", (), Locality.CLOUD, ()))
JSON = b"application/json"


def sent(api: Api, body: bytes) -> dict[str, Any]:
    """What a vendor is sent for a JSON body."""
    request = parse(api, body, JSON)
    call = Call(
        id="1",
        api=api,
        model=request.model,
        stream=request.stream,
        body=body,
        asked=request.task,
        received=0,
        deadline=1,
    )
    made: dict[str, Any] = json.loads(PassingSpeech(api).request(call, TARGET))
    return made


@pytest.mark.parametrize("api", [api for api in NEEDS if api not in FORMS])
def test_the_model_is_replaced(api: Api) -> None:
    """Also where another is nested, or spelled in another case."""
    body = b'{"model": "m", "input": {"model": "n"}, "Model": "o", "voice": "a\\u0062"}'
    assert sent(api, body) == {"model": "real", "input": {"model": "n"}, "voice": "ab"}


def test_moderations_have_a_model_of_their_own() -> None:
    request = parse(Api.MODERATIONS, b'{"input": "x", "model": null}', JSON)
    assert (request.model, request.named) == ("omni-moderation-latest", False)
    assert sent(Api.MODERATIONS, b'{"input": "x"}') == {"input": "x", "model": "real"}


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        (b"{", None, "invalid_json"),
        (b"[]", None, "invalid_json"),
        (b"\xff", None, "invalid_json"),
        (b"{}", "model", "missing_required_parameter"),
        (b'{"model": ""}', "model", "invalid_value"),
        (b'{"model": ["m"]}', "model", "invalid_type"),
        (b'{"model": "m", "stream": "yes"}', "stream", "invalid_type"),
        (b'{"model": "m", "svg": {"Model": "n"}}', "svg.model", "unsupported_parameter"),
    ],
)
def test_bad_bodies(body: bytes, param: str | None, code: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(Api.IMAGES, body, JSON)
    assert (caught.value.param, caught.value.code) == (param, code)


def test_speech_is_passed_on_as_it_comes() -> None:
    """Of the others only what is asked for as a stream."""
    assert parse(Api.SPEECH, b'{"model": "m"}', JSON).stream
    assert not parse(Api.IMAGES, b'{"model": "m"}', JSON).stream
    assert parse(Api.IMAGES, b'{"model": "m", "stream": true, "user": "ann"}', JSON).stream


def test_each_api_needs_a_capability() -> None:
    assert NEEDS[Api.TRANSLATIONS] is Capability.TRANSCRIPTION
    assert NEEDS[Api.IMAGE_EDITS] is Capability.IMAGE_GENERATION


TOKENS = {"input_tokens": 7, "output_tokens": 4, "total_tokens": 11}


@pytest.mark.parametrize(
    ("api", "answer", "usage"),
    [
        (Api.MODERATIONS, {"id": "modr", "model": "omni", "results": []}, None),
        (Api.IMAGES, {"created": 1, "data": [{"b64_json": "AA=="}]}, None),
        (Api.IMAGE_EDITS, {"created": 1, "data": [], "usage": TOKENS}, Usage(7, 4)),
        (Api.TRANSCRIPTIONS, {"text": "", "usage": {"type": "tokens", **TOKENS}}, Usage(7, 4)),
        (Api.TRANSCRIPTIONS, {"text": "a", "usage": {"type": "duration", "seconds": 2}}, None),
        (Api.RERANK, {"model": "r", "results": [], "usage": {"total_tokens": 9}}, Usage(9, 0)),
        (Api.RERANK, {"object": "list", "data": [], "usage": {"prompt_tokens": 9}}, Usage(9, 0)),
        (Api.RERANK, {"results": [], "usage": "none"}, None),
    ],
)
def test_answers(api: Api, answer: dict[str, Any], usage: Usage | None) -> None:
    """The model's name is the app's where there is one, and all else stays."""
    body = json.dumps(answer).encode()
    read = PassingSpeech(api).answer(body, "asked", typed=False)
    assert (read.model, read.usage) == (answer.get("model"), usage)
    assert json.loads(read.data) == answer | ({"model": "asked"} if "model" in answer else {})
    if "model" not in answer:
        assert read.data == body


@pytest.mark.parametrize(
    ("api", "body"),
    [
        (Api.MODERATIONS, b'{"data": []}'),
        (Api.IMAGES, b'{"results": []}'),
        (Api.TRANSCRIPTIONS, b'{"text": null}'),
        (Api.RERANK, b'{"error": {"message": "late"}}'),
        (Api.RERANK, b"<html>"),
        (Api.IMAGES, b'{"data": []'),
        (Api.IMAGES, b""),
        (Api.IMAGES, b"[" * 100_000),
    ],
)
def test_what_is_no_answer(api: Api, body: bytes) -> None:
    with pytest.raises(ValueError, match=f"none of /{api}"):
        PassingSpeech(api).answer(body, "asked", typed=False)


def chunks(api: Api, *payloads: object) -> list[Chunk]:
    reader = PassingSpeech(api).reader("asked", typed=False)
    return [reader.read(p if isinstance(p, bytes) else json.dumps(p).encode()) for p in payloads]


def test_events_of_a_stream() -> None:
    """Their names are written by their types; what ends an answer is held back, but no image."""
    delta, last = chunks(
        Api.TRANSCRIPTIONS,
        b'{"type": "transcript.text.delta",\n"delta": "a"}',
        {"type": "transcript.text.done", "text": "a", "usage": TOKENS},
    )
    assert delta.data == (
        b'event: transcript.text.delta\ndata: {"type": "transcript.text.delta", "delta": "a"}\n\n'
    )
    assert (delta.choices, delta.reason, delta.closing) == ((0,), None, False)
    assert (last.closing, last.usage) == (True, Usage(7, 4))
    images = chunks(
        Api.IMAGES,
        {"type": "image_generation.partial_image", "b64_json": "AA=="},
        {"type": "image_generation.completed", "b64_json": "AA=="},
        {"type": "image_generation.partial_image", "b64_json": "AA=="},
    )
    assert [chunk.choices for chunk in images] == [(0,), (0,), (1,)]
    assert [chunk.reason is not None for chunk in images] == [False, True, False]
    assert not any(chunk.closing for chunk in images)


def test_chunks_without_a_type() -> None:
    """vLLM's transcriptions, which name their model."""
    chunk, done = chunks(Api.TRANSCRIPTIONS, {"object": "c", "model": "real", "x": 1}, b"[DONE]")
    assert (chunk.model, json.loads(chunk.data[6:])["model"]) == ("real", "asked")
    assert (done.done, done.data) == (True, b"data: [DONE]\n\n")


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        ({"type": "error", "message": "late"}, True),
        ({"type": "x", "error": {"message": "late"}}, True),
        (b"[1]", False),
        (b'{"type": ', False),
        ({"type": "a\ndata: b"}, False),
        ({"type": 3}, False),
    ],
)
def test_what_is_no_event(payload: object, error: bool) -> None:
    (chunk,) = chunks(Api.IMAGES, payload)
    assert (chunk.error, chunk.malformed, chunk.data) == (error, not error, b"")
