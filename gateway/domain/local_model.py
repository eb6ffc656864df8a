"""A GGUF model on our own hardware: the file and how it is served."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Pooling(StrEnum):
    """How the vectors of a text's tokens become one: their mean, the first one, or the last."""

    MEAN = "mean"
    CLS = "cls"
    LAST = "last"


@dataclass(frozen=True, slots=True)
class Projector:
    """The GGUF file that makes a model see: it turns images into embeddings. ``sha256`` as in
    ``Manifest``.
    """

    path: Path
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is known of one GGUF file. ``sha256`` is lower-case hex and pinned; ``developer`` and
    ``lineage`` are vendor ids; ``context`` is the trained context in tokens; ``licence`` is an
    SPDX id; ``pooling`` is that of embeddings, ``None`` for what the file says. Without a
    ``projector`` the model takes no images; ``template`` is a Jinja file that takes the place of
    the GGUF file's own chat template.
    """

    id: str
    path: Path
    sha256: str
    developer: str
    model: str
    licence: str
    context: int
    lineage: tuple[str, ...] = ()
    source: str = ""
    pooling: Pooling | None = None
    projector: Projector | None = None
    template: Path | None = None


@dataclass(frozen=True, slots=True)
class LocalModel:
    """One configured local model. ``name`` is what targets say after ``local/``; ``context`` is in
    tokens for each slot; ``slots`` how many answers are generated at once; ``queue`` how many
    requests may wait for a slot; ``gpu_layers`` of ``None`` means all that fit; ``threads`` of
    ``None`` means all cores that this process may use; ``batch`` tokens go through in one step,
    ``ubatch`` of them in one computation.
    """

    name: str
    manifest: Manifest
    context: int
    slots: int
    queue: int
    gpu_layers: int | None = None
    threads: int | None = None
    preload: bool = True
    batch: int = 512
    ubatch: int = 512
