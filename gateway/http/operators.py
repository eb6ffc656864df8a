"""``/admin``: what operators ask a running gateway. Read-only, and only for callers on this
machine: there are no operators' credentials yet, so the peer's address decides, never a header.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from datetime import UTC, datetime

from fastapi import APIRouter, Depends, HTTPException, Request

from gateway.domain.decision import Labels
from gateway.engine.loop import Engine
from gateway.http.state import State
from gateway.policy.explain import Explanation, explain


def router(engine: Engine, state: Callable[[], State]) -> APIRouter:
    routes = APIRouter(prefix="/admin", tags=["operators"], dependencies=[Depends(_local_only)])

    @routes.get("/status")
    async def status() -> State:
        return state()

    @routes.get("/explain")
    async def explained(model: str) -> Explanation:
        at = datetime.now(UTC)
        policy = engine.policy
        return explain(policy, engine.plan(model, at=at, policy=policy), model, Labels(), at)

    return routes


async def _local_only(request: Request) -> None:
    peer = request.client.host if request.client else ""
    try:
        local = ipaddress.ip_address(peer).is_loopback
    except ValueError:
        local = False
    if not local:
        # As for any path that is not there: who may not ask is not told what is.
        raise HTTPException(404)
