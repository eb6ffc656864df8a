"""``/admin/session``: a browser's way to be an operator. The only path here that needs no key
before, since that is what it takes.
"""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, Request, Response

from gateway.access.operators import OperatorRole
from gateway.http.admin.asked import LoginAsked, SessionState
from gateway.http.admin.gate import Gate, Visit, visit_of
from gateway.http.admin.manners import PREFIX
from gateway.http.admin.routes import REFUSALS, TAG, of_role

LOGIN = f"{PREFIX}/session"

Noted = Callable[[str, Visit], None]
"""Is told what was done, and by whom."""


def routers(gate: Gate, noted: Noted) -> tuple[APIRouter, ...]:
    anybody = APIRouter(prefix=PREFIX, tags=[TAG], responses=REFUSALS)
    viewer = of_role(gate, OperatorRole.VIEWER)

    @anybody.post(
        "/session",
        summary="Begin a session: a cookie for an operator's key",
        openapi_extra={"x-anybody": True},
    )
    async def begin(asked: LoginAsked, request: Request, response: Response) -> SessionState:
        visit, (name, cookie) = gate.login(request.scope, asked.key)
        response.headers[name.decode()] = cookie.decode("latin-1")
        noted("login", visit)
        return _told(gate, visit)

    @viewer.get("/session", summary="Who asks")
    async def session(request: Request) -> SessionState:
        return _told(gate, visit_of(request))

    @viewer.delete("/session", summary="End the session", status_code=204)
    async def end(request: Request) -> Response:
        visit = visit_of(request)
        name, cookie = gate.logout(request.scope, visit)
        noted("logout", visit)
        return Response(status_code=204, headers={name.decode(): cookie.decode("latin-1")})

    return anybody, viewer


def _told(gate: Gate, visit: Visit) -> SessionState:
    return SessionState(
        actor=visit.actor.name,
        title=visit.actor.title,
        role=visit.actor.role,
        csrf=gate.token(visit),
        ends=None if visit.session is None else visit.session.ends,
    )
