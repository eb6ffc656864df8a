"""What is wrong, or will be when it counts, with a configuration and what it names. Pure.

Each check is one function from what was examined to findings; ``CHECKS`` has them all, in the order
in which a person reads them. Each finding says what to do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias
from urllib.parse import urlsplit

from gateway.config.sections import ChannelSection, is_loopback
from gateway.domain.identity import Locality
from gateway.domain.local_model import LocalModel
from gateway.domain.providers import PROVIDERS
from gateway.engine.routes import Routes
from gateway.errors import ModelFileError
from gateway.local.files import ModelFiles
from gateway.local.residency import check_budget
from gateway.routing.gaps import gap

GB = 1 << 30


class Level(StrEnum):
    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Finding:
    """``check`` is the word of the check, ``subject`` what it is about."""

    check: str
    level: Level
    subject: str
    message: str
    advice: str


@dataclass(frozen=True, slots=True)
class Examined:
    """What was found. ``keyless`` are the channels that need a key and have none; ``files`` the
    headers of each local model's files, or why it may not be served; ``refused`` what its chat
    template does not take, and why; ``missing`` the packages of the local engine that are not
    installed; ``translator`` says that litellm is; ``free`` is in bytes, ``None`` where models are
    loaded already; ``budget`` is ``local.memory_gb``, in bytes.
    """

    channels: Mapping[str, ChannelSection]
    keyless: frozenset[str]
    routes: Routes
    local: Mapping[str, LocalModel]
    files: Mapping[str, ModelFiles | str]
    refused: Mapping[str, Mapping[str, str]]
    missing: tuple[str, ...] = ()
    translator: bool = True
    free: int | None = None
    budget: int | None = None

    @property
    def sizes(self) -> dict[str, int]:
        """The bytes that each local model is reckoned to need, all of it in main memory."""
        return {
            name: found.needs(self.local[name]).total
            for name, found in self.files.items()
            if not isinstance(found, str)
        }


Check: TypeAlias = Callable[[Examined], Iterator[Finding]]


def examine(found: Examined) -> list[Finding]:
    """The findings of all checks."""
    return [finding for check in CHECKS for finding in check(found)]


def chains(found: Examined) -> Iterator[Finding]:
    """A model without a local target has nobody left when its vendors and servers are gone."""
    for route in found.routes.all():
        if any(target.locality is Locality.LOCAL for target in route.targets):
            continue
        last = route.targets[-1].id
        yield Finding(
            "chains",
            Level.WARNING,
            route.name,
            f"it has no local target: when {last} is denied or gone, nobody answers",
            f"put a local target at the end of models.{route.name}.targets",
        )


def offline(found: Examined) -> Iterator[Finding]:
    """What the operator has shut off, and the models that nobody is left to serve."""
    routes = found.routes
    if not routes.offline:
        return
    shut = sorted(name for name, channel in found.channels.items() if channel.locality == "cloud")
    yield Finding(
        "offline",
        Level.INFO,
        "offline",
        f"cloud channels are left out of every plan, not looked up and not dialled: "
        f"{', '.join(shut) or 'there are none'}",
        "set offline: false (GATEWAY_OFFLINE, serve --offline) to let them be used again",
    )
    for route in routes.all():
        if all(map(routes.forbids, route.targets)):
            yield Finding(
                "offline",
                Level.ERROR,
                route.name,
                "all its targets are cloud, and the gateway is offline: nobody answers",
                f"put a local or sovereign target into models.{route.name}.targets",
            )


def gaps(found: Examined) -> Iterator[Finding]:
    """What apps may be used to, and lose when the local target answers."""
    for route in found.routes.all():
        lost = gap(route.targets)
        local = ", ".join(lost.local)
        if lost.capabilities:
            yield Finding(
                "gaps",
                Level.WARNING,
                route.name,
                f"{local} lacks what its other targets have, or are taken to have: "
                f"{', '.join(sorted(lost.capabilities))}",
                "requests that need it fail when only local is left: add a target of your own that "
                "has it, or tell the apps",
            )
        if lost.wanted is not None:
            yield Finding(
                "gaps",
                Level.WARNING,
                route.name,
                f"{local} has a context of {lost.context} tokens, another target {lost.wanted}",
                "raise local.models.….context, or add a local model with a longer one",
            )


def engine(found: Examined) -> Iterator[Finding]:
    """Local models need the local engine."""
    if found.local and found.missing:
        yield Finding(
            "engine",
            Level.ERROR,
            "local.models",
            f"the local engine is not installed: {', '.join(found.missing)}",
            "run make setup, or install the package with its extra `local`",
        )


def files(found: Examined) -> Iterator[Finding]:
    """Every file is there, whole, and the one that its manifest pins."""
    for name, why in found.files.items():
        if isinstance(why, str):
            yield Finding(
                "files",
                Level.ERROR,
                f"local/{name}",
                why,
                f"gateway models verify {name} checks it anew once it is mended",
            )


def templates(found: Examined) -> Iterator[Finding]:
    """A model's own chat template renders what apps send."""
    for name, refused in found.refused.items():
        for shape, why in refused.items():
            yield Finding(
                "templates",
                Level.ERROR,
                f"local/{name}",
                f"its chat template does not take {shape}: {why}",
                "such requests get a 400 there: choose another build of the model",
            )


