"""What operators can ask a running gateway, and tell it: one protocol for the API under ``/admin``,
for the console and, through the API, for the command line.

Whatever is told is of all serving processes where they know it of each other (policy, keys, the
audit log), and of the one that answers where it is its own (the health of targets).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from gateway.access.operators import Actor, OperatorRole
from gateway.domain.decision import Labels
from gateway.domain.identity import Role
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

if TYPE_CHECKING:
    # Which has words of this file in what it is asked with.
    from gateway.http.drills import Drilling

_SHOWN = r"^[^\x00-\x1f\x7f-\x9f]+$"
"""What a terminal shows, and does not obey."""
Title = Annotated[str, Field(min_length=1, max_length=100, pattern=_SHOWN)]
"""What people call a key."""
Label = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,99}$")]
Pattern = Annotated[str, Field(min_length=1, max_length=200, pattern=_SHOWN)]
Count = Annotated[int, Field(strict=True, ge=1, le=10**15)]


def _in_words(value: object) -> object:
    if isinstance(value, (int, float)):
        raise ValueError("expected a time by ISO 8601, such as 2027-01-01T00:00:00Z")
    return value


def _utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("expected a time within the years 1 to 9999 of UTC") from None


Instant = Annotated[AwareDatetime, BeforeValidator(_in_words), AfterValidator(_utc)]
"""In UTC. Never a number, of which nobody knows what it counts."""


class LimitsAsked(BaseModel):
    """As ``LimitsState``."""

    model_config = ConfigDict(extra="forbid")

    requests_per_minute: Count | None = None
    tokens_per_minute: Count | None = None
    concurrent: Count | None = None
    budget: Count | None = None


class KeyAsked(BaseModel):
    """What a key of an app is to be, in the words of `gateway keys create`."""

    model_config = ConfigDict(extra="forbid")

    name: Title
    team: Label | None = None
    app: Label | None = None
    environment: Label | None = None
    data_class: Label | None = None
    tags: tuple[Label, ...] = ()
    may_set: tuple[Literal["team", "app", "environment", "data_class", "tags"], ...] = ()
    models: tuple[Pattern, ...] = ()
    limits: LimitsAsked = LimitsAsked()
    expires: Instant | None = None


class Operations(Protocol):
    """Raises, whatever is asked: ``NotThere`` (404) for a name that is not there, ``Refused`` (409)
    where what is asked cannot be done as things stand and the message says why, ``InvalidRequest``
    (400), ``StateError`` (500) where a file cannot be read or written. Every change is recorded,
    with its ``actor``. What the actor may do is for the caller to check.
    """

    @property
    def drills(self) -> Drilling: ...

    async def status(self) -> Status: ...

    async def policy(self) -> PolicyInForce: ...

    async def vendors(self) -> list[VendorState]:
        """The worst first, then by name."""
        ...

    async def preview(self, vendor: str, roles: Sequence[Role]) -> Preview:
        """``roles`` empty: as a rule without roles (channel and developer)."""
        ...

    async def ban(
        self,
        vendor: str,
        *,
        reason: str,
        authority: str | None,
        reference: str | None,
        until: datetime | None,
        roles: Sequence[Role],
        actor: Actor,
    ) -> Toggled:
        """Write the toggle, and wait for all serving processes."""
        ...

    async def unban(self, vendor: str, *, actor: Actor) -> Toggled: ...

    async def designations(self) -> list[DesignationState]: ...

    async def explain(self, model: str, labels: Labels, at: datetime | None) -> Explanation:
        """A model that is not configured by name may be a bare target id. ``at`` of None is now."""
        ...

    async def targets(self) -> list[ModelTargets]: ...

    async def models(self) -> list[LocalModel]: ...

    async def load(self, name: str, *, actor: Actor) -> LocalModel:
        """Have a model in memory; does not wait for it to be ready."""
        ...

    async def unload(self, name: str, *, cut: bool, actor: Actor) -> LocalModel:
        """Have it in memory no more until it is asked for: after its running answers, or with
        ``cut`` at once.
        """
        ...

    async def keys(self) -> list[KeyState]:
        """All there ever were, newest first."""
        ...

    async def create_key(self, asked: KeyAsked, *, actor: Actor) -> NewKey: ...

    async def revoke_key(self, id: str, *, actor: Actor) -> KeyState: ...

    async def rotate_key(self, id: str, *, overlap: timedelta, actor: Actor) -> NewKey:
        """Another key with all that this one may, which ends after ``overlap``."""
        ...

    async def operators(self) -> list[OperatorState]:
        """All there ever were, newest first."""
        ...

    async def create_operator(
        self, name: str, role: OperatorRole, expires: datetime | None, *, actor: Actor
    ) -> NewOperator: ...

    async def revoke_operator(self, id: str, *, actor: Actor) -> OperatorState: ...

    async def rotate_operator(self, id: str, *, overlap: timedelta, actor: Actor) -> NewOperator:
        """As ``rotate_key``."""
        ...

    async def decisions(self, limit: int) -> list[DecisionState]:
        """The newest requests, newest first."""
        ...

    async def audit_tail(self, limit: int) -> list[dict[str, Any]]:
        """The newest lines of the audit log as they are written, newest first: requests, events and
        checkpoints.
        """
        ...

    async def traffic(self, minutes: int) -> Traffic: ...

    async def readiness(self, vendor: str | None = None) -> ReadinessState:
        """With the first few of what is missing or, of one vendor, with all. ``Refused`` where
        nothing was reckoned yet.
        """
        ...
