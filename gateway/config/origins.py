"""Values that do not come from a file, and where each came from: a variable or a flag."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.config.documents import Steps, core_scalar, parse_document
from gateway.errors import DocumentError, Problem

PREFIX = "GATEWAY_"
RESERVED = frozenset(
    {"GATEWAY_WHEEL_CACHE", "GATEWAY_CONFIG", "GATEWAY_OPERATOR_KEY", "GATEWAY_POLICY_KEY"}
)
"""Variables that are not values of the configuration."""

# What Kubernetes puts into the environment for a service that is called "gateway".
_KUBERNETES = re.compile(
    r"GATEWAY_(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT_\d+_(?:TCP|UDP|SCTP)(?:_\w+)?)\Z"
)
_FLAGS = {
    "offline": "--offline",
    "server.host": "--host",
    "server.port": "--port",
    "server.workers": "--workers",
    "policy.dir": "--policy",
}


@dataclass(frozen=True, slots=True)
class Unplaced(Problem):
    """A mistake in a variable or a flag: ``file`` is its name, and there is no line."""

    def __str__(self) -> str:
        text = f"{self.file}: {self.message}"
        return f"{text}\n    {self.hint}" if self.hint else text


def unplaced(origin: str, message: str, hint: str = "") -> Unplaced:
    return Unplaced(origin, 0, 0, message, "", hint)


@dataclass(frozen=True, slots=True)
class Layer:
    """Nested values, the origin of each by its path, and what could not be taken."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[Steps, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def put(self, path: tuple[str, ...], value: Any, origin: str) -> None:
        """Set one value; raises TypeError where another value is in the way."""
        inner = self.values
        for step in path[:-1]:
            inner = inner.setdefault(step, {})
            if not isinstance(inner, dict):
                raise TypeError(step)
        inner[path[-1]] = value
        self.origins[path] = origin

    def origin(self, path: Steps) -> str | None:
        """Where the value at ``path`` came from, if it came from this layer."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.origins:
                return self.origins[path[:length]]
        return None

    def below(self, path: Steps) -> str | None:
        """Where the first value inside of ``path`` came from: who made a mapping that is wrong."""
        inside = (name for steps, name in self.origins.items() if steps[: len(path)] == path)
        return next(inside, None) if path else None


def flag_layer(overrides: Mapping[str, object], paths: tuple[tuple[str, str], ...]) -> Layer:
    """The flags that were given, by dotted path; their paths are relative to the working folder."""
    layer = Layer()
    for dotted, value in overrides.items():
        if value is None:
            continue
        steps = tuple(dotted.split("."))
        if steps in paths and isinstance(value, str | Path):
            value = Path(value).expanduser().absolute()
        layer.put(steps, value, _FLAGS.get(dotted, f"the override {dotted}"))
    return layer


def environment_layer(environ: Mapping[str, str], base: Mapping[str, Any]) -> Layer:
    """The ``GATEWAY_…`` variables as nested values. ``base`` is the file's data: names of channels
    and models in it are found whatever their case, ``-`` and ``.`` written as ``_``. An empty
    variable counts as not set.
    """
    layer = Layer()
    for name in sorted(environ):
        value = environ[name]
        if not name.startswith(PREFIX) or not value or _foreign(name, value):
            continue
        path = _path(name.removeprefix(PREFIX), base)
        if not all(path):
            layer.problems.append(unplaced(name, "expected GATEWAY_<SECTION>__<KEY>"))
            continue
        try:
            layer.put(path, _value(value, name), name)
        except DocumentError as error:
            message = error.problems[0].message
            layer.problems.append(unplaced(name, message))
        except TypeError:
            layer.problems.append(unplaced(name, "another variable already gives the whole of it"))
    return layer


def _foreign(name: str, value: str) -> bool:
    if name in RESERVED or _KUBERNETES.match(name):
        return True
    return name == "GATEWAY_PORT" and "://" in value


def _path(rest: str, base: Mapping[str, Any]) -> tuple[str, ...]:
    path: list[str] = []
    inner: Any = base
    for segment in rest.split("__"):
        step = segment.lower()
        if isinstance(inner, Mapping):
            fitting = [key for key in inner if _folded(key) == _folded(step)]
            step = fitting[0] if len(fitting) == 1 else step
            inner = inner.get(step)
        path.append(step)
    return tuple(path)


def _folded(name: str) -> str:
    return re.sub(r"[-.]", "_", name.lower())


def _value(text: str, name: str) -> Any:
    """A variable's value: a list or mapping in flow style, or a scalar, as in the file."""
    if text.startswith(("[", "{")):
        return parse_document(text.encode(), name).data
    return core_scalar(text)


def merge(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """A deep copy of all mappings together; later ones win."""
    merged: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            if isinstance(value, Mapping):
                before = merged.get(key)
                merged[key] = merge(before if isinstance(before, Mapping) else {}, value)
            else:
                merged[key] = value
    return merged
