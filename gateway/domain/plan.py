"""In what order targets are tried, and what was left out."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from gateway.domain.decision import Decision
from gateway.domain.target import Target


class LeftOut(StrEnum):
    """Why a target is not in the plan. The value is what ``x-gateway-failover`` says."""

    POLICY = "policy"
    RISKY = "risky"
    OFFLINE = "offline"
    """It is cloud, and the gateway is offline."""
    NO_CREDENTIALS = "no_credentials"
    CAPABILITY = "capability"
    BREAKER_OPEN = "breaker_open"
    RESTING = "resting"
    MISCONFIGURED = "misconfigured"
    VENDOR_BLOCKED = "vendor_blocked"
    NOT_READY = "not_ready"
    NOT_LISTED = "not_listed"
    """Its server is there, and does not list the model."""
    OTHER_VECTORS = "other_vectors"
    """Its vectors are not known to be of one space with those of the first choice."""
    DRILL = "drill"
    """A drill takes it away: but for that it would be in the plan."""


class Step(msgspec.Struct, frozen=True):
    """One target of a plan, with the decision that lets it be there."""

    target: Target
    decision: Decision


class Omission(msgspec.Struct, frozen=True):
    """One target that is not in the plan, and why. ``detail`` is for people."""

    target: Target
    decision: Decision
    why: LeftOut
    detail: str = ""


class Plan(msgspec.Struct, frozen=True):
    """``configured`` are the ids of all targets in the order of the configuration, ``steps`` those
    that are tried, in the order of trying. ``rescue`` are tried when all of these are through: they
    are among those that are ``omitted`` for a drill.
    """

    configured: tuple[str, ...]
    steps: tuple[Step, ...]
    omitted: tuple[Omission, ...]
    rescue: tuple[Step, ...] = ()

    @property
    def first(self) -> str:
        """The first choice: where anything else serves, the answer carries the reason."""
        return self.configured[0]

    @property
    def judged(self) -> tuple[tuple[Target, Decision, LeftOut | None], ...]:
        """Each target with its decision and why it was left out, in the configuration's order."""
        rows = [(step.target, step.decision, None) for step in self.steps]
        left_out = [(one.target, one.decision, one.why) for one in self.omitted]
        return tuple(sorted((*rows, *left_out), key=lambda r: self.configured.index(r[0].id)))

    @property
    def revision(self) -> str:
        """The revision of the policy that the plan was made by."""
        judged: tuple[Step | Omission, ...] = (*self.steps, *self.omitted)
        return judged[0].decision.revision
