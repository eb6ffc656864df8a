"""``GET /metrics``: what Prometheus is told of the gateway, whichever serving process is asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Request, Response


def router(scrape: Callable[[str], Awaitable[tuple[bytes, str]]]) -> APIRouter:
    """``scrape`` takes the header ``Accept``, and gives a text and its media type."""
    routes = APIRouter(tags=["probes"])

    @routes.get(
        "/metrics",
        summary="What Prometheus is told",
        response_class=Response,
        responses={
            200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
            401: {"description": "Metrics are for this machine and for operators."},
            429: {"description": "Too many wrong keys from one peer."},
        },
        openapi_extra={"security": [{}, {"operator": []}]},
    )
    async def metrics(request: Request) -> Response:
        text, media = await scrape(request.headers.get("accept", ""))
        return Response(text, headers={"content-type": media})

    return routes
