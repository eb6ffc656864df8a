"""``GET /metrics``: what Prometheus is told of this serving process."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, Response

from gateway.engine.loop import Engine
from gateway.http.state import State
from gateway.telemetry.metrics import MEDIA_TYPE, Metrics, Reading

_UP = {"up": True, "down": False, "unknown": None}


def router(engine: Engine, state: Callable[[], State]) -> APIRouter:
    routes = APIRouter(tags=["probes"])
    kept = Metrics(lambda: _reading(engine, state()))

    @routes.get(
        "/metrics",
        summary="What Prometheus is told",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def metrics() -> Response:
        return Response(kept.text(), media_type=MEDIA_TYPE)

    return routes


def _reading(engine: Engine, state: State) -> Reading:
    targets = {target.id: target for route in engine.routes.all() for target in route.targets}
    return Reading(
        local={model.name: model.ready for model in state.local_models},
        targets={name: engine.ready(target) for name, target in targets.items()},
        servers={server.channel: _UP[server.standing] for server in state.sovereign},
        lacking=engine.lacking,
        unmet=engine.unmet,
        degraded=state.policy.problem is not None,
        outdated=state.configuration.problem is not None,
    )
