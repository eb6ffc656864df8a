"""``readiness:``: what the gateway does by itself to know that its local models will hold."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gateway.config.schema import Closed, Number, Whole
from gateway.config.sections import Seconds


class CanarySection(Closed):
    """Of requests that a target which is not local has served, a ``share`` is asked of the local
    targets of the model once more, ``at_once`` of them at one time in each serving process. Each
    local target is asked something of our own ``every`` so many seconds; ``None`` means never. An
    answer has no more than ``max_tokens``.
    """

    share: Annotated[Number, Field(ge=0, le=1)] = 0
    at_once: Annotated[Whole, Field(ge=1, le=256)] = 1
    every: Annotated[Seconds, Field(ge=1)] | None = None
    max_tokens: Annotated[Whole, Field(ge=1, le=1_000_000)] = 256


class ReadinessSection(Closed):
    canary: CanarySection = Field(default_factory=CanarySection)
