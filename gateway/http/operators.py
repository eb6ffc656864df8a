"""``/admin``: what operators ask a running gateway. Read-only, and only for callers on this
machine: there are no operators' credentials yet, so the peer's address decides, never a header.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from datetime import UTC, datetime

from fastapi import APIRouter, Depends, HTTPException, Request
from starlette.types import Scope

from gateway.domain.decision import Labels
from gateway.engine.loop import Engine
from gateway.http.state import State
from gateway.policy.explain import Explanation, explain

_PREFIX = "/admin"


def router(engine: Engine, state: Callable[[], State]) -> APIRouter:
    routes = APIRouter(
        prefix=_PREFIX,
        tags=["operators"],
        dependencies=[Depends(_local_only)],
        responses={404: {"description": "Not there for callers of other machines."}},
    )

    @routes.get("/status", summary="What runs, and what is in force")
    async def status() -> State:
        return state()

    @routes.get("/explain", summary="What would happen to a request, and which rule says so")
    async def explained(model: str) -> Explanation:
        at = datetime.now(UTC)
        policy = engine.policy
        return explain(policy, engine.plan(model, at=at, policy=policy), model, Labels(), at)

    return routes


def hides(scope: Scope) -> bool:
    """Whether a path is not there for the one who asks."""
    return scope["path"].startswith(_PREFIX) and not _asked_here(scope)


def _asked_here(scope: Scope) -> bool:
    peer = scope["client"][0] if scope.get("client") else ""
    try:
        return ipaddress.ip_address(peer).is_loopback
    except ValueError:
        return False


async def _local_only(request: Request) -> None:
    if not _asked_here(request.scope):
        # As for any path that is not there: who may not ask is not told what is.
        raise HTTPException(404)
