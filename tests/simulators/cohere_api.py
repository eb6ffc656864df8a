"""Cohere's ``POST /v2/embed``.

Source: the published reference of Cohere's API, "Embed".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tests.simulators.foreign import ForeignVendor, compact
from tests.simulators.openai_texts import numbers
from tests.simulators.seen import SeenRequest

KEY = "co-planted-0123456789"


class CohereVendor(ForeignVendor):
    """Its answers do not say which model they are by."""

    def check(self, request: SeenRequest) -> tuple[int, str] | None:
        if request.path != "/v2/embed":
            return 404, "not found"
        right = request.headers.get("authorization") == f"Bearer {KEY}"
        return None if right else (401, "invalid api token")

    def streams(self, request: SeenRequest) -> bool:
        return False

    def whole(self, request: SeenRequest) -> bytes:
        asked = request.json
        assert asked["input_type"] == "search_document"
        size = asked.get("output_dimension", 8)
        return compact(
            {
                "id": "embed_1",
                "texts": asked["texts"],
                "embeddings": {"float": [numbers(text, size) for text in asked["texts"]]},
                "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 7}},
            }
        )

    def events(self, request: SeenRequest) -> Iterator[bytes]:
        raise AssertionError("embeddings are not streamed")

    def refusal(self, status: int, message: str, kind: str) -> tuple[bytes, Mapping[str, str]]:
        return compact({"id": "x", "message": message}), {}

    def error_event(self) -> bytes:
        raise AssertionError("embeddings are not streamed")
