"""What a vendor of the OpenAI dialect says of moderations, audio, images and rerank.

Sources: OpenAI's API reference, "Create speech", "Create transcription", "Create translation",
"Create image", "Create moderation"; for rerank the APIs of Cohere and Jina.
"""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

from tests.simulators.delivery import EVENT_STREAM, JSON, Answer, Delivery, Options
from tests.simulators.form import fields
from tests.simulators.openai_speech import OpenAISpeech
from tests.simulators.seen import SeenRequest
from tests.simulators.speech import Speech

SOUND = tuple(bytes([n]) * 4000 for n in (0, 13, 255, 200))
"""Pieces of a sound: zeros, line ends, and what is no UTF-8."""
WORDS = ("what", " was", " said")
IMAGE = base64.b64encode(bytes(range(256))).decode()
TOKENS: dict[str, Any] = {"input_tokens": 7, "output_tokens": 4, "total_tokens": 11}
CATEGORIES = ("harassment", "hate", "sexual", "violence")
TEXTS = {
    "text": "what was said\n",
    "srt": "1\n00:00:00,000 --> 00:00:01,000\nwhat was said\n",
    "vtt": "WEBVTT\n\n00:00.000 --> 00:01.000\nwhat was said\n",
}


def asked(request: SeenRequest) -> dict[str, Any]:
    """The parameters of a request, of JSON or of a form."""
    kind = request.headers["content-type"]
    if not kind.startswith("multipart/"):
        return request.json
    given: dict[str, Any] = {}
    for field in fields(request.body, kind):
        file = b"filename" in field.disposition
        given[field.name] = field.data if file else field.data.decode()
    given["stream"] = given.get("stream") == "true"
    return given


class MediaSpeech(Speech):
    """``api`` is the path behind the version. Options: ``words``; ``pieces`` of the sound;
    ``media``, its type; ``called`` is what the vendor calls its model; ``unstreamed`` says that it
    knows no streams.
    """

    def __init__(self, api: str, request: dict[str, Any], options: Options) -> None:
        super().__init__(request, options)
        self._api = api
        if api == "audio/speech":
            self.streamed = request.get("stream_format") == "sse"
        if options.get("unstreamed"):
            self.streamed = False
        self._sound = api == "audio/speech" and not self.streamed

    def answer(self) -> Answer:
        if self._sound:
            pieces = self.options.get("pieces", SOUND)
            return Answer((), pieces[:-1], (), pieces[-1:], streamed=True)
        if self.streamed:
            *content, last = map(_event, self._events())
            return Answer((), tuple(content), (), (last,), streamed=True)
        if self._format in TEXTS:
            return Answer.plain(TEXTS[self._format].encode())
        return Answer.plain(json.dumps(self._whole()).encode())

    def error(self) -> bytes:
        error = {"type": "error", "error": {"message": "The server had an error.", "code": None}}
        return _event(error) if self.streamed else json.dumps(error).encode()

    def broken(self) -> bytes:
        return b'data: {"type": "\n\n' if self.streamed else b'{"data": ['

    def refusal(self, status: int) -> bytes:
        return OpenAISpeech({}, dict(self.options)).refusal(status)

    def own(self, behaviour: str) -> Delivery:
        raise ValueError(f"no behaviour {behaviour!r} of /{self._api}")

    def delivery(self, behaviour: str) -> Delivery:
        delivery = super().delivery(behaviour)
        if delivery.media not in (JSON, EVENT_STREAM):
            return delivery
        if self._sound:
            return replace(delivery, media=self.options.get("media", "audio/mpeg"))
        if not self.streamed and self._format in TEXTS:
            return replace(delivery, media="text/plain; charset=utf-8")
        return delivery

    @property
    def _format(self) -> str:
        spoken = self._api in ("audio/transcriptions", "audio/translations")
        return str(self.request.get("response_format")) if spoken else ""

    def _whole(self) -> dict[str, Any]:
        said = "".join(self.options.get("words", WORDS))
        match self._api:
            case "moderations":
                return {"id": "modr-sim", "model": self._called, "results": [self._judged()]}
            case "rerank":
                scores = [
                    {"index": 1, "relevance_score": 0.9},
                    {"index": 0, "relevance_score": 0.1},
                ]
                usage = {"total_tokens": 11}
                return {"id": "r", "model": self._called, "results": scores, "usage": usage}
            case "audio/transcriptions" | "audio/translations":
                verbose = {"task": "transcribe", "language": "english", "duration": 1.0}
                more = verbose if self._format == "verbose_json" else {}
                return {"text": said, **more, "usage": {"type": "tokens", **TOKENS}}
            case _:
                image = {"b64_json": self.options.get("image", IMAGE)}
                return {"created": 1_700_000_000, "data": [image], "usage": TOKENS}

    def _events(self) -> list[dict[str, Any]]:
        words = self.options.get("words", WORDS)
        match self._api:
            case "audio/speech":
                kind, name = "speech.audio", "audio"
                given = [base64.b64encode(p).decode() for p in self.options.get("pieces", SOUND)]
                last: dict[str, Any] = {"usage": TOKENS}
            case "audio/transcriptions":
                kind, name, given = "transcript.text", "delta", list(words)
                last = {"text": "".join(words), "usage": {"type": "tokens", **TOKENS}}
            case _:
                return self._images()
        events: list[dict[str, Any]] = [{"type": f"{kind}.delta", name: each} for each in given]
        return [*events, {"type": f"{kind}.done", **last}]

    def _images(self) -> list[dict[str, Any]]:
        kind = "image_edit" if self._api == "images/edits" else "image_generation"
        about = {"b64_json": self.options.get("image", IMAGE), "created_at": 1_700_000_000}
        about |= {"size": "1024x1024", "quality": "high", "output_format": "png"}
        about |= {"background": "opaque"}
        partial = [
            {"type": f"{kind}.partial_image", "partial_image_index": n, **about} for n in (0, 1)
        ]
        return [*partial, {"type": f"{kind}.completed", **about, "usage": TOKENS}]

    def _judged(self) -> dict[str, Any]:
        return {
            "flagged": False,
            "categories": dict.fromkeys(CATEGORIES, False),
            "category_scores": dict.fromkeys(CATEGORIES, 0.01),
            "category_applied_input_types": {name: ["text"] for name in CATEGORIES},
        }

    @property
    def _called(self) -> str:
        return str(self.options.get("called", self.request["model"]))


def _event(event: dict[str, Any]) -> bytes:
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