def memory(found: Examined) -> Iterator[Finding]:
    """All models that are loaded at start fit into memory together, and each other beside them."""
    sizes = found.sizes
    always = {name: size for name, size in sizes.items() if found.local[name].preload}
    others = {name: size for name, size in sizes.items() if name not in always}
    try:
        check_budget(always, others, found.budget)
    except ModelFileError as error:
        yield Finding(
            "memory",
            Level.ERROR,
            "local.memory_gb",
            error.message,
            "gateway models fit says what each needs",
        )
    if found.free is None:
        return
    beside = sum(always.values())
    if beside > found.free:
        yield _too_large(found, list(always), beside)
    for name, size in others.items():
        if beside + size > found.free:
            yield _too_large(found, [*always, name], beside + size)


def _too_large(found: Examined, names: list[str], size: int) -> Finding:
    free = found.free or 0
    # A device may take layers of those that do not say that none may go there.
    certain = all(found.local[name].gpu_layers == 0 for name in names)
    return Finding(
        "memory",
        Level.ERROR if certain else Level.WARNING,
        ", ".join(f"local/{name}" for name in names),
        f"{size / GB:.2f} GB are needed without a GPU, and {free / GB:.2f} GB are free",
        "lower `context` or `slots`, let a model be loaded on demand, or choose a smaller one: "
        "gateway models fit reckons",
    )


def credentials(found: Examined) -> Iterator[Finding]:
    """A channel without its key is no error, and is left out of every plan."""
    for name in sorted(found.keyless):
        yield Finding(
            "credentials",
            Level.INFO,
            f"channel {name}",
            "it has no key, and is left out of every plan",
            f"where it is to be used, set what {_secrets(name, found)} names",
        )


def _secrets(name: str, found: Examined) -> str:
    """The words of a channel's section that can give it its credentials."""
    channel = found.channels.get(name)
    provider = PROVIDERS.get(channel.translated or "") if channel is not None else None
    ways = provider.credentials if provider is not None else (("api_key",),)
    words = (" and ".join(f"channels.{name}.{word}" for word in way) for way in ways)
    return ", or ".join(words)


def translator(found: Examined) -> Iterator[Finding]:
    """Channels that are translated need litellm."""
    names = [name for name, channel in found.channels.items() if channel.translated]
    wanted = [name for name in names if name not in found.keyless]
    if wanted and not found.translator:
        yield Finding(
            "translator",
            Level.ERROR,
            ", ".join(f"channel {name}" for name in wanted),
            "litellm is not installed where translate.python says, so nothing is sent there",
            "run make translate, or say in translate.python where its interpreter is",
        )


def encryption(found: Examined) -> Iterator[Finding]:
    """Prompts to our own servers may cross our own network unencrypted."""
    for name, channel in found.channels.items():
        url = urlsplit(channel.base_url or "")
        if url.scheme == "http" and not is_loopback(url.hostname or ""):
            yield Finding(
                "encryption",
                Level.INFO,
                f"channel {name}",
                "prompts go there over plain http",
                "use https where others can listen on the way",
            )


CHECKS: tuple[Check, ...] = (
    chains,
    offline,
    gaps,
    engine,
    files,
    templates,
    memory,
    credentials,
    translator,
    encryption,
)
