"""What a serving process tells of itself: for ``/readyz``, ``/admin`` and the command line."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel


class PolicyState(BaseModel):
    """The policy in force. ``problem`` says why the newest version on disk is not."""

    revision: str
    mode: str
    loaded_at: datetime
    problem: str | None


class LocalState(BaseModel):
    """One local model: ``ready`` once it is loaded and has generated a token. One that is loaded
    ``on_demand`` is no reason to be called starting.
    """

    name: str
    ready: bool
    on_demand: bool


class State(BaseModel):
    """``degraded`` serves, but something an operator must look at is wrong."""

    status: Literal["ready", "degraded", "starting"]
    version: str
    pid: int
    policy: PolicyState
    local_models: list[LocalState]
    without_credentials: list[str]
