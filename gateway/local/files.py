"""A model's files against its manifest, before anything else reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from gateway.domain.local_model import LocalModel
from gateway.errors import ModelFileError
from gateway.local.fit import Needs, needs
from gateway.local.gguf import GgufHeader
from gateway.local.projector import read_projector
from gateway.local.verify import verify, verify_file

Accept: TypeAlias = Callable[[LocalModel, Path, Mapping[str, object]], None]
"""Raises ModelFileError where a model may not be served with such metadata of one of its files."""


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """The headers of a model's file and of its projector, if it has one; ``remembered`` says
    whether the model's hash was.
    """

    header: GgufHeader
    projector: GgufHeader | None = None
    remembered: bool = False

    def needs(self, model: LocalModel) -> Needs:
        """The memory that the model takes as it is configured."""
        return needs(self.header, model.context, model.slots, model.ubatch, self.projector)


def verify_model(
    model: LocalModel, state_dir: Path, accept: Accept | None = None, *, anew: bool = False
) -> ModelFiles:
    """Check hashes, headers, and what ``accept`` says of them; blocks while it hashes.

    Raises ModelFileError where a file is missing, altered, malformed or of another kind, StateError
    where the cache of hashes cannot be written.
    """
    manifest, projector, sight = model.manifest, model.manifest.projector, None
    header, remembered = verify(manifest.path, manifest.sha256, state_dir, anew=anew)
    if header.architecture is None:
        raise ModelFileError(f"{manifest.path.name} does not say its architecture: not a model")
    if accept is not None:
        accept(model, manifest.path, header.metadata)
    if projector is not None:
        verify_file(projector.path, projector.sha256, state_dir, anew=anew)
        sight = read_projector(projector.path)
        if accept is not None:
            accept(model, projector.path, sight.metadata)
    return ModelFiles(header, sight, remembered)
