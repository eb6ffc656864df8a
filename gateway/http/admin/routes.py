"""The routes of ``/admin``, each with the least role that it takes."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request

from gateway.access.operators import OperatorRole
from gateway.domain.decision import Labels
from gateway.domain.identity import Role
from gateway.http.admin.asked import BanAsked, OperatorAsked, RotateAsked, UnloadAsked
from gateway.http.admin.gate import Gate, Least, visit_of
from gateway.http.admin.manners import PREFIX
from gateway.http.operations import Instant, KeyAsked, Label, Operations
from gateway.http.readiness import ReadinessState
from gateway.http.seen import (
    DecisionState,
    DesignationState,
    KeyState,
    LocalModel,
    ModelTargets,
    NewKey,
    NewOperator,
    OperatorState,
    PolicyInForce,
    Preview,
    Status,
    Toggled,
    Traffic,
    VendorState,
)
from gateway.policy.explain import Explanation

TAG = "operators"
Limit = Annotated[int, Query(ge=1, le=1000)]
Vendor = Annotated[str | None, Query(min_length=1, max_length=64)]
Minutes = Annotated[int, Query(ge=1, le=180)]
REFUSALS: dict[int | str, dict[str, Any]] = {
    401: {"description": "No operator's key, none that is good, or a session that is over."},
    403: {"description": "The role is not enough, or a session's change comes from elsewhere."},
    421: {"description": "The `Host` is none of this gateway's (`admin.hosts`)."},
    429: {"description": "Too many wrong keys from one peer."},
}
UNKNOWN: dict[int | str, dict[str, Any]] = {404: {"description": "There is none of that name."}}
CONFLICT: dict[int | str, dict[str, Any]] = {
    409: {"description": "It cannot be done as things stand: the message says why."}
}


def routers(operations: Operations, gate: Gate) -> tuple[APIRouter, ...]:
    """One for each role."""
    return (
        _viewer(operations, gate),
        _operator(operations, gate),
        _admin(operations, gate),
    )


def of_role(gate: Gate, role: OperatorRole) -> APIRouter:
    """A router whose routes take at least that role."""
    return APIRouter(
        prefix=PREFIX,
        tags=[TAG],
        dependencies=[Depends(Least(gate, role))],
        responses=REFUSALS,
    )


def _viewer(operations: Operations, gate: Gate) -> APIRouter:
    routes = of_role(gate, OperatorRole.VIEWER)
    _of_policy(routes, operations)
    _of_traffic(routes, operations)

    @routes.get("/status", summary="What runs, and what is in force")
    async def status() -> Status:
        return await operations.status()

    @routes.get("/targets", summary="Each model's targets, in the order of trying, with health")
    async def targets() -> list[ModelTargets]:
        return await operations.targets()

    @routes.get("/models", summary="The local models, and what they are at")
    async def models() -> list[LocalModel]:
        return await operations.models()

    @routes.get("/keys", summary="The keys of apps")
    async def keys() -> list[KeyState]:
        return await operations.keys()

    @routes.get("/operators", summary="The keys of operators")
    async def operators() -> list[OperatorState]:
        return await operations.operators()

    return routes


def _of_policy(routes: APIRouter, operations: Operations) -> None:
    @routes.get("/policy", summary="The policy in force")
    async def policy() -> PolicyInForce:
        return await operations.policy()

    @routes.get("/vendors", summary="How each vendor stands, and why")
    async def vendors() -> list[VendorState]:
        return await operations.vendors()

    @routes.get(
        "/vendors/{vendor}/preview",
        summary="What a ban of a vendor would move",
        responses={**UNKNOWN, **CONFLICT},
    )
    async def preview(vendor: str, roles: Annotated[list[Role] | None, Query()] = None) -> Preview:
        return await operations.preview(vendor, roles or ())

    @routes.get("/designations", summary="What was published about vendors")
    async def designations() -> list[DesignationState]:
        return await operations.designations()

    @routes.get(
        "/explain",
        summary="What would happen to a request, and which rule says so",
        responses=UNKNOWN,
    )
    async def explained(
        model: Annotated[str, Query(min_length=1, max_length=200)],
        team: Label | None = None,
        app: Label | None = None,
        environment: Label | None = None,
        data_class: Label | None = None,
        tag: Annotated[list[Label] | None, Query()] = None,
        at: Instant | None = None,
    ) -> Explanation:
        labels = Labels(team, app, environment, data_class, frozenset(tag or ()))
        return await operations.explain(model, labels, at)


def _of_traffic(routes: APIRouter, operations: Operations) -> None:
    @routes.get("/decisions", summary="The newest requests, and why they went where they did")
    async def decisions(limit: Limit = 50) -> list[DecisionState]:
        return await operations.decisions(limit)

    @routes.get("/audit", summary="The newest lines of the audit log")
    async def audit_tail(limit: Limit = 50) -> list[dict[str, Any]]:
        return await operations.audit_tail(limit)

    @routes.get("/traffic", summary="Where the newest requests were served")
    async def traffic(minutes: Minutes = 15) -> Traffic:
        return await operations.traffic(minutes)

    @routes.get(
        "/readiness",
        summary="If a vendor were banned now: what of the last day local could have served",
        responses={**UNKNOWN, **CONFLICT},
    )
    async def readiness(vendor: Vendor = None) -> ReadinessState:
        return await operations.readiness(vendor)


def _operator(operations: Operations, gate: Gate) -> APIRouter:
    routes = of_role(gate, OperatorRole.OPERATOR)

    @routes.post(
        "/vendors/{vendor}/ban",
        summary="Deny a vendor now, through every channel that resells it",
        responses={**UNKNOWN, **CONFLICT},
    )
    async def ban(vendor: str, asked: BanAsked, request: Request) -> Toggled:
        return await operations.ban(
            vendor,
            reason=asked.reason,
            authority=asked.authority,
            reference=asked.reference,
            until=asked.until,
            roles=asked.roles,
            actor=visit_of(request).actor,
        )

    @routes.delete(
        "/vendors/{vendor}/ban",
        summary="Take back a ban that was toggled",
        responses={**UNKNOWN, **CONFLICT},
    )
    async def unban(vendor: str, request: Request) -> Toggled:
        return await operations.unban(vendor, actor=visit_of(request).actor)

    @routes.post(
        "/models/{name}/load",
        summary="Have a local model in memory",
        responses={**UNKNOWN, **CONFLICT},
    )
    async def load(name: str, request: Request) -> LocalModel:
        return await operations.load(name, actor=visit_of(request).actor)

    @routes.post(
        "/models/{name}/unload",
        summary="Have a local model in memory no more, until it is asked for",
        responses={**UNKNOWN, **CONFLICT},
    )
    async def unload(name: str, asked: UnloadAsked, request: Request) -> LocalModel:
        return await operations.unload(name, cut=asked.cut, actor=visit_of(request).actor)

    return routes


def _admin(operations: Operations, gate: Gate) -> APIRouter:
    routes = of_role(gate, OperatorRole.ADMIN)

    @routes.post("/keys", status_code=201, summary="Make a key for an app")
    async def create_key(asked: KeyAsked, request: Request) -> NewKey:
        return await operations.create_key(asked, actor=visit_of(request).actor)

    @routes.delete("/keys/{id}", summary="End a key, now and for good", responses=UNKNOWN)
    async def revoke_key(id: str, request: Request) -> KeyState:
        return await operations.revoke_key(id, actor=visit_of(request).actor)

    @routes.post(
        "/keys/{id}/rotate",
        status_code=201,
        summary="Make another key with all that this one may",
        responses={**UNKNOWN, **CONFLICT},
    )
    async def rotate_key(id: str, asked: RotateAsked, request: Request) -> NewKey:
        overlap = timedelta(seconds=asked.overlap)
        return await operations.rotate_key(id, overlap=overlap, actor=visit_of(request).actor)

    @routes.post("/operators", status_code=201, summary="Make a key for an operator")
    async def create_operator(asked: OperatorAsked, request: Request) -> NewOperator:
        return await operations.create_operator(
            asked.name, asked.role, asked.expires, actor=visit_of(request).actor
        )

    @routes.delete(
        "/operators/{id}", summary="End an operator's key, now and for good", responses=UNKNOWN
    )
    async def revoke_operator(id: str, request: Request) -> OperatorState:
        return await operations.revoke_operator(id, actor=visit_of(request).actor)

    @routes.post(
        "/operators/{id}/rotate",
        status_code=201,
        summary="Make another key for an operator",
        responses={**UNKNOWN, **CONFLICT},
    )
    async def rotate_operator(id: str, asked: RotateAsked, request: Request) -> NewOperator:
        overlap = timedelta(seconds=asked.overlap)
        return await operations.rotate_operator(id, overlap=overlap, actor=visit_of(request).actor)

    return routes
