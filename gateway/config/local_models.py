"""The section ``local`` of ``gateway.yaml``: our own GGUF models, and what they may have."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from gateway.config.schema import Closed, Flag, Text, Whole
from gateway.config.sections import Name, Seconds


def _auto(value: object) -> object:
    return None if value == "auto" else value


Auto = Annotated[Annotated[Whole, Field(ge=0)] | None, BeforeValidator(_auto)]
Context = Annotated[Annotated[Whole, Field(ge=128, le=10_000_000)] | None, BeforeValidator(_auto)]
Slots = Annotated[Annotated[Whole, Field(ge=1, le=1024)] | None, BeforeValidator(_auto)]


class LocalModelSection(Closed):
    """One GGUF model: a manifest and its limits. ``None`` means auto: context and slots by what
    memory there is, all layers that fit, all threads. ``batch`` tokens go through in one step,
    ``ubatch`` of them in one computation.
    """

    manifest: Name
    context: Context = 4096
    slots: Slots = 8
    batch: Annotated[Whole, Field(ge=64, le=65536)] = 512
    ubatch: Annotated[Whole, Field(ge=32, le=65536)] = 512
    queue: Annotated[Whole, Field(ge=0, le=100_000)] = 64
    gpu_layers: Auto = None
    threads: Annotated[Auto, Field()] = None
    preload: Flag = True

    @field_validator("threads")
    @classmethod
    def _some_thread(cls, value: int | None) -> int | None:
        if value == 0:
            raise PydanticCustomError("threads", "expected auto or a whole number of at least 1")
        return value

    @model_validator(mode="after")
    def _one_step_is_enough(self) -> Self:
        if self.ubatch > self.batch:
            raise PydanticCustomError("ubatch", "ubatch may not be more than batch")
        if self.slots is not None and self.slots > self.batch:
            raise PydanticCustomError(
                "slots", "slots may not be more than batch: each step has a token of every answer"
            )
        return self


_Gigabytes = Annotated[float, Field(gt=0)]


class LocalSection(Closed):
    """The models of our own processes; ``manifests`` is the folder of their manifests.
    ``memory_gb`` is what all of them together may need; one without ``preload`` is unloaded when
    another needs the room, or after ``idle_unload`` seconds without work. ``None`` means no limit,
    and never. ``gpu_memory_gb`` is the same for the memory of each device, or of those that it
    names; otherwise all of it.
    """

    manifests: Path
    memory_gb: _Gigabytes | None = None
    gpu_memory_gb: _Gigabytes | Mapping[Text, _Gigabytes] | None = None
    idle_unload: Seconds | None = None
    models: Mapping[Name, LocalModelSection] = Field(default_factory=dict)
