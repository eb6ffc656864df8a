"""The app factory: raw ASGI routes for the data plane inside a FastAPI app for all else."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from gateway import __version__
from gateway.engine.loop import Engine
from gateway.errors import GatewayError, InvalidRequest, MethodNotAllowed, RouteNotFound
from gateway.http import kept_responses, metrics, models, operators, probes
from gateway.http.anthropic import AnthropicManners, CountTokens, Messages, speaks_anthropic
from gateway.http.exchange import Manners, send_error
from gateway.http.generate import Generate, Surface
from gateway.http.kept_responses import KeptResponses
from gateway.http.openai import ChatCompletions, OpenAIManners
from gateway.http.passing import Passed
from gateway.http.responses import InputTokens, Responses
from gateway.http.state import State
from gateway.http.texts import Completions, Embeddings
from gateway.wire.openai_passing import NEEDS


class Services(Protocol):
    """What the app needs of a running gateway. ``lifespan`` starts and stops its parts."""

    @property
    def engine(self) -> Engine: ...

    @property
    def responses(self) -> KeptResponses: ...

    @property
    def max_body(self) -> int:
        """Bytes."""
        ...

    @property
    def deadline(self) -> float:
        """Seconds."""
        ...

    def state(self) -> State: ...

    def lifespan(self) -> AbstractAsyncContextManager[None]: ...


class GatewayApp(FastAPI):
    """FastAPI, but for the paths of the data plane, which go straight to raw ASGI: measured,
    FastAPI's own body handling and middleware cost more than the whole relay.
    """

    data_plane: Mapping[str, Generate] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            route = self.data_plane.get(scope["path"])
            if route is not None:
                if scope["method"] == "POST":
                    await route(scope, receive, send)
                else:
                    error = MethodNotAllowed(f"{scope['method']} is not allowed here: use POST.")
                    id = uuid.uuid4().hex
                    await send_error(send, route.surface, error, id, [(b"allow", b"POST")])
                return
        await super().__call__(scope, receive, send)


def create_app(services: Services) -> GatewayApp:
    """The ASGI app of one serving process. No work is done before its lifespan starts."""
    app = GatewayApp(
        title="Sovereign Gateway",
        version=__version__,
        lifespan=lambda _: services.lifespan(),
        docs_url=None,
        redoc_url=None,
    )
    surfaces: Mapping[str, Surface] = {
        "/v1/chat/completions": ChatCompletions(),
        "/v1/completions": Completions(),
        "/v1/embeddings": Embeddings(),
        "/v1/responses": Responses(services.responses),
        "/v1/responses/input_tokens": InputTokens(services.responses),
        "/v1/messages": Messages(),
        "/v1/messages/count_tokens": CountTokens(),
        **{
            f"/v1/{api}": Passed(api, lambda model: services.engine.routes.find(model))
            for api in NEEDS
        },
    }
    app.data_plane = {
        path: Generate(
            services.engine, surface, max_body=services.max_body, deadline=services.deadline
        )
        for path, surface in surfaces.items()
    }
    app.include_router(probes.router(services.state))
    app.include_router(metrics.router(services.engine, services.state))
    app.include_router(operators.router(services.engine, services.state))
    app.include_router(models.router(services.engine))
    app.include_router(kept_responses.router(services.responses))
    app.add_exception_handler(GatewayError, _on_gateway_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_validation)
    return app


def _response(request: Request, error: GatewayError) -> Response:
    """In the dialect of whoever asks: only SDKs of one of them send that header."""
    manners: Manners = AnthropicManners() if speaks_anthropic(request.scope) else OpenAIManners()
    id = uuid.uuid4().hex
    headers = {name.decode(): value.decode() for name, value in manners.ids(id)}
    headers["x-should-retry"] = "true" if error.again else "false"
    return Response(
        manners.envelope(error, id),
        status_code=manners.status(error),
        headers=headers,
        media_type="application/json",
    )


async def _on_gateway_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, GatewayError)  # noqa: S101 - what it is registered for
    return _response(request, error)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
    if error.status_code == 405:
        return _response(request, MethodNotAllowed(f"{request.method} is not allowed here."))
    if error.status_code == 404:
        path = f"{request.method} {request.url.path}"
        return _response(request, RouteNotFound(f"Unknown request URL: {path[:200]}."))
    return _response(request, InvalidRequest(str(error.detail)))


async def _on_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - what it is registered for
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"][1:])
    return _response(request, InvalidRequest(f"{name}: {first['msg']}.", param=name))
