"""The paths of the OpenAI dialect that take plain texts: to go on with, or for their vectors."""

from __future__ import annotations

import time

from gateway.domain.call import Api, Call, Completion
from gateway.http.arrival import Arrival
from gateway.http.openai import OpenAIManners
from gateway.http.surface import Surface
from gateway.wire import openai_completions, openai_embeddings
from gateway.wire.openai_completions_answer import CompletionWriter
from gateway.wire.openai_embeddings_answer import EmbeddingWriter


class Completions(OpenAIManners, Surface):
    """``POST /v1/completions``."""

    api = Api.COMPLETIONS

    async def call(self, arrival: Arrival, body: bytes) -> Call:
        request = openai_completions.parse(body)
        return Call(
            id=arrival.id,
            api=self.api,
            model=request.model,
            stream=request.stream,
            body=body,
            asked=request.completion,
            received=arrival.received,
            deadline=arrival.deadline,
            labels=arrival.caller.labels,
            client_id=arrival.head.client_id,
            include_usage=request.include_usage,
            needs=request.needs,
            session=request.session,
        )

    def writer(self, call: Call) -> CompletionWriter:
        return CompletionWriter(
            id=f"cmpl-{call.id}",
            model=call.model,
            created=int(time.time()),
            include_usage=call.include_usage,
            scores=isinstance(call.task, Completion) and call.task.logprobs is not None,
        )


class Embeddings(OpenAIManners, Surface):
    """``POST /v1/embeddings``."""

    api = Api.EMBEDDINGS

    async def call(self, arrival: Arrival, body: bytes) -> Call:
        request = openai_embeddings.parse(body)
        return Call(
            id=arrival.id,
            api=self.api,
            model=request.model,
            stream=False,
            body=body,
            asked=request.embedding,
            received=arrival.received,
            deadline=arrival.deadline,
            labels=arrival.caller.labels,
            client_id=arrival.head.client_id,
            base64=request.base64,
            needs=openai_embeddings.NEEDS,
        )

    def writer(self, call: Call) -> EmbeddingWriter:
        return EmbeddingWriter(model=call.model, base64=call.base64)
