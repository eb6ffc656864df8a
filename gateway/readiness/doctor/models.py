"""Models: whether each can be served when it counts, and by our own machine."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from gateway.domain.identity import Locality
from gateway.domain.local_model import LocalModel
from gateway.errors import ModelFileError
from gateway.local.residency import check_budget
from gateway.readiness.doctor.examined import GB, Examined
from gateway.readiness.doctor.finding import Level, Told, check, error, info, warning
from gateway.routing.gaps import gap

LATELY = timedelta(days=30)
"""A model that answered longer ago may not do so now."""


@check("models")
def chains(found: Examined) -> Iterator[Told]:
    """Models without a local target: nobody is left when their vendors and servers are gone."""
    for route in found.routes.all():
        if any(target.locality is Locality.LOCAL for target in route.targets):
            continue
        last = route.targets[-1].id
        yield warning(
            route.name,
            f"it has no local target: when {last} is denied or gone, nobody answers",
            f"put a local target at the end of models.{route.name}.targets",
        )


@check("models")
def offline(found: Examined) -> Iterator[Told]:
    """With `offline: true`: which channels are shut, and models that nobody is left to serve."""
    routes = found.routes
    if not routes.offline:
        return
    shut = sorted(name for name, channel in found.channels.items() if channel.locality == "cloud")
    yield info(
        "offline",
        f"cloud channels are left out of every plan, not looked up and not dialled: "
        f"{', '.join(shut) or 'there are none'}",
        "set offline: false (GATEWAY_OFFLINE, serve --offline) to let them be used again",
    )
    for route in routes.all():
        if all(map(routes.forbids, route.targets)):
            yield error(
                route.name,
                "all its targets are cloud, and the gateway is offline: nobody answers",
                f"put a local or sovereign target into models.{route.name}.targets",
            )


@check("models")
def gaps(found: Examined) -> Iterator[Told]:
    """What a model's other targets can do, or are taken to, and no local one can; a shorter
    context, where theirs is known.
    """
    for route in found.routes.all():
        lost = gap(route.targets)
        local = ", ".join(lost.local)
        if lost.capabilities:
            yield warning(
                route.name,
                f"{local} lacks what its other targets have, or are taken to have: "
                f"{', '.join(sorted(lost.capabilities))}",
                "requests that need it fail when only local is left: add a target of your own that "
                "has it, or tell the apps",
            )
        if lost.wanted is not None:
            yield warning(
                route.name,
                f"{local} has a context of {lost.context} tokens, another target {lost.wanted}",
                "raise local.models.….context, or add a local model with a longer one",
            )


@check("models")
def engine(found: Examined) -> Iterator[Told]:
    """The local engine's packages, where there are local models."""
    if found.local and found.missing:
        yield error(
            "local.models",
            f"the local engine is not installed: {', '.join(found.missing)}",
            "run make setup, or install the package with its extra `local`",
        )


@check("models")
def files(found: Examined) -> Iterator[Told]:
    """Each GGUF file: there, whole, the one that its manifest pins, of the maker that it names."""
    for name, why in found.files.items():
        if isinstance(why, str):
            yield error(
                f"local/{name}",
                why,
                f"gateway models verify {name} checks it anew once it is mended",
            )


@check("models")
def hashes(found: Examined) -> Iterator[Told]:
    """When the sha256 of each model's files was last computed; servers of your own, whose weights
    nobody checks.
    """
    told = [
        f"{path.name} of {name} ({found.hashed[path]:%Y-%m-%d %H:%M} UTC)"
        for name, model in found.local.items()
        for path in _paths(model)
        if path in found.hashed and not isinstance(found.files.get(name, ""), str)
    ]
    if told:
        yield info(
            "local.models",
            f"files have the sha256 of their manifests, as it was computed: {', '.join(told)}",
            "it is remembered while size, time and inode of a file are the same: "
            "gateway models verify NAME computes it anew",
        )
    theirs = sorted(t.id for t in found.targets if t.locality is Locality.SOVEREIGN)
    if theirs:
        yield info(
            ", ".join(theirs),
            "the weights of servers of your own are not checked: the gateway sees what they call "
            "their models, not the files",
            "pin and verify the files where those servers run",
        )


def _paths(model: LocalModel) -> Iterator[Path]:
    yield model.manifest.path
    if model.manifest.projector is not None:
        yield model.manifest.projector.path


@check("models")
def templates(found: Examined) -> Iterator[Told]:
    """A chat template that does not take what apps send: system messages, conversations, functions,
    their results.
    """
    for name, refused in found.refused.items():
        for shape, why in refused.items():
            yield error(
                f"local/{name}",
                f"its chat template does not take {shape}: {why}",
                "such requests get a 400 there: choose another build of the model",
            )


@check("models")
def memory(found: Examined) -> Iterator[Told]:
    """Whether the local models fit into `local.memory_gb`, and into what this machine or container
    has free (while a gateway runs: has at all).
    """
    sizes = found.sizes
    always = {name: size for name, size in sizes.items() if found.local[name].preload}
    others = {name: size for name, size in sizes.items() if name not in always}
    try:
        check_budget(always, others, found.budget)
    except ModelFileError as wrong:
        yield error("local.memory_gb", wrong.message, "gateway models fit says what each needs")
    beside = sum(always.values())
    if beside > _room(found):
        yield _too_large(found, list(always), beside)
    for name, size in others.items():
        if beside + size > _room(found):
            yield _too_large(found, [*always, name], beside + size)


def _room(found: Examined) -> int:
    machine = found.machine
    return machine.memory if machine.free is None else machine.free


def _too_large(found: Examined, names: list[str], size: int) -> Told:
    # A device may take layers of those that do not say that none may go there.
    certain = all(found.local[name].gpu_layers == 0 for name in names)
    there = "there are" if found.machine.free is None else "are free"
    return Told(
        Level.ERROR if certain else Level.WARNING,
        ", ".join(f"local/{name}" for name in names),
        f"{size / GB:.2f} GB are needed without a GPU, and {there} {_room(found) / GB:.2f} GB",
        "lower `context` or `slots`, let a model be loaded on demand, or choose a smaller one: "
        "gateway models fit reckons",
    )


@check("models")
def unproven(found: Examined) -> Iterator[Told]:
    """Local models that never answered a request here, though a gateway ran, or not for 30 days."""
    for name in found.local if found.logged.segments else ():
        last = found.successes.get(f"local/{name}")
        if last is not None and found.now - last <= LATELY:
            continue
        since = "never" if last is None else f"not since {last:%Y-%m-%d}"
        yield info(
            f"local/{name}",
            f"it has answered {since}: whether it holds is not known",
            "let canaries ask it (docs/readiness.md), or practise with gateway drill",
        )


CHECKS = (chains, offline, gaps, engine, files, hashes, templates, memory, unproven)
