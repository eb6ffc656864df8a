"""The app factory: raw ASGI routes for the data plane inside a FastAPI app for all else."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway import __version__
from gateway.engine.loop import Engine
from gateway.errors import GatewayError, InvalidRequest, MethodNotAllowed, RouteNotFound
from gateway.http import metrics, models, operators, probes
from gateway.http.chat import ChatCompletions
from gateway.http.exchange import send_error
from gateway.http.state import State
from gateway.wire import openai_errors


class Services(Protocol):
    """What the app needs of a running gateway. ``lifespan`` starts and stops its parts."""

    @property
    def engine(self) -> Engine: ...

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

    data_plane: Mapping[str, Mapping[str, ASGIApp]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            routes = self.data_plane.get(scope["path"])
            if routes is not None:
                route = routes.get(scope["method"])
                if route is None:
                    allowed = ", ".join(sorted(routes))
                    error = MethodNotAllowed(
                        f"{scope['method']} is not allowed here: use {allowed}."
                    )
                    await send_error(send, error, [(b"allow", allowed.encode())])
                else:
                    await route(scope, receive, send)
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
    app.data_plane = {
        "/v1/chat/completions": {
            "POST": ChatCompletions(
                services.engine, max_body=services.max_body, deadline=services.deadline
            )
        }
    }
    app.include_router(probes.router(services.state))
    app.include_router(metrics.router(services.engine, services.state))
    app.include_router(operators.router(services.engine, services.state))
    app.include_router(models.router(services.engine))
    app.add_exception_handler(GatewayError, _on_gateway_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_validation)
    return app


def _response(error: GatewayError) -> Response:
    return Response(
        openai_errors.envelope(error), status_code=error.status, media_type="application/json"
    )


async def _on_gateway_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, GatewayError)  # noqa: S101 - what it is registered for
    return _response(error)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
    if error.status_code == 405:
        return _response(MethodNotAllowed(f"{request.method} is not allowed here."))
    if error.status_code == 404:
        path = f"{request.method} {request.url.path}"
        return _response(RouteNotFound(f"Unknown request URL: {path[:200]}."))
    return _response(InvalidRequest(str(error.detail)))


async def _on_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - what it is registered for
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"][1:])
    return _response(InvalidRequest(f"{name}: {first['msg']}.", param=name))
