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


class DiscoveredModel(BaseModel):
    """A model that a server lists. ``target`` is what ``models:`` of the configuration would call
    it, and ``configured`` says that it does; nothing is sent there before.
    """

    target: str
    developer: str
    lineage: list[str]
    locality: str
    configured: bool


class SovereignState(BaseModel):
    """One of our own model servers. ``detail`` says why it is down, or tells no models (``None``);
    ``seen`` is when it answered last.
    """

    channel: str
    standing: Literal["up", "down", "unknown"]
    detail: str
    models: list[DiscoveredModel] | None
    seen: datetime | None


class State(BaseModel):
    """``degraded`` serves, but something an operator must look at is wrong."""

    status: Literal["ready", "degraded", "starting"]
    version: str
    pid: int
    policy: PolicyState
    local_models: list[LocalState]
    sovereign: list[SovereignState]
    without_credentials: list[str]
