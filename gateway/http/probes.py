"""``/livez`` and ``/readyz``, for whoever starts and restarts the process."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, Request, Response
from starlette.types import Scope

from gateway.http.state import Readiness, Standing, State


def router(state: Callable[[], State], near: Callable[[Scope], bool]) -> APIRouter:
    """Liveness says that the process answers, readiness that it can serve; why not, and what runs,
    only to who is ``near``.
    """
    routes = APIRouter(tags=["probes"])

    @routes.get("/livez", summary="Whether the process answers")
    async def livez() -> dict[str, str]:
        return {"status": "alive"}

    starting = {
        "model": Readiness | Standing,
        "description": "Local models are still being loaded.",
    }

    @routes.get(
        "/readyz",
        summary="Whether it can serve",
        response_model=Readiness | Standing,
        responses={503: starting},
    )
    async def readyz(request: Request, response: Response) -> Standing:
        now = state()
        if now.status == "starting":
            response.status_code = 503
        return now if near(request.scope) else Standing(status=now.status)

    return routes
