"""The paths of the OpenAI dialect that are relayed unread: moderations, audio, images, rerank."""

from __future__ import annotations

from collections.abc import Callable

from gateway.access.callers import Caller
from gateway.domain.call import Api, Call
from gateway.engine.routes import not_configured
from gateway.errors import InvalidRequest, ModelNotFound
from gateway.http.arrival import Arrival
from gateway.http.openai import OpenAIManners
from gateway.http.surface import Surface
from gateway.wire import openai_passing
from gateway.wire.writer import Writer


class Passed(OpenAIManners, Surface):
    """One of these paths. ``find`` raises ``ModelNotFound`` for a name that is not configured."""

    def __init__(self, api: Api, find: Callable[[str], object]) -> None:
        self.api = api
        self._find = find

    async def call(self, arrival: Arrival, body: bytes) -> Call:
        if sum(name == b"content-type" for name, _ in arrival.head.headers) > 1:
            raise InvalidRequest("There is more than one Content-Type.")
        kind = arrival.head.first(b"content-type") or b""
        request = openai_passing.parse(self.api, body, kind)
        if not request.named:
            self._check_default(arrival.caller, request.model)
        return Call(
            id=arrival.id,
            api=self.api,
            model=request.model,
            stream=request.stream,
            body=body,
            asked=request.task,
            received=arrival.received,
            deadline=arrival.deadline,
            labels=arrival.caller.labels,
            client_id=arrival.head.client_id,
            needs=frozenset({openai_passing.NEEDS[self.api]}),
            session=request.session,
        )

    def _check_default(self, caller: Caller, model: str) -> None:
        try:
            if not caller.may_ask(model):
                raise not_configured(model)
            self._find(model)
        except ModelNotFound:
            raise ModelNotFound(
                f"No model is named, and {model!r}, which this API takes then, is not configured "
                "on this gateway: name a model. GET /v1/models lists those that are.",
                param="model",
            ) from None

    def writer(self, call: Call) -> Writer:
        return Writer()
