"""The Responses API, in the OpenAI dialect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from gateway.http.openapi import parameters
from gateway.http.openapi.operation import (
    EVENTS,
    JSON,
    OF_OPENAI,
    OPENAI,
    Body,
    Operation,
    in_path,
    in_query,
)
from gateway.http.openapi.schemas import BOOLEAN, STRING, Schema, event, record, ref, word
from gateway.wire import openai_responses

_RESPONSE = Body(
    name="ResponseRequest",
    struct=openai_responses.Body,
    means=parameters.RESPONSES,
    ranges=openai_responses.BOUNDS,
    examples={
        "plain": {
            "model": "gpt-4o",
            "input": "What is the capital of France?",
            "max_output_tokens": 16,
        },
        "streamed": {
            "model": "gpt-4o",
            "instructions": "Be brief.",
            "input": [{"role": "user", "content": "What is the capital of France?"}],
            "max_output_tokens": 16,
            "stream": True,
        },
    },
    required={"model": {"minLength": 1}},
)

_COUNTED = replace(
    _RESPONSE,
    name="InputTokensRequest",
    examples={"plain": {"model": "gpt-4o", "input": "What is the capital of France?"}},
)
_ID = in_path("id", "The id of a response.", "resp_0123456789abcdef0123456789abcdef")
_STORED = (400, 401, 403, 404, 500, 503)


def _kept(
    method: str,
    path: str,
    id: str,
    summary: str,
    answers: Mapping[str, Schema],
    parameters: Sequence[Schema] = (),
) -> Operation:
    """Of a response that has been kept for whoever asks."""
    return Operation(
        method=method,
        path=f"/v1/responses/{{id}}{path}",
        id=id,
        summary=summary,
        text="",
        answers=answers,
        dialect=OPENAI,
        statuses=_STORED,
        parameters=(_ID, *parameters),
        asks=False,
    )


RESPONSES: tuple[Operation, ...] = (
    Operation(
        method="post",
        path="/v1/responses",
        id="createResponse",
        summary="Answer items, in the Responses API",
        text="With `stream` the answer is events from `response.created` to `response.completed`, "
        "`response.incomplete` or `response.failed`.",
        answers={JSON: ref("Response"), EVENTS: event(ref("ResponseEvent"), named=True)},
        dialect=OPENAI,
        statuses=OF_OPENAI,
        body=_RESPONSE,
    ),
    Operation(
        method="post",
        path="/v1/responses/input_tokens",
        id="countInputTokens",
        summary="Count the tokens of items",
        text="By a channel that has this API or, exactly for its own tokens, by the local model "
        "that would answer.",
        answers={JSON: ref("InputTokens")},
        dialect=OPENAI,
        statuses=OF_OPENAI,
        body=_COUNTED,
    ),
    _kept(
        "get",
        "",
        "retrieveResponse",
        "A response that has been kept",
        {JSON: ref("Response")},
        [in_query("stream", "Must be false: what is kept is complete.", BOOLEAN)],
    ),
    _kept(
        "delete",
        "",
        "deleteResponse",
        "Forget a response",
        {JSON: record({"id": STRING, "object": word("response.deleted"), "deleted": BOOLEAN})},
    ),
    _kept(
        "get",
        "/input_items",
        "listInputItems",
        "The items that a response answered",
        {JSON: ref("ItemList")},
        [
            in_query(
                "limit",
                "How many items a page has.",
                {"type": "integer", "minimum": 1, "maximum": 100, "default": 20},
            ),
            in_query("order", "The newest items first, or last.", word("asc", "desc")),
            in_query("after", "The item in front of the page.", STRING),
            in_query("before", "The item behind the page.", STRING),
        ],
    ),
    _kept("post", "/cancel", "cancelResponse", "Nothing runs in the background: 400", {}),
)
