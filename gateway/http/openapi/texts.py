"""Plain texts, in the OpenAI dialect."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.http.openapi import parameters
from gateway.http.openapi.chats import DONE
from gateway.http.openapi.operation import EVENTS, JSON, OF_OPENAI, OPENAI, Body, Operation
from gateway.http.openapi.schemas import Schema, event, ref
from gateway.wire import openai_completions, openai_embeddings

_MODEL: Mapping[str, Schema] = {"model": {"minLength": 1}}

_COMPLETION = Body(
    name="CompletionRequest",
    struct=openai_completions.BODY,
    means=parameters.COMPLETIONS,
    ranges=openai_completions.BOUNDS,
    examples={
        "plain": {"model": "gpt-4o", "prompt": "The capital of France is", "max_tokens": 4},
        "streamed": {
            "model": "gpt-4o",
            "prompt": ["One, two,", "Red, green,"],
            "max_tokens": 4,
            "stream": True,
        },
    },
    required=_MODEL,
)

_EMBEDDING = Body(
    name="EmbeddingRequest",
    struct=openai_embeddings.BODY,
    means=parameters.EMBEDDINGS,
    ranges=openai_embeddings.BOUNDS,
    examples={"plain": {"model": "text-embedding-3-small", "input": ["Paris", "France"]}},
    required=_MODEL,
)

TEXTS: tuple[Operation, ...] = (
    Operation(
        method="post",
        path="/v1/completions",
        id="createCompletion",
        summary="Go on with texts",
        text="Parameters that are not listed are passed on to vendors that speak the dialect, and "
        "are ignored by others. " + DONE.format(chunk="Completion"),
        answers={
            JSON: ref("Completion"),
            EVENTS: event(ref("Completion"), ref("OpenAIError")),
        },
        dialect=OPENAI,
        statuses=OF_OPENAI,
        body=_COMPLETION,
    ),
    Operation(
        method="post",
        path="/v1/embeddings",
        id="createEmbedding",
        summary="Vectors of texts",
        text="Never of another vector space than that of the model's first target, but for targets "
        "that the configuration calls equivalent.",
        answers={JSON: ref("EmbeddingList")},
        dialect=OPENAI,
        statuses=OF_OPENAI,
        body=_EMBEDDING,
    ),
)
