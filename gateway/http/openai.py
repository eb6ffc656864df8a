"""The paths of the OpenAI dialect."""

from __future__ import annotations

import time

from gateway.domain.call import Api, Call, Chat, Unread
from gateway.errors import GatewayError
from gateway.http.arrival import Arrival
from gateway.http.head import Header
from gateway.http.surface import Surface
from gateway.wire import openai_chat, openai_errors
from gateway.wire.openai_answer import ChatWriter


class OpenAIManners:
    """Implements ``Manners``."""

    def ids(self, request_id: str) -> list[Header]:
        id = request_id.encode()
        return [(b"x-gateway-request-id", id), (b"x-request-id", id)]

    def status(self, error: GatewayError) -> int:
        return error.status

    def envelope(self, error: GatewayError, request_id: str) -> bytes:
        return openai_errors.envelope(error)

    def event(self, error: GatewayError, request_id: str) -> bytes:
        return openai_errors.event(error)


class ChatCompletions(OpenAIManners, Surface):
    """``POST /v1/chat/completions``."""

    api = Api.CHAT

    async def call(self, arrival: Arrival, body: bytes) -> Call:
        request = openai_chat.parse(body)
        return Call(
            id=arrival.id,
            api=self.api,
            model=request.model,
            stream=request.stream,
            body=body,
            asked=request.asked,
            received=arrival.received,
            deadline=arrival.deadline,
            labels=arrival.caller.labels,
            client_id=arrival.head.client_id,
            include_usage=request.include_usage,
            functions=request.functions,
            needs=request.needs,
            session=request.session,
            alone=request.alone,
        )

    def writer(self, call: Call) -> ChatWriter:
        # What stands around the messages says it: they need not be read.
        asked = call.asked.around if isinstance(call.asked, Unread) else call.asked
        return ChatWriter(
            id=f"chatcmpl-{call.id}",
            model=call.model,
            created=int(time.time()),
            include_usage=call.include_usage,
            functions=call.functions,
            scores=isinstance(asked, Chat) and asked.logprobs is not None,
        )
