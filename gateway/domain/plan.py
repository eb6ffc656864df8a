"""In what order targets are tried, and what was left out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gateway.domain.decision import Decision
from gateway.domain.target import Target


class LeftOut(StrEnum):
    """Why a target is not in the plan. The value is what ``x-gateway-failover`` says."""

    POLICY = "policy"
    RISKY = "risky"
    NO_CREDENTIALS = "no_credentials"
    CAPABILITY = "capability"
    BREAKER_OPEN = "breaker_open"
    RESTING = "resting"
    MISCONFIGURED = "misconfigured"
    VENDOR_BLOCKED = "vendor_blocked"
    NOT_READY = "not_ready"


@dataclass(frozen=True, slots=True)
class Step:
    """One target of a plan, with the decision that lets it be there."""

    target: Target
    decision: Decision


@dataclass(frozen=True, slots=True)
class Omission:
    """One target that is not in the plan, and why. ``detail`` is for people."""

    target: Target
    decision: Decision
    why: LeftOut
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """``first`` is the id of the first configured target: where anything else serves, the answer
    carries the reason.
    """

    first: str
    steps: tuple[Step, ...]
    omitted: tuple[Omission, ...]
