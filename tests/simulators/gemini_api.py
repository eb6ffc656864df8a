"""Gemini's ``generateContent``, plain and streamed, as Google AI Studio has it.

Source: the published reference of the Gemini API, ``models.generateContent``,
``models.streamGenerateContent`` and ``models.batchEmbedContents``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.simulators.foreign import TOOL, WORDS, ForeignVendor, compact
from tests.simulators.openai_texts import numbers
from tests.simulators.seen import SeenRequest

KEY = "AIza-planted-0123456789"
MODEL = "gemini-2.5-flash"
USAGE = {
    "promptTokenCount": 13,
    "candidatesTokenCount": 5,
    "totalTokenCount": 18,
    "cachedContentTokenCount": 4,
}
STATES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}


class GeminiVendor(ForeignVendor):
    """``POST /v1beta/models/…:generateContent``, ``:streamGenerateContent`` and
    ``:batchEmbedContents``.
    """

    def check(self, request: SeenRequest) -> tuple[int, str] | None:
        url = urlsplit(request.path)
        query = parse_qs(url.query)
        if not url.path.startswith("/v1beta/models/"):
            return 404, "Not found"
        key = request.headers.get("x-goog-api-key") or query.get("key", [""])[0]
        return None if key == KEY else (400, "API key not valid. Please pass a valid API key.")

    def streams(self, request: SeenRequest) -> bool:
        url = urlsplit(request.path)
        if not url.path.endswith(":streamGenerateContent"):
            return False
        assert parse_qs(url.query)["alt"] == ["sse"]
        return True

    def whole(self, request: SeenRequest) -> bytes:
        if urlsplit(request.path).path.endswith(":batchEmbedContents"):
            asked = request.json["requests"]
            texts = [one["content"]["parts"][0]["text"] for one in asked]
            size = asked[0].get("outputDimensionality", 8)
            return compact({"embeddings": [{"values": numbers(text, size)} for text in texts]})
        return compact(answer(self, tool=self.behaviour == "tool"))

    def events(self, request: SeenRequest) -> Iterator[bytes]:
        return events(self, tool=self.behaviour == "tool")

    def refusal(self, status: int, message: str, kind: str) -> tuple[bytes, Mapping[str, str]]:
        return refusal(status, message, kind), {}

    def error_event(self) -> bytes:
        return _event({"error": {"code": 503, "message": "Overloaded", "status": "UNAVAILABLE"}})


def refusal(status: int, message: str, kind: str) -> bytes:
    """``google.rpc.Status``; ``kind`` is the reason in its details."""
    error: dict[str, Any] = {
        "code": status,
        "message": message,
        "status": STATES.get(status, "UNKNOWN"),
    }
    if "API key" in message:
        kind = "API_KEY_INVALID"
    if kind:
        info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": kind}
        error["details"] = [info]
    return compact({"error": error})


def answer(vendor: ForeignVendor, *, tool: bool) -> dict[str, Any]:
    parts: list[dict[str, Any]] = [{"text": "".join(WORDS)}]
    if tool:
        name, given = TOOL
        parts = [{"functionCall": {"name": name, "args": given}}]
    return _part(vendor, parts, "STOP") | {"usageMetadata": USAGE}


def events(vendor: ForeignVendor, *, tool: bool) -> Iterator[bytes]:
    if tool:
        yield _event(answer(vendor, tool=True))
        return
    for word in WORDS:
        yield _event(_part(vendor, [{"text": word}], None))
    yield _event(_part(vendor, [{"text": ""}], "STOP") | {"usageMetadata": USAGE})


def _part(vendor: ForeignVendor, parts: list[dict[str, Any]], reason: str | None) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": 0}
    if reason is not None:
        candidate["finishReason"] = reason
    return {
        "candidates": [candidate],
        "modelVersion": vendor.model or MODEL,
        "responseId": "resp_1",
    }


def _event(data: dict[str, Any]) -> bytes:
    return b"data: %b\r\n\r\n" % compact(data)
