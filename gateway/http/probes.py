"""``/livez`` and ``/readyz``, for whoever starts and restarts the process."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, Response

from gateway.http.state import Readiness, State


def router(state: Callable[[], State]) -> APIRouter:
    """Liveness says that the process answers, readiness that it can serve."""
    routes = APIRouter(tags=["probes"])

    @routes.get("/livez", summary="Whether the process answers")
    async def livez() -> dict[str, str]:
        return {"status": "alive"}

    starting = {"model": Readiness, "description": "Local models are still being loaded."}

    @routes.get(
        "/readyz",
        summary="Whether it can serve",
        response_model=Readiness,
        responses={503: starting},
    )
    async def readyz(response: Response) -> State:
        now = state()
        if now.status == "starting":
            response.status_code = 503
        return now

    return routes
