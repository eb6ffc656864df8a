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


class ConfigurationState(BaseModel):
    """The configuration in force: ``revision`` is the sha256 of its text. ``problem`` says why what
    is on disk now is not; ``restart`` names the values in it that wait for a restart.
    """

    revision: str
    loaded_at: datetime
    problem: str | None
    restart: list[str]


class AuditState(BaseModel):
    """``problem`` says why the audit log cannot be written now: ``waiting`` records are in memory.
    Since this process started, ``lost`` were too many for that, and the contents of
    ``contents_lost`` requests could not be kept.
    """

    problem: str | None
    waiting: int
    lost: int
    contents_lost: int


class ChatState(BaseModel):
    """A model's template takes messages of ``roles`` as they are, and perhaps only ``alternating``
    turns; functions are told in its own way or described in words (``tools``).
    """

    roles: list[str]
    alternating: bool
    tools: Literal["native", "described"]
    thinks: Literal["no", "always", "switched"]


class LoadedState(BaseModel):
    """How a local model was loaded: ``gpu_layers`` of all ``layers`` (the output among them) are on
    ``devices``, whose bytes are told by their names; ``memory`` are the bytes of main memory; both
    as reckoned. ``note`` says why less is on devices than was wanted, where something went wrong.
    One that generates no text has no ``chat``.
    """

    context: int
    slots: int
    layers: int
    gpu_layers: int
    devices: dict[str, int]
    memory: int
    note: str
    capabilities: list[str]
    chat: ChatState | None


class LocalState(BaseModel):
    """One local model: ``ready`` once it is loaded and has generated a token. One that is loaded
    ``on_demand`` is no reason to be called starting. ``last_success`` is when it answered last,
    whoever asked.
    """

    name: str
    ready: bool
    on_demand: bool
    last_success: datetime | None
    loaded: LoadedState | None


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


class DrilledState(BaseModel):
    """The drill that runs: some requests are planned as if ``vendor`` were denied."""

    id: str
    vendor: str
    until: datetime


class Standing(BaseModel):
    """What anybody may know. ``degraded`` serves, but something an operator must look at is
    wrong.
    """

    status: Literal["ready", "degraded", "starting"]


class Readiness(Standing):
    """What any program on this machine may know. ``offline`` serves from what is local or sovereign
    alone. ``background`` is what has failed of late, here or in the main process, by the names of
    works, and was begun again.
    """

    version: str
    pid: int
    policy: PolicyState
    configuration: ConfigurationState
    local_models: list[LocalState]
    audit: AuditState
    without_credentials: list[str]
    offline: bool
    drill: DrilledState | None
    background: dict[str, str]


class State(Readiness):
    """With what servers of our own serve, which is the operators' to know."""

    sovereign: list[SovereignState]
