"""``gateway models``: the GGUF files that are there, what they say of themselves and need."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from gateway.cli.models_add import add
from gateway.cli.models_memory import load, unload
from gateway.cli.options import config_option, format_option
from gateway.cli.settled import settings_of
from gateway.cli.text import GB, counted
from gateway.config.manifests import load_manifest
from gateway.config.schema import nearest
from gateway.domain.local_model import LocalModel, Projector
from gateway.errors import GatewayError, ModelFileError
from gateway.inventory import Inventory
from gateway.local.files import ModelFiles, verify_model
from gateway.local.fit import largest, needs
from gateway.local.formats import thinking, tool_format
from gateway.local.gguf import read_header
from gateway.local.machine import free_memory
from gateway.local.place import Placed, place
from gateway.local.projector import projector_type, read_projector
from gateway.vendors.weights import makers


@click.group()
def models() -> None:
    """Look at the local models: their files, what they can do, and what they need.

    Example: gateway models list
    """


for command in (add, load, unload):
    models.add_command(command)


@dataclass(frozen=True, slots=True)
class Listed:
    """``bytes`` is the files' size; ``state`` says whether they can be used, ``projector`` is the
    file by which the model sees images; ``auto`` is what of context and slots was chosen from
    memory.
    """

    name: str
    manifest: str
    developer: str
    licence: str
    context: int
    slots: int
    auto: list[str]
    bytes: int
    state: str
    projector: str | None


@models.command("list")
@config_option
@format_option
def list_(config: Path, format_: str) -> None:
    """List the configured local models, and whether their files are there and readable.

    Example: gateway models list --format json
    """
    inventory = Inventory(settings_of(config))
    found = [_listed(inventory, model) for model in inventory.local.values()]
    if format_ == "json":
        click.echo(json.dumps([asdict(line) for line in found], indent=2))
        return
    for line in found:
        click.secho(line.name, bold=True)
        click.echo(
            f"  {line.manifest}, by {line.developer}, {line.licence}, {_size(line.bytes)}: "
            f"{line.state}\n  {_slots(line.slots, line.context, line.auto)}"
            + (f", images by {line.projector}" if line.projector else "")
        )


def _auto(inventory: Inventory, name: str) -> list[str]:
    section = inventory.settings.local.models[name]
    chosen = {"context": section.context, "slots": section.slots}
    return [word for word, value in chosen.items() if value is None]


def _slots(slots: int, context: int, auto: Sequence[str]) -> str:
    chosen = f" ({' and '.join(auto)}: auto)" if auto else ""
    return f"{counted(slots, 'slot')} of {context} tokens{chosen}"


def _listed(inventory: Inventory, model: LocalModel) -> Listed:
    manifest, projector = model.manifest, model.manifest.projector
    size = manifest.path.stat().st_size
    try:
        read_header(manifest.path)
        if projector is not None:
            size += projector.path.stat().st_size
            read_projector(projector.path)
        state = "its header is whole; gateway models verify checks all of it"
    except ModelFileError as error:
        state = f"cannot be used: {error.message}"
    return Listed(
        name=model.name,
        manifest=manifest.id,
        developer=manifest.developer,
        licence=manifest.licence,
        context=model.context,
        slots=model.slots,
        auto=_auto(inventory, model.name),
        bytes=size,
        state=state,
        projector=projector.path.name if projector is not None else None,
    )


@dataclass(frozen=True, slots=True)
class Inspected:
    """What a file says of itself. ``makers`` are vendor ids and the keys that name them;
    ``template`` is where the chat template is from; by it, ``calls`` is the format in which the
    model calls functions, and ``thinks`` whether it does so before answering; ``images`` the type
    and file of the projector by which it sees.
    """

    file: str
    architecture: str | None
    name: str | None
    licence: str | None
    makers: dict[str, str]
    parameters: int
    layers: int
    context: int | None
    weights: dict[str, int]
    template: str
    calls: str
    thinks: bool
    system_role: bool
    images: str | None
    bytes: int


@models.command()
@click.argument("what", metavar="MODEL|MANIFEST|FILE")
@config_option
@format_option
def inspect(what: str, config: Path, format_: str) -> None:
    """Show what a model's file says of itself, of which nothing but the header is read, and whether
    its manifest has another chat template.

    Example: gateway models inspect smollm2
    """
    inventory = Inventory(settings_of(config))
    path, projector, template = _files(inventory, what)
    shown = _inspected(inventory, path, projector, template)
    if format_ == "json":
        click.echo(json.dumps(asdict(shown), indent=2))
        return
    for key, value in asdict(shown).items():
        text = (
            ", ".join(f"{k} ({v})" for k, v in value.items()) if isinstance(value, dict) else value
        )
        click.echo(f"{key:13} {'-' if text in (None, '') else text}")


def _inspected(
    inventory: Inventory, path: Path, projector: Projector | None, other: Path | None
) -> Inspected:
    header = read_header(path)
    template = header.chat_template or ""
    source = "the file's own" if template else "none in the file: ChatML is used"
    if other is not None:
        # Jinja is of the workers' requirements, which no other command needs.
        from gateway.local.template import read_template  # noqa: PLC0415 - as said

        template, source = read_template(other), str(other)
    weights: dict[str, int] = {}
    for tensor in header.tensors:
        weights[tensor.type] = weights.get(tensor.type, 0) + tensor.size
    format = tool_format(template)
    licence = header.metadata.get("general.license")
    return Inspected(
        file=str(path),
        architecture=header.architecture,
        name=header.name,
        licence=licence if isinstance(licence, str) else None,
        makers=makers(header.metadata, inventory.catalog),
        parameters=sum(_product(tensor.shape) for tensor in header.tensors),
        layers=len(needs(header, 1, 1).layers),
        context=header.context_length,
        weights=dict(sorted(weights.items(), key=lambda row: -row[1])),
        template=source,
        calls=format.name if format is not None else "described in the system message",
        thinks=thinking(template) is not None,
        system_role="system" in template or not template,
        images=(
            f"{projector_type(read_projector(projector.path))}, by {projector.path.name}"
            if projector is not None
            else projector_type(header)
        ),
        bytes=header.size,
    )


@models.command("verify")
@click.argument("names", nargs=-1, metavar="[MODEL...]")
@config_option
def verify_(names: tuple[str, ...], config: Path) -> None:
    """Check the files against their manifests: every byte, the header, and who the file says made
    it.

    Exit code 1 where one is not what it should be. Example: gateway models verify smollm2
    """
    inventory = Inventory(settings_of(config))
    wrong = 0
    for model in _chosen(inventory, names):
        manifest, projector = model.manifest, model.manifest.projector
        try:
            state_dir = inventory.settings.state.dir
            verify_model(model, state_dir, inventory.check_weights, anew=True)
        except GatewayError as error:
            wrong += 1
            click.secho(f"{model.name}: ", fg="red", bold=True, nl=False)
            click.echo(error.message)
            continue
        click.secho(f"{model.name}: ", fg="green", bold=True, nl=False)
        click.echo(f"sha256 {manifest.sha256}")
        if projector is not None:
            click.echo(f"  its projector: sha256 {projector.sha256}")
    sys.exit(1 if wrong else 0)


@dataclass(frozen=True, slots=True)
class Fitted:
    """Bytes. ``largest`` is the context and the slots that fit into memory, if any do; ``auto`` is
    what of the configured ones was chosen.
    """

    name: str
    context: int
    slots: int
    auto: list[str]
    needs: dict[str, int]
    placed: Placed
    free: int
    fits: bool
    largest: tuple[int, int] | None


@models.command()
@click.argument("names", nargs=-1, metavar="[MODEL...]")
@click.option("--ram", type=float, help="GB of main memory.  [default: what is free now]")
@click.option("--gpu", type=float, multiple=True, help="GB that are free on a device; repeatable.")
@config_option
@format_option
def fit(
    names: tuple[str, ...], ram: float | None, gpu: tuple[float, ...], config: Path, format_: str
) -> None:
    """Say how much memory the models need, and how many of their layers a GPU would take.

    Exit code 1 where one does not fit. Example: gateway models fit --ram 16 --gpu 8
    """
    inventory = Inventory(settings_of(config))
    free = int(ram * GB) if ram is not None else free_memory()
    devices = [int(each * GB) for each in gpu]
    found = [_fitted(inventory, model, free, devices) for model in _chosen(inventory, names)]
    if format_ == "json":
        click.echo(json.dumps([asdict(line) for line in found], indent=2))
    else:
        for line in found:
            _print_fit(line)
    sys.exit(0 if all(line.fits for line in found) else 1)


def _fitted(inventory: Inventory, model: LocalModel, free: int, devices: Sequence[int]) -> Fitted:
    header, projector = read_header(model.manifest.path), model.manifest.projector
    sight = read_projector(projector.path) if projector is not None else None
    wanted = ModelFiles(header, sight).needs(model)
    placed = place(wanted, devices, model.gpu_layers)
    fits = placed.memory <= free
    return Fitted(
        name=model.name,
        context=model.context,
        slots=model.slots,
        auto=_auto(inventory, model.name),
        needs={
            "weights": wanted.weights,
            "keys and values": wanted.store,
            "working": wanted.working,
            **({"images": wanted.seeing} if wanted.seeing else {}),
            "total": wanted.total,
        },
        placed=placed,
        free=free,
        fits=fits,
        largest=largest(
            header, (model.context, model.slots), free, ubatch=model.ubatch, projector=sight
        ),
    )


def _print_fit(line: Fitted) -> None:
    click.secho(line.name, bold=True, nl=False)
    click.echo(f": {_slots(line.slots, line.context, line.auto)}")
    for what, size in line.needs.items():
        click.echo(f"  {what:16} {_size(size):>10}")
    placed = line.placed
    if placed.gpu_layers:
        there = ", ".join(map(_size, placed.devices))
        click.echo(
            f"  {placed.gpu_layers} of {placed.layers} layers on devices: "
            f"{there} there, {_size(placed.memory)} in memory"
        )
    if line.fits:
        click.echo(f"  fits: {_size(line.free)} are free")
    elif line.largest is None:
        click.echo(f"  does not fit into {_size(line.free)}: choose a smaller model")
    else:
        context, slots = line.largest
        click.echo(
            f"  does not fit into {_size(line.free)}; {counted(slots, 'slot')} of {context} tokens "
            "would"
        )


def _chosen(inventory: Inventory, names: Sequence[str]) -> list[LocalModel]:
    """The models of these names; all where none is given."""
    for name in names:
        if name not in inventory.local:
            hint = nearest(name, inventory.local)
            raise click.BadParameter(f"no local model {name!r} is configured. {hint}".rstrip())
    return [model for name, model in inventory.local.items() if not names or name in names]


def _files(inventory: Inventory, what: str) -> tuple[Path, Projector | None, Path | None]:
    """The file of a configured model or of a manifest with its projector and the template that the
    manifest names, or the file itself.
    """
    path = Path(what)
    if what in inventory.local:
        manifest = inventory.local[what].manifest
    elif path.suffix == ".gguf" or path.is_file():
        return path, None, None
    else:
        manifest = load_manifest(inventory.settings.local.manifests, what)
    return manifest.path, manifest.projector, manifest.template


def _product(shape: Sequence[int]) -> int:
    count = 1
    for extent in shape:
        count *= extent
    return count


def _size(count: int) -> str:
    return f"{count / GB:.2f} GB" if count >= GB else f"{count / (1 << 20):.0f} MB"
