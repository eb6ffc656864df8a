"""Moderations, audio, images and rerank behind apps on the official SDK: relayed to vendors that
have them, under the same policy and with the same failover as everything else.
"""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import openai
import pytest
from openai import OpenAI

from tests.end_to_end.running import ID, KEY, RunningGateway, configuration
from tests.simulators.form import fields
from tests.simulators.openai_media import IMAGE, SOUND, TEXTS
from tests.simulators.vendor import VendorSimulator
from tests.waiting import until

MODELS = """\
  media: {targets: [openai/gpt-4o-1, anthropic/claude-2, local/smollm2]}
  alone: {targets: [openai/gpt-4o-1]}
  other: {targets: [anthropic/claude-2]}
  own: {targets: [local/smollm2]}
"""
CHANNEL = """\
    base_url: https://api.anthropic.com/v1
    api_key: ${ANTHROPIC_API_KEY}
"""
WAV = b"RIFF\r\n--\x00\xff" * 40
SERVED = "x-gateway-served-by"


class Bench(NamedTuple):
    gateway: RunningGateway
    first: VendorSimulator
    second: VendorSimulator
    client: OpenAI


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("gateway")
    with VendorSimulator() as first, VendorSimulator() as second:
        text = configuration(first.url, models=MODELS, extra="server: {max_body_mb: 30}")
        assert CHANNEL in text
        mine = f'    base_url: "{second.url}"\n    api_key: ${{VENDOR_KEY}}\n'
        text = text.replace(CHANNEL, mine + "    apis: [moderations, audio, images, rerank]\n")
        with RunningGateway(folder, text) as gateway, gateway.sdk as client:
            yield Bench(gateway, first, second, client)


@pytest.fixture
def bench(running: Bench) -> Iterator[Bench]:
    """All is well, before and after; what the vendors saw is of the test."""
    until_served(running)
    running.first.requests.clear()
    running.second.requests.clear()
    yield running
    (running.gateway.policies / "90-toggles.yaml").unlink(missing_ok=True)


def until_served(bench: Bench) -> None:
    for vendor, model in ((bench.first, "alone"), (bench.second, "other")):
        vendor.behave("answer")
        until(partial(_served, bench, model))


def _served(bench: Bench, model: str) -> bool:
    try:
        bench.client.moderations.create(model=model, input="x")
    except openai.APIStatusError:
        return False
    return True


def until_banned(bench: Bench, vendor: str) -> None:
    assert bench.gateway.run("ban", vendor, "--reason", "directive 12").returncode == 0
    until(lambda: bench.gateway.ask(model="only-cloud")[0] == 451)


def test_moderations(bench: Bench) -> None:
    """The answer's model is the app's, and the vendor was asked for its own."""
    raw = bench.client.moderations.with_raw_response.create(model="media", input=["a", "b"])
    answer = raw.parse()
    assert (answer.model, answer.results[0].flagged) == ("media", False)
    assert raw.headers[SERVED] == "openai/gpt-4o-1"
    (seen,) = bench.first.requests
    assert (seen.path, seen.json) == ("/v1/moderations", {"model": "gpt-4o-1", "input": ["a", "b"]})
    assert seen.headers["authorization"] == f"Bearer {KEY}"


def test_moderations_without_a_model(bench: Bench) -> None:
    """Its documented default is looked up like any other, and what is missing is said."""
    with pytest.raises(openai.NotFoundError, match=r"omni-moderation-latest.*takes then") as caught:
        bench.client.moderations.create(input="a")
    assert (caught.value.param, caught.value.code) == ("model", "model_not_found")
    assert not bench.first.requests


def test_speech(bench: Bench) -> None:
    """All its bytes, under the type that the vendor gave them."""
    raw = bench.client.audio.speech.with_raw_response.create(
        model="media", voice="alloy", input="hello", response_format="wav"
    )
    assert raw.content == b"".join(SOUND)
    assert raw.headers["content-type"] == "audio/mpeg"
    assert raw.headers[SERVED] == "openai/gpt-4o-1"
    assert raw.headers["cache-control"] == "no-cache"
    assert bench.first.requests[0].headers["accept"] == "*/*"
    record = bench.gateway.last_record()
    assert (record["api"], record["served_by"]) == ("audio/speech", "openai/gpt-4o-1")


