"""``GET /v1/models``: what may be asked for, and what would answer now."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from gateway.engine.loop import Engine
from gateway.errors import ModelNotFound

_CREATED = 0
"""The API demands a time of creation; a configured name has none."""


def router(engine: Engine) -> APIRouter:
    """Lists the configured names; patterns are not names and are left out."""
    routes = APIRouter(prefix="/v1/models", tags=["models"])

    @routes.get("")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [_row(engine, name) for name in engine.routes.exact]}

    @routes.get("/{model:path}")
    async def model(model: str) -> dict[str, Any]:
        if model not in engine.routes.exact:
            raise ModelNotFound(f"The model {model[:200]!r} is not configured.", param="model")
        return _row(engine, model)

    return routes


def _row(engine: Engine, model: str) -> dict[str, Any]:
    plan = engine.plan(model)
    serves = plan.steps[0].target if plan.steps else None
    return {
        "id": model,
        "object": "model",
        "created": _CREATED,
        "owned_by": serves.identity.developer if serves else "nobody",
        "locality": serves.locality if serves else None,
        "served_by": serves.id if serves else None,
        "first_choice": serves is not None and serves.id == plan.first,
    }
