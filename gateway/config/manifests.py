"""Manifests of GGUF files: ``models/<id>.yaml``, and where the file itself is."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, StringConstraints

from gateway.config.documents import read_document
from gateway.config.schema import Closed, Finding, Text, Whole, nearest, validate
from gateway.config.sections import Name
from gateway.config.settings import Settings, vendor_findings
from gateway.config.shipped import load_catalog
from gateway.domain.local_model import LocalModel, Manifest, Pooling, Projector
from gateway.errors import DocumentError, GatewayError, ModelFileError


class _FileSection(Closed):
    """Either a resource of an installed package, or a path (relative to the manifest)."""

    package: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]\w*$")] | None = None
    resource: Text | None = None
    path: Text | None = None


_Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class _ProjectorSection(Closed):
    file: _FileSection
    sha256: _Sha256


class _ManifestDocument(Closed):
    id: Name
    file: _FileSection
    sha256: _Sha256
    developer: Text
    model: Text
    licence: Text
    context: Annotated[Whole, Field(ge=128)]
    lineage: tuple[Text, ...] = ()
    source: str = ""
    pooling: Pooling | None = None
    projector: _ProjectorSection | None = None
    template: Text | None = None


def load_manifest(folder: Path, id: str) -> Manifest:
    """The manifest ``<folder>/<id>.yaml``, with the GGUF file found.

    Raises ModelFileError where manifest, package or file is missing, DocumentError where the
    manifest is wrong. The file's hash is not checked here.
    """
    path = folder / f"{id}.yaml"
    if not path.is_file():
        hint = nearest(id, (entry.stem for entry in folder.glob("*.yaml")))
        raise ModelFileError(f"there is no manifest {path}" + (f"; {hint}" if hint else ""))
    document = read_document(path)
    written = validate(document, _ManifestDocument, check=_check)
    if written.id != id:
        raise DocumentError(
            [
                document.problem(
                    ("id",), f"expected {id!r}, the name of the file, got {written.id!r}"
                )
            ]
        )
    return Manifest(
        id=id,
        path=_locate(written.file, path),
        sha256=written.sha256,
        developer=written.developer,
        model=written.model,
        licence=written.licence,
        context=written.context,
        lineage=written.lineage,
        source=written.source,
        pooling=written.pooling,
        projector=(
            Projector(_locate(written.projector.file, path), written.projector.sha256)
            if written.projector is not None
            else None
        ),
        template=_template(written.template, path),
    )


@dataclass(frozen=True, slots=True)
class WrittenManifest:
    """A manifest that is to be written; ``file`` is relative to its folder."""

    id: str
    file: str
    sha256: str
    developer: str
    model: str
    licence: str
    context: int
    lineage: tuple[str, ...] = ()


def write_manifest(folder: Path, manifest: WrittenManifest) -> Path:
    """Write ``<folder>/<id>.yaml``, and read it again as it will be read; never over another.

    Raises DocumentError where what it says is wrong (nothing is left then), ModelFileError where it
    cannot be written.
    """
    path = folder / f"{manifest.id}.yaml"
    text = asdict(manifest) | {"file": {"path": manifest.file}, "lineage": list(manifest.lineage)}
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(yaml.safe_dump(text, sort_keys=False, allow_unicode=True))
    except OSError as error:
        raise ModelFileError(f"{path} cannot be written: {error.strerror}") from error
    try:
        load_manifest(folder, manifest.id)
    except GatewayError:
        path.unlink()
        raise
    return path


def _check(data: Any) -> Iterable[Finding]:
    if not isinstance(data, dict):
        return
    catalog = load_catalog()
    yield from vendor_findings(("developer",), data.get("developer"), catalog)
    lineage = data.get("lineage")
    for index, vendor in enumerate(lineage if isinstance(lineage, list) else ()):
        yield from vendor_findings(("lineage", index), vendor, catalog)
    yield from _check_file((), data)
    yield from _check_file(("projector",), data.get("projector"))


def _check_file(at: tuple[str, ...], section: Any) -> Iterable[Finding]:
    file = section.get("file") if isinstance(section, dict) else None
    if isinstance(file, dict):
        given = set(file) & {"package", "resource", "path"}
        if given not in ({"path"}, {"package", "resource"}):
            yield Finding((*at, "file"), "expected either package and resource, or path")
        resource = file.get("resource")
        if isinstance(resource, str) and (resource.startswith("/") or ".." in resource.split("/")):
            yield Finding((*at, "file", "resource"), "expected a path inside the package")


def _locate(file: _FileSection, manifest: Path) -> Path:
    if file.path is not None:
        found = manifest.parent / Path(file.path).expanduser()
        if not found.is_file():
            raise ModelFileError(f"{manifest}: there is no file {found}: put the GGUF file there")
        return found.absolute()
    # Only looked up, never imported: such a package may need what is not installed here.
    spec = importlib.util.find_spec(str(file.package))
    if spec is None or not spec.submodule_search_locations:
        raise ModelFileError(
            f"{manifest}: the package {file.package} is not installed: run make setup"
        )
    for location in spec.submodule_search_locations:
        found = Path(location) / str(file.resource)
        if found.is_file():
            return found.absolute()
    raise ModelFileError(
        f"{manifest}: the package {file.package} has no file {file.resource}: reinstall it"
    )


def _template(name: str | None, manifest: Path) -> Path | None:
    if name is None:
        return None
    found = manifest.parent / Path(name).expanduser()
    if not found.is_file():
        raise ModelFileError(
            f"{manifest}: there is no file {found}: put the chat template there, or leave out "
            "`template` to have the GGUF file's own"
        )
    return found.absolute()


def local_manifests(settings: Settings) -> dict[str, Manifest]:
    """The manifest of every configured local model, in the order of the configuration."""
    return {name: local_manifest(settings, name) for name in settings.local.models}


def local_manifest(settings: Settings, name: str) -> Manifest:
    """The manifest of the local model of that name. Raises as ``load_manifest`` does, and where the
    configuration wants more of the model than it was trained for.
    """
    section = settings.local.models[name]
    manifest = load_manifest(settings.local.manifests, section.manifest)
    if section.context is not None and section.context > manifest.context:
        raise ModelFileError(
            f"local.models.{name}.context is {section.context}, but {manifest.id} was trained for "
            f"{manifest.context}: lower it"
        )
    return manifest


def local_model(
    settings: Settings, name: str, manifest: Manifest, size: tuple[int, int]
) -> LocalModel:
    """A configured local model with so much context and so many slots, where these are auto."""
    section = settings.local.models[name]
    return LocalModel(
        name=name,
        manifest=manifest,
        context=section.context or size[0],
        slots=section.slots or size[1],
        queue=section.queue,
        gpu_layers=section.gpu_layers,
        threads=section.threads,
        preload=section.preload,
        batch=section.batch,
        ubatch=section.ubatch,
    )