def test_speech_comes_as_it_is_made(bench: Bench) -> None:
    rest = threading.Event()
    bench.first.behave("answer", ahead=1, released=rest)
    with bench.client.audio.speech.with_streaming_response.create(
        model="media", voice="alloy", input="hello"
    ) as answer:
        pieces = answer.iter_bytes()
        try:
            came = next(pieces)
            while len(came) < len(SOUND[0]):
                came += next(pieces)
            assert came == SOUND[0]
        finally:
            rest.set()
        came += b"".join(pieces)
    assert came == b"".join(SOUND)


def test_speech_in_events(bench: Bench) -> None:
    with bench.client.audio.speech.with_streaming_response.create(
        model="media", voice="alloy", input="hello", stream_format="sse"
    ) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in answer.iter_lines() if line.startswith("data: ")]
    events = [json.loads(line[6:]) for line in lines]
    assert [e["type"] for e in events] == ["speech.audio.delta"] * len(SOUND) + [
        "speech.audio.done"
    ]
    record = bench.gateway.last_record()
    assert (record["prompt_tokens"], record["completion_tokens"]) == (7, 4)


@pytest.mark.parametrize(
    ("media", "told", "by"),
    [
        ("audio/ogg; codecs=opus", "audio/ogg", "openai/gpt-4o-1"),
        ("audio/x-of-its-own", "application/octet-stream", "openai/gpt-4o-1"),
        ("application/octet-stream", "application/octet-stream", "openai/gpt-4o-1"),
        ("image/svg+xml", "audio/mpeg", "anthropic/claude-2"),
        ("text/html", "audio/mpeg", "anthropic/claude-2"),
        ("application/json", "audio/mpeg", "anthropic/claude-2"),
    ],
)
def test_only_types_that_are_safe_are_told(bench: Bench, media: str, told: str, by: str) -> None:
    """What is no sound at all is no answer."""
    bench.first.behave("answer", media=media)
    raw = bench.client.audio.speech.with_raw_response.create(
        model="media", voice="alloy", input="hello"
    )
    assert (raw.headers["content-type"], raw.headers[SERVED]) == (told, by)


def test_transcriptions(bench: Bench) -> None:
    """The file arrives as it was; the usage is in the record."""
    answer = bench.client.audio.transcriptions.create(
        model="media", file=("a.wav", WAV, "audio/wav"), language="en", include=["logprobs"]
    )
    assert answer.text == "what was said"
    (seen,) = bench.first.requests
    assert seen.path == "/v1/audio/transcriptions"
    got = {field.name: field.data for field in fields(seen.body, seen.headers["content-type"])}
    assert got == {
        "model": b"gpt-4o-1",
        "file": WAV,
        "language": b"en",
        "include[]": b"logprobs",
    }
    record = bench.gateway.last_record()
    assert (record["prompt_tokens"], record["completion_tokens"]) == (7, 4)


def test_transcriptions_in_other_formats(bench: Bench) -> None:
    create = bench.client.audio.transcriptions.with_raw_response.create
    verbose = create(model="media", file=("a.wav", WAV), response_format="verbose_json").parse()
    assert (verbose.text, verbose.language) == ("what was said", "english")
    for format in ("text", "srt", "vtt"):
        raw = create(model="media", file=("a.wav", WAV), response_format=format)
        assert raw.text == TEXTS[format]
        assert raw.headers["content-type"] == "text/plain; charset=utf-8"


def test_streamed_transcriptions(bench: Bench) -> None:
    events = list(
        bench.client.audio.transcriptions.create(
            model="media", file=("a.wav", WAV), stream=True, response_format="json"
        )
    )
    assert [event.type for event in events] == [
        *["transcript.text.delta"] * 3,
        "transcript.text.done",
    ]
    assert events[-1].type == "transcript.text.done"
    assert events[-1].text == "what was said"
    assert bench.gateway.last_record()["completion_tokens"] == 4


def test_a_model_that_knows_no_streams(bench: Bench) -> None:
    """It answers with JSON, as it would the app itself."""
    bench.first.behave("answer", unstreamed=True)
    raw = bench.client.audio.transcriptions.with_raw_response.create(
        model="media", file=("a.wav", WAV), extra_body={"stream": "true"}
    )
    assert raw.headers["content-type"] == "application/json"
    assert raw.parse().text == "what was said"


def test_translations(bench: Bench) -> None:
    with pytest.warns(DeprecationWarning, match="deprecated"):
        answer = bench.client.audio.translations.create(model="media", file=("a.wav", WAV))
    assert answer.text == "what was said"
    assert bench.first.requests[0].path == "/v1/audio/translations"


