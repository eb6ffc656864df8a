"""The Responses API, in the OpenAI dialect."""

from __future__ import annotations

from gateway.http.openapi import parameters
from gateway.http.openapi.operation import EVENTS, JSON, OF_OPENAI, OPENAI, Body, Operation
from gateway.http.openapi.schemas import event, ref
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
)
