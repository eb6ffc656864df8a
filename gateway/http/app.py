"""The app factory: raw ASGI routes for the data plane inside a FastAPI app for all else."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol
from urllib.parse import quote

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from gateway import __version__
from gateway.access.callers import Access, Caller
from gateway.access.entrance import Entrance
from gateway.audit.happening import ANYBODY, Happening
from gateway.audit.journal import Journal
from gateway.engine.loop import Engine
from gateway.errors import (
    GatewayError,
    InternalFault,
    InvalidRequest,
    MethodNotAllowed,
    RouteNotFound,
    Unauthenticated,
)
from gateway.http import drills, kept_responses, metrics, models, probes
from gateway.http.admin import routes, session
from gateway.http.admin.entry import Entry
from gateway.http.admin.gate import Gate, Names, Visit
from gateway.http.anthropic import CountTokens, Messages
from gateway.http.console.routes import router as console
from gateway.http.console.seats import Seats
from gateway.http.cors import Pages
from gateway.http.door import Door
from gateway.http.exchange import ClientGone, told_of
from gateway.http.generate import Generate
from gateway.http.head import Head, Header, peer
from gateway.http.ids import new_id, told
from gateway.http.kept_responses import KeptResponses
from gateway.http.openai import ChatCompletions
from gateway.http.openapi.document import document, of_paths
from gateway.http.operations import Operations
from gateway.http.other import ID, Answer, asked_by, manners_of, open_to_all, tidied, unknown
from gateway.http.passing import Passed
from gateway.http.quotas import Quotas
from gateway.http.responses import InputTokens, Responses
from gateway.http.state import State
from gateway.http.surface import Runs, Surface
from gateway.http.texts import Completions, Embeddings
from gateway.wire.openai_passing import NEEDS


class Services(Protocol):
    """What the app needs of a running gateway. ``lifespan`` starts and stops its parts."""

    @property
    def engine(self) -> Engine: ...

    @property
    def asked(self) -> Runs:
        """Who has the apps' calls served."""
        ...

    @property
    def access(self) -> Access: ...

    @property
    def quotas(self) -> Quotas: ...

    @property
    def journal(self) -> Journal: ...

    @property
    def pages(self) -> Pages | None: ...

    @property
    def responses(self) -> KeptResponses: ...

    @property
    def operations(self) -> Operations: ...

    @property
    def entrance(self) -> Entrance: ...

    @property
    def names(self) -> Names:
        """Those by which operators come."""
        ...

    @property
    def apart(self) -> int | None:
        """The port of what is for operators, where that is another than the apps'."""
        ...

    @property
    def max_body(self) -> int:
        """Bytes."""
        ...

    @property
    def deadline(self) -> float:
        """Seconds."""
        ...

    def state(self) -> State: ...

    async def scrape(self, accept: str) -> tuple[bytes, str]:
        """All metrics, in the format that a header ``Accept`` prefers, and its media type."""
        ...

    def lifespan(self) -> AbstractAsyncContextManager[None]: ...