def test_images(bench: Bench) -> None:
    answer = bench.client.images.generate(model="media", prompt="a cat")
    assert answer.data is not None
    assert answer.data[0].b64_json == IMAGE
    assert bench.first.requests[0].json == {"model": "gpt-4o-1", "prompt": "a cat"}
    assert bench.gateway.last_record()["prompt_tokens"] == 7


def test_streamed_images(bench: Bench) -> None:
    """An image of 5 MB is one event."""
    bench.first.behave("answer", image="A" * 5_000_000)
    made = list(
        bench.client.images.generate(model="media", prompt="x", stream=True, partial_images=2)
    )
    assert [event.type for event in made] == [
        *["image_generation.partial_image"] * 2,
        "image_generation.completed",
    ]
    assert {len(event.b64_json) for event in made} == {5_000_000}
    edited = list(
        bench.client.images.edit(model="media", prompt="x", image=("i.png", WAV), stream=True)
    )
    assert edited[-1].type == "image_edit.completed"


def test_edited_and_varied_images(bench: Bench) -> None:
    edited = bench.client.images.edit(
        model="media", prompt="x", image=[("a.png", WAV), ("b.png", b"b")], mask=("m.png", b"m")
    )
    assert edited.data is not None
    with pytest.warns(DeprecationWarning, match="deprecated"):
        varied = bench.client.images.create_variation(model="media", image=("a.png", WAV))
    assert varied.data is not None
    edit, variation = bench.first.requests
    assert (edit.path, variation.path) == ("/v1/images/edits", "/v1/images/variations")
    sent = [(f.name, f.data) for f in fields(edit.body, edit.headers["content-type"])]
    assert ("model", b"gpt-4o-1") in sent
    assert [data for name, data in sent if name == "image[]"] == [WAV, b"b"]


def test_edits_may_be_json(bench: Bench) -> None:
    body = {"model": "media", "prompt": "x", "images": [{"file_id": "file-1"}]}
    status, answer, _ = bench.gateway.post(json.dumps(body).encode(), "/v1/images/edits")
    assert (status, answer["data"][0]["b64_json"]) == (200, IMAGE)
    assert bench.first.requests[0].json == body | {"model": "gpt-4o-1"}


def test_rerank_goes_to_who_has_it(bench: Bench) -> None:
    """The first choice has no such API, as its channel says by saying nothing."""
    body = json.dumps({"model": "media", "query": "q", "documents": ["a", "b"], "top_n": 2})
    status, answer, headers = bench.gateway.post(body.encode(), "/v1/rerank")
    assert (status, answer["model"], answer["results"][0]["index"]) == (200, "media", 1)
    assert (headers[SERVED], headers["x-gateway-failover"]) == ("anthropic/claude-2", "capability")
    assert bench.second.requests[0].path == "/v1/rerank"
    assert not bench.first.requests


def transcribe(bench: Bench, model: str = "media") -> Any:
    return bench.client.audio.transcriptions.with_raw_response.create(
        model=model, file=("a.wav", WAV)
    )


def speak(bench: Bench, model: str = "media") -> Any:
    return bench.client.audio.speech.with_raw_response.create(
        model=model, voice="alloy", input="hello"
    )


@pytest.mark.parametrize("ask", [transcribe, speak])
@pytest.mark.parametrize(
    ("behaviour", "options", "why"),
    [
        ("503", {}, "server_error"),
        ("429", {}, "rate_limited"),
        ("reset", {}, "refused"),
        ("empty", {}, "malformed"),
        ("html", {}, "malformed"),
        ("reset", {"at": "head"}, "truncated"),
    ],
)
def test_failover(bench: Bench, ask: Any, behaviour: str, options: Any, why: str) -> None:
    """The next vendor is given the very same form, for its own model."""
    bench.first.behave(behaviour, **options)
    raw = ask(bench)
    assert (raw.headers[SERVED], raw.headers["x-gateway-failover"]) == ("anthropic/claude-2", why)
    if ask is transcribe:
        seen = bench.second.requests[-1]
        got = {field.name: field.data for field in fields(seen.body, seen.headers["content-type"])}
        assert (got["model"], got["file"]) == (b"claude-2", WAV)


def test_a_model_of_somebody_denied_does_not_answer(bench: Bench) -> None:
    bench.first.behave("answer", called="deepseek-chat")
    raw = bench.client.moderations.with_raw_response.create(model="media", input="x")
    assert raw.headers[SERVED] == "anthropic/claude-2"
    assert raw.headers["x-gateway-failover"] == "answered_by_denied"


