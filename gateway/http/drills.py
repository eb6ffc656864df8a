"""``/admin/drill`` and ``/admin/drills``: practising a ban, by whoever may ban."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Protocol

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, StrictBool

from gateway.access.operators import Actor, OperatorRole
from gateway.domain.drill import Drill
from gateway.domain.drilled import End, Held, Moved, Report
from gateway.domain.identity import Role
from gateway.http.admin.gate import Gate, visit_of
from gateway.http.admin.routes import CONFLICT, UNKNOWN, Limit, of_role
from gateway.http.operations import Label, Operations

LONGEST = 24 * 60
"""Minutes."""
MOST_A_SECOND = 50
_SHOWN = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"
"""Words, and nothing that a terminal obeys."""


class DrillAsked(BaseModel):
    """``roles`` empty: as a channel and as a developer. ``apps`` empty: all. With a ``rate`` no
    app's request is touched, and the gateway asks by itself, so many times a second. ``strict``
    lets apps see what they would under a ban; without it the vendor answers what nobody else can.
    """

    model_config = ConfigDict(extra="forbid")

    vendor: Annotated[str, Field(min_length=1, max_length=100)]
    reason: Annotated[str, Field(min_length=1, max_length=2000, pattern=_SHOWN)]
    minutes: Annotated[float, Field(gt=0, le=LONGEST)] = 5
    share: Annotated[float, Field(gt=0, le=1)] = 1
    apps: list[Label] = Field(default_factory=list)
    rate: Annotated[float | None, Field(gt=0, le=MOST_A_SECOND)] = None
    strict: StrictBool = False
    roles: list[Role] = Field(default_factory=list)


@dataclass(frozen=True, slots=True)
class DrillState:
    """A drill that runs (without an ``end``) or was. ``moved`` are the configured models that the
    ban would move; ``verdict`` and ``share`` are of its report, where there is one.
    """

    drill: Drill
    end: End | None
    moved: tuple[Moved, ...]
    verdict: Held | None
    share: float | None


class Drilling(Protocol):
    """Raises as ``Operations`` do."""

    async def running(self) -> DrillState | None: ...

    async def start(self, asked: DrillAsked, actor: Actor) -> DrillState:
        """All serving processes have it when this returns."""
        ...

    async def stop(self, actor: Actor) -> DrillState: ...

    async def newest(self, most: int) -> list[DrillState]:
        """The one that runs first."""
        ...

    async def report(self, id: str) -> Report:
        """As far as things are known now."""
        ...


def routers(operations: Operations, gate: Gate) -> tuple[APIRouter, ...]:
    """One for each role."""
    return _viewer(operations, gate), _operator(operations, gate)


def _viewer(operations: Operations, gate: Gate) -> APIRouter:
    routes = of_role(gate, OperatorRole.VIEWER)

    @routes.get("/drill", summary="The drill that runs, if one does")
    async def running() -> DrillState | None:
        return await operations.drills.running()

    @routes.get("/drills", summary="The newest drills, newest first")
    async def drills(limit: Limit = 50) -> list[DrillState]:
        return await operations.drills.newest(limit)

    @routes.get(
        "/drills/{id}", summary="What came of a drill, as far as it went", responses=UNKNOWN
    )
    async def report(id: str) -> Report:
        return await operations.drills.report(id)

    return routes


def _operator(operations: Operations, gate: Gate) -> APIRouter:
    routes = of_role(gate, OperatorRole.OPERATOR)

    @routes.post(
        "/drill",
        status_code=201,
        summary="Practise the ban of a vendor for a while",
        responses={**UNKNOWN, **CONFLICT},
    )
    async def start(asked: DrillAsked, request: Request) -> DrillState:
        return await operations.drills.start(asked, visit_of(request).actor)

    @routes.delete("/drill", summary="End the drill that runs", responses=CONFLICT)
    async def stop(request: Request) -> DrillState:
        return await operations.drills.stop(visit_of(request).actor)

    return routes
