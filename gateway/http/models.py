"""``GET /v1/models``: what may be asked for, and what would answer now. Of two dialects, by the
headers of whoever asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from gateway.access.callers import Caller
from gateway.engine.loop import Engine
from gateway.errors import InvalidRequest, ModelNotFound
from gateway.http.anthropic import speaks_anthropic
from gateway.http.other import caller_of
from gateway.wire import paging

_CREATED = 0
"""The OpenAI API demands a time of creation; a configured name has none."""
_CREATED_AT = "1970-01-01T00:00:00Z"
"""As the Anthropic API says it where the date is not known."""
_PAGE = 20
_LONGEST_PAGE = 1000


def router(engine: Engine) -> APIRouter:
    """Lists the configured names that whoever asks may use; patterns are not names and are left
    out.
    """
    routes = APIRouter(prefix="/v1/models", tags=["models"])

    @routes.get("")
    async def models(
        request: Request,
        limit: Annotated[int, Query(ge=1, le=_LONGEST_PAGE)] = _PAGE,
        after_id: str | None = None,
        before_id: str | None = None,
    ) -> dict[str, Any]:
        caller = caller_of(request.scope)
        names = [name for name in engine.routes.exact if caller.may_ask(name)]
        if not speaks_anthropic(request.scope):
            return {"object": "list", "data": [_row(engine, caller, name) for name in names]}
        names, more = _page(names, limit, after_id, before_id)
        return {
            "data": [_anthropic_row(engine, caller, name) for name in names],
            "first_id": names[0] if names else None,
            "last_id": names[-1] if names else None,
            "has_more": more,
        }

    @routes.get("/{model:path}")
    async def model(request: Request, model: str) -> dict[str, Any]:
        caller = caller_of(request.scope)
        if model not in engine.routes.exact or not caller.may_ask(model):
            raise ModelNotFound(f"The model {model[:200]!r} is not configured.", param="model")
        row = _anthropic_row if speaks_anthropic(request.scope) else _row
        return row(engine, caller, model)

    return routes


def _page(
    names: Sequence[str], limit: int, after: str | None, before: str | None
) -> tuple[list[str], bool]:
    """The names of a page, and whether there are more in the direction that is asked for."""
    for param, cursor in (("after_id", after), ("before_id", before)):
        if cursor is not None and cursor not in names:
            raise InvalidRequest(f"{param}: {cursor[:200]!r} is not configured.", param=param)
    place, more = paging.page(names, limit, after, before)
    return list(names[place]), more


def _row(engine: Engine, caller: Caller, model: str) -> dict[str, Any]:
    return {
        "id": model,
        "object": "model",
        "created": _CREATED,
        **_standing(engine, caller, model),
    }


def _anthropic_row(engine: Engine, caller: Caller, model: str) -> dict[str, Any]:
    return {
        "type": "model",
        "id": model,
        "display_name": model,
        "created_at": _CREATED_AT,
        "lifecycle": "active",
        **_standing(engine, caller, model),
    }


def _standing(engine: Engine, caller: Caller, model: str) -> dict[str, Any]:
    """What would answer whoever asks now."""
    plan = engine.plan(model, labels=caller.labels)
    serves = plan.steps[0].target if plan.steps else None
    return {
        "owned_by": serves.identity.developer if serves else "nobody",
        "locality": serves.locality if serves else None,
        "served_by": serves.id if serves else None,
        "first_choice": serves is not None and serves.id == plan.first,
    }