class GatewayApp(FastAPI):
    """FastAPI, but for the paths of the data plane, which go straight to raw ASGI: measured,
    FastAPI's own body handling and middleware cost more than the whole relay.
    """

    door: Door
    journal: Journal
    data_plane: Mapping[str, Generate] = {}
    entry: Entry

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            self.openapi_schema = document(self)
        return self.openapi_schema

    def straight(self, port: int | None) -> Mapping[bytes, Generate]:
        """As ``gateway.http.straight.Straight`` asks: by their paths as they are usually sent."""
        if not self.entry.has_data_plane(port):
            return {}
        return {path.encode(): route for path, route in self.data_plane.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        route = self.data_plane.get(scope["path"])
        if route is not None and scope["method"] == "POST" and self.entry.is_here(scope):
            await route(scope, receive, send)
            return
        path = tidied(scope["path"])
        if path != scope["path"]:
            await self({**scope, "path": path, "raw_path": quote(path).encode()}, receive, send)
            return
        await self._other(scope, receive, send)

    async def _other(self, scope: Scope, receive: Receive, send: Send) -> None:
        """All that is no generation: what is asked seldom, or wrongly."""
        scope = {**scope, ID: new_id()}
        method = scope["method"]
        allowed = self._methods(scope)
        head = Head.of(scope)
        ids = told(manners_of(scope), scope[ID], head.names)
        answer = Answer(send, ids, body=method != "HEAD", last=head.expects)
        without = open_to_all(scope["path"]) or self.entry.describes(scope)
        try:
            receive = await self.entry.let_in(scope, receive, answer.add)
            # A browser asks what it may send before it sends a key.
            if method != "OPTIONS" and not without:
                scope = asked_by(scope, self.door.who(head, datetime.now(UTC)))
        except ClientGone:
            return
        except GatewayError as refused:
            # Of an operator's key the gate tells, as often as it answers.
            if isinstance(refused, Unauthenticated) and not without:
                self._note(scope, refused)
            await answer.error(scope, refused)
            return
        if method == "HEAD" and "GET" in allowed:
            await super().__call__({**scope, "method": "GET"}, receive, answer)
        elif method in allowed:
            await super().__call__(scope, receive, answer)
        elif not allowed:
            await answer.error(scope, RouteNotFound(unknown(method, scope["path"])))
        elif method == "OPTIONS":
            await answer.nothing([_allow(allowed)])
        else:
            words = ", ".join(sorted(allowed))
            error = MethodNotAllowed(f"{method[:32]} is not allowed here: use {words}.")
            await answer.error(scope, error, [_allow(allowed)])

    def _note(self, scope: Scope, refused: Unauthenticated) -> None:
        """Whoever tries keys leaves a trace, also where no model is asked."""
        now, why = datetime.now(UTC), refused.code or refused.type
        self.journal.happened(Happening("key.refused", now, subject=peer(scope), reason=why))

    def _methods(self, scope: Scope) -> frozenset[str]:
        """What a path can be asked with."""
        if scope["path"] in self.data_plane:
            return frozenset({"POST"})
        asked = {**scope, "app": self, "router": self.router}
        return frozenset(
            method
            for method in _METHODS
            for route in self.routes
            if route.matches({**asked, "method": method})[0] is Match.FULL
        )


_METHODS = ("DELETE", "GET", "POST")


def _allow(methods: frozenset[str]) -> Header:
    more = {"OPTIONS", "HEAD"} if "GET" in methods else {"OPTIONS"}
    return b"allow", ", ".join(sorted(methods | more)).encode()


def create_app(services: Services) -> GatewayApp:
    """The ASGI app of one serving process. No work is done before its lifespan starts."""
    app = GatewayApp(
        title="Sovereign Gateway",
        version=__version__,
        lifespan=lambda _: services.lifespan(),
        openapi_url=None,
    )
    pages = services.pages
    app.door = door = Door(services.access, () if pages is None else pages.origins)
    app.journal = journal = services.journal

    def refused(address: str, why: str) -> None:
        now = datetime.now(UTC)
        journal.happened(Happening("operator.refused", now, subject=address, reason=why))

    def looked(what: str, id: str, caller: Caller) -> None:
        actor = ANYBODY if caller.key is None else f"key:{caller.key.id}"
        journal.happened(Happening(f"response.{what}", datetime.now(UTC), actor, id))

    def noted(what: str, visit: Visit) -> None:
        journal.happened(Happening(f"operator.{what}", datetime.now(UTC), actor=visit.actor.name))

    gate = Gate(services.entrance, services.names, refused)
    app.entry = Entry(gate, door.near, services.apart)
    app.data_plane = _data_plane(services, door)
    app.include_router(probes.router(services.state, door.near))
    app.include_router(metrics.router(services.scrape))
    for router in (
        *routes.routers(services.operations, gate),
        *drills.routers(services.operations, gate),
        *session.routers(gate, noted),
    ):
        app.include_router(router)
    seats = Seats(gate, lambda: services.entrance.made(), noted)
    app.include_router(console(services.operations, seats))
    app.include_router(_described(app))
    app.include_router(models.router(services.engine))
    app.include_router(kept_responses.router(services.responses, looked))
    app.add_exception_handler(GatewayError, _on_gateway_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(Exception, _on_fault)
    return app


def _data_plane(services: Services, door: Door) -> Mapping[str, Generate]:
    """The paths that a model answers."""
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
    return {
        path: Generate(
            services.asked,
            door,
            services.quotas,
            services.journal,
            surface,
            max_body=services.max_body,
            deadline=services.deadline,
        )
        for path, surface in surfaces.items()
    }


def _described(app: GatewayApp) -> APIRouter:
    """``/openapi.json``: of what is there for whoever asks."""
    routes = APIRouter()

    @routes.get("/openapi.json", include_in_schema=False)
    async def openapi(request: Request) -> Response:
        there = partial(app.entry.is_there, request.scope)
        return JSONResponse(of_paths(app.openapi(), there))

    return routes


def _response(request: Request, error: GatewayError) -> Response:
    """In the dialect of whoever asks; the ids are told by ``Answer``."""
    manners = manners_of(request.scope)
    return Response(
        manners.envelope(error, request.scope[ID]),
        status_code=manners.status(error),
        headers={name.decode(): value.decode() for name, value in told_of(error)},
        media_type="application/json",
    )


async def _on_gateway_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, GatewayError)  # noqa: S101 - what it is registered for
    return _response(request, error)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
    if error.status_code == 404:
        return _response(request, RouteNotFound(unknown(request.method, request.scope["path"])))
    return _response(request, InvalidRequest(str(error.detail)))


async def _on_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - what it is registered for
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"][1:])
    return _response(request, InvalidRequest(f"{name}: {first['msg']}.", param=name))


async def _on_fault(request: Request, error: Exception) -> Response:
    """It is raised again behind the answer, and logged by the server."""
    return _response(request, InternalFault(f"Internal error; request id {request.scope[ID]}."))
