"""``/livez`` and ``/readyz``, for whoever starts and restarts the process."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, Response

from gateway.http.state import State


def router(state: Callable[[], State]) -> APIRouter:
    """Liveness says that the process answers, readiness that it can serve."""
    routes = APIRouter(tags=["probes"])

    @routes.get("/livez")
    async def livez() -> dict[str, str]:
        return {"status": "alive"}

    # What servers of our own serve is the operators' to know.
    @routes.get("/readyz", responses={503: {"model": State}}, response_model_exclude={"sovereign"})
    async def readyz(response: Response) -> State:
        now = state()
        if now.status == "starting":
            response.status_code = 503
        return now

    return routes
