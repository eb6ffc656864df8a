"""What a running gateway cannot change of its configuration: named, and left as it is."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel

from gateway.config.auditing import AuditSection
from gateway.config.settings import Settings

FIXED: dict[str, tuple[str, ...]] = {
    "server": ("host", "port", "workers", "max_body_mb", "deadline", "cors"),
    "admin": ("port", "host", "hosts", "https"),
    "state": ("dir",),
    "policy": ("dir", "designations"),
    "translate": ("python",),
    "local": ("gpu_memory_gb",),
    "audit": tuple(AuditSection.model_fields),
    "telemetry": ("logs", "otlp"),
}
"""The values by their section; a change of them takes a restart."""

_Section = TypeVar("_Section", bound=BaseModel)


def with_fixed(new: Settings, running: Settings) -> tuple[Settings, tuple[str, ...]]:
    """The new settings with the fixed values of those that run, and the names of those that differ
    (``server.port``).
    """
    update = {name: _kept(getattr(new, name), getattr(running, name), name) for name in FIXED}
    differ = tuple(
        f"{name}.{key}"
        for name, keys in FIXED.items()
        for key in keys
        if getattr(getattr(new, name), key) != getattr(getattr(running, name), key)
    )
    return new.model_copy(update=update), differ


def _kept(new: _Section, running: _Section, name: str) -> _Section:
    return new.model_copy(update={key: getattr(running, key) for key in FIXED[name]})