def test_a_banned_vendor_is_sent_nothing(bench: Bench) -> None:
    """451 where it is the only one, the next vendor where it is not."""
    until_banned(bench, "openai")
    bench.first.requests.clear()
    for ask in (transcribe, speak):
        with pytest.raises(openai.APIStatusError) as caught:
            ask(bench, "alone")
        assert (caught.value.status_code, caught.value.code) == (451, "vendor_blocked")
        assert "directive 12" in caught.value.message
        raw = ask(bench)
        assert raw.headers[SERVED] == "anthropic/claude-2"
        assert raw.headers["x-gateway-failover"] == "policy"
    assert not bench.first.requests


def test_local_models_have_none_of_these(bench: Bench) -> None:
    """By name, alone or as all that is left."""
    for ask, word in ((transcribe, "transcription"), (speak, "speech")):
        with pytest.raises(openai.BadRequestError, match=f"supports: {word}") as caught:
            ask(bench, "own")
        assert (caught.value.code, caught.value.param) == ("unsupported_parameter", word)
    until_banned(bench, "openai")
    assert bench.gateway.run("ban", "anthropic", "--reason", "x").returncode == 0

    def speak_in_vain() -> openai.APIStatusError | None:
        with pytest.raises(openai.APIStatusError) as left:
            speak(bench, "media")
        return left.value if left.value.status_code == 400 else None

    assert until(speak_in_vain)


def test_a_vendors_refusal_is_handed_back(bench: Bench) -> None:
    bench.first.behave("400", message=f"Bad voice at {KEY}", param="voice", code="bad_voice")
    with pytest.raises(openai.BadRequestError, match=r"Bad voice at .key.") as caught:
        speak(bench)
    assert (caught.value.param, caught.value.code) == ("voice", "bad_voice")
    assert not bench.second.requests


def test_a_sound_that_breaks_off_does_not_look_complete(bench: Bench) -> None:
    """The app has its beginning, and is told by the connection; nobody else is asked."""
    bench.first.behave("break_off", after=2, pause=0.1)
    connection = http.client.HTTPConnection("127.0.0.1", bench.gateway.port, timeout=30)
    body = json.dumps({"model": "media", "voice": "alloy", "input": "hello"})
    connection.request("POST", "/v1/audio/speech", body)
    answer = connection.getresponse()
    with pytest.raises(http.client.IncompleteRead) as caught:
        answer.read()
    connection.close()
    assert (answer.status, caught.value.partial) == (200, b"".join(SOUND[:2]))
    record = bench.gateway.last_record(answer.headers[ID])
    assert [attempt["outcome"] for attempt in record["attempts"]] == ["truncated"]
    assert not bench.second.requests
    assert speak(bench, "other").content == b"".join(SOUND)


def test_events_that_break_off_end_in_an_error(bench: Bench) -> None:
    bench.first.behave("error_event", after=1)
    with pytest.raises(openai.APIError, match="broke off"):
        list(bench.client.images.generate(model="media", prompt="x", stream=True))
    assert not bench.second.requests


def test_a_file_of_25_mb(bench: Bench) -> None:
    """It arrives as it was."""
    sound = bytes(range(256)) * 100_000
    answer = bench.client.audio.transcriptions.create(model="media", file=("a.wav", sound))
    assert answer.text == "what was said"
    (seen,) = bench.first.requests
    found = {f.name: f.data for f in fields(seen.body, seen.headers["content-type"])}
    assert found["file"] == sound


KIND = "multipart/form-data; boundary=b"
FIELD = b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nmedia\r\n'


@pytest.mark.parametrize(
    ("kind", "body", "status", "param", "code"),
    [
        ("multipart/form-data", FIELD + b"--b--", 400, None, "invalid_form"),
        (KIND, FIELD, 400, None, "invalid_form"),
        (KIND, b"--b--", 400, "model", "missing_required_parameter"),
        (KIND, FIELD * 2 + b"--b--", 400, "model", "duplicate_parameter"),
        (KIND, FIELD.replace(b"media", b"no-such") + b"--b--", 404, "model", "model_not_found"),
        ("application/json", b'{"model": "media"}', 415, None, "unsupported_media_type"),
        ("text/plain", FIELD + b"--b--", 415, None, "unsupported_media_type"),
    ],
)
def test_bad_forms(
    bench: Bench, kind: str, body: bytes, status: int, param: str | None, code: str
) -> None:
    got, answer, _ = bench.gateway.post(body, "/v1/audio/transcriptions", content_type=kind)
    error = answer["error"]
    assert (got, error["param"], error["code"]) == (status, param, code)
    assert error["type"] == "invalid_request_error"
    assert not bench.first.requests
