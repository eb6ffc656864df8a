"""The paths of the Anthropic dialect. What an app sends as its key, and which version of the API it
names, makes no difference here.
"""

from __future__ import annotations

import re

from starlette.types import Scope

from gateway.domain.call import Api, Call, Counting
from gateway.errors import GatewayError
from gateway.http.arrival import Arrival
from gateway.http.head import Head, Header, header
from gateway.http.surface import Surface
from gateway.wire import anthropic_errors, anthropic_messages
from gateway.wire.anthropic_answer import CountWriter, MessageWriter

MOST_BETAS = 64
_BETAS = b"anthropic-beta"
_VERSION = b"anthropic-version"
_BETA = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")


class AnthropicManners:
    """Implements ``Manners``."""

    def ids(self, request_id: str) -> list[Header]:
        id = request_id.encode()
        return [(b"x-gateway-request-id", id), (b"request-id", id)]

    def status(self, error: GatewayError) -> int:
        return anthropic_errors.status(error)

    def envelope(self, error: GatewayError, request_id: str) -> bytes:
        return anthropic_errors.envelope(error, request_id)

    def event(self, error: GatewayError, request_id: str) -> bytes:
        return anthropic_errors.event(error, request_id)


class Messages(AnthropicManners, Surface):
    """``POST /v1/messages``."""

    api = Api.MESSAGES

    async def call(self, arrival: Arrival, body: bytes) -> Call:
        request = anthropic_messages.parse(body)
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
            include_usage=True,
            discreet=request.discreet,
            needs=request.needs,
            session=request.user,
            betas=betas(arrival.head),
            alone=request.alone,
        )

    def writer(self, call: Call) -> MessageWriter:
        return MessageWriter(id=f"msg_{call.id}", model=call.model, discreet=call.discreet)


class CountTokens(AnthropicManners, Surface):
    """``POST /v1/messages/count_tokens``."""

    api = Api.COUNT_TOKENS

    async def call(self, arrival: Arrival, body: bytes) -> Call:
        request = anthropic_messages.parse(body, counting=True)
        return Call(
            id=arrival.id,
            api=self.api,
            model=request.model,
            stream=False,
            body=body,
            asked=Counting(request.chat),
            received=arrival.received,
            deadline=arrival.deadline,
            labels=arrival.caller.labels,
            client_id=arrival.head.client_id,
            needs=request.needs,
            session=request.user,
            betas=betas(arrival.head),
        )

    def writer(self, call: Call) -> CountWriter:
        return CountWriter(id=call.id, model=call.model)


def speaks_anthropic(scope: Scope) -> bool:
    """Whether a request of a path that all dialects share comes from one of its SDKs."""
    path: str = scope["path"]
    return header(scope, _VERSION) is not None or path.startswith("/v1/messages")


def betas(head: Head) -> tuple[str, ...]:
    """What the app names in ``anthropic-beta``: words only, so that nothing else can be sent on by
    that way. Others are left out.
    """
    lines = [value.decode("latin-1") for name, value in head.headers if name == _BETAS]
    words = (word.strip() for line in lines for word in line.split(","))
    return tuple(dict.fromkeys(word for word in words if _BETA.match(word)))[:MOST_BETAS]
