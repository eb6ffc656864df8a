"""What a configured model name leads to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from gateway.domain.identity import Locality
from gateway.domain.target import Target
from gateway.errors import ModelNotFound
from gateway.routing.groups import Group


@dataclass(frozen=True, slots=True)
class Route:
    """What a configured model name, or a pattern of names, leads to: groups of equal targets, in
    the order of trying. ``continuation`` lets another target go on with an answer that broke off;
    ``equivalent`` are the ids of targets whose vectors are of one space.
    """

    groups: tuple[Group, ...]
    risky_last_resort: bool = False
    continuation: bool = True
    name: str = ""
    equivalent: frozenset[str] = frozenset()

    @property
    def one_space(self) -> frozenset[str]:
        """The targets that may answer for vectors: what the first of all has, others have too only
        where they are declared equivalent.
        """
        first = self.groups[0].targets[0].id
        return self.equivalent if first in self.equivalent else frozenset({first})

    @property
    def targets(self) -> tuple[Target, ...]:
        """All targets, in the order of the configuration."""
        return tuple(target for group in self.groups for target in group.targets)


@dataclass(frozen=True, slots=True)
class Routes:
    """Configured models by exact name, and by pattern in the order of the configuration.

    ``without_credentials`` are the channels whose key is not set; ``offline`` leaves out every
    cloud target.
    """

    exact: Mapping[str, Route]
    patterns: tuple[tuple[str, Route], ...] = ()
    without_credentials: frozenset[str] = frozenset()
    offline: bool = False

    def all(self) -> tuple[Route, ...]:
        """Every route, in no order that matters."""
        return (*self.exact.values(), *(route for _, route in self.patterns))

    def forbids(self, target: Target) -> bool:
        """Whether a target is out of reach because the gateway is offline."""
        return self.offline and target.locality is Locality.CLOUD

    def name(self, model: str) -> str | None:
        """The name, or the pattern, by which a model is configured; ``None`` where it is not."""
        try:
            return self.find(model).name
        except ModelNotFound:
            return None

    def find(self, model: str) -> Route:
        """The route of a model name. Raises ``ModelNotFound``."""
        route = self.exact.get(model)
        if route is not None:
            return route
        for pattern, candidate in self.patterns:
            if fnmatchcase(model, pattern):
                return candidate
        raise not_configured(model)


def not_configured(model: str) -> ModelNotFound:
    """What is said of a name that leads nowhere, or nowhere for whoever asks."""
    return ModelNotFound(
        f"The model {model[:200]!r} is not configured on this gateway. "
        "GET /v1/models lists those that are.",
        param="model",
    )
