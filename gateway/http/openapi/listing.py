"""Lists of models, in both dialects."""

from __future__ import annotations

from gateway.http.openapi.operation import EITHER, JSON, Operation, in_path, in_query
from gateway.http.openapi.schemas import STRING, Schema, ref

_MODEL = in_path("model", "A configured name; it may hold slashes.", "gpt-4o")
_VERSION: Schema = {
    "name": "anthropic-version",
    "in": "header",
    "required": False,
    "description": "Where it is there, the answer and its errors are in the Anthropic dialect.",
    "schema": STRING,
}

MODELS: tuple[Operation, ...] = (
    Operation(
        method="get",
        path="/v1/models",
        id="listModels",
        summary="What may be asked for, and what would answer now",
        text="Configured names; patterns are left out. Only the Anthropic dialect has pages.",
        answers={JSON: {"anyOf": [ref("ModelList"), ref("AnthropicModelPage")]}},
        dialect=EITHER,
        statuses=(400, 401, 403, 500),
        asks=False,
        parameters=(
            _VERSION,
            in_query(
                "limit",
                "How many names a page has.",
                {"type": "integer", "minimum": 1, "maximum": 1000, "default": 20},
            ),
            in_query("after_id", "The name in front of the page.", STRING),
            in_query("before_id", "The name behind the page.", STRING),
        ),
    ),
    Operation(
        method="get",
        path="/v1/models/{model}",
        id="retrieveModel",
        summary="What would answer for a model now",
        text="",
        answers={JSON: {"anyOf": [ref("Model"), ref("AnthropicModel")]}},
        dialect=EITHER,
        statuses=(400, 401, 403, 404, 500),
        asks=False,
        parameters=(_MODEL, _VERSION),
    ),
)
