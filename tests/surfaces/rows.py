"""What a row of a table of parameters is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from gateway.domain.target import Capability

Answer = dict[str, Any]
Shows = Callable[[Answer, Answer], bool]
"""Whether an answer, beside the same without the parameter, shows that it was honoured."""


class Effect(StrEnum):
    """What the local model makes of a parameter."""

    HONOURED = "honoured"
    HINT = "no effect"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Row:
    """One parameter of the API, or one ``kind`` of its values; ``sends`` are the members of a body
    that has it. What is honoured ``shows`` in the answer; what is refused is by the word ``lacks``;
    what has no effect leaves the answer to ``baseline`` as it is.
    """

    name: str
    sends: Mapping[str, Any]
    effect: Effect
    kind: str = ""
    shows: Shows | None = None
    lacks: Capability | None = None
    baseline: Mapping[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        return f"{self.name}: {self.kind}" if self.kind else self.name


def honoured(name: str, sends: Mapping[str, Any], shows: Shows, kind: str = "") -> Row:
    return Row(name, sends, Effect.HONOURED, kind, shows)


def hint(name: str, value: Any, kind: str = "", **also: Any) -> Row:
    return Row(name, {name: value, **also}, Effect.HINT, kind, baseline=also)


def refused(name: str, value: Any, lacks: Capability, kind: str = "", **also: Any) -> Row:
    return Row(name, {name: value, **also}, Effect.REFUSED, kind, lacks=lacks)


def members(kind: Any) -> set[str]:
    """The parameters of a TypedDict of an SDK."""
    return set(get_type_hints(kind))


def literals(kind: Any, member: str = "type") -> set[str]:
    """Which values ``member`` has in the TypedDicts of a union of an SDK's types."""
    return set(_literals(kind, member))


def _literals(kind: Any, member: str) -> Iterator[str]:
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) is Literal:
        yield from get_args(kind)
    elif get_origin(kind) in (Union, UnionType):
        for each in get_args(kind):
            yield from _literals(each, member)
    elif hasattr(kind, "__required_keys__"):
        yield from _words(get_type_hints(kind)[member])


def _words(kind: Any) -> Iterator[str]:
    """The words of a Literal, within whatever says that it is optional or required."""
    for each in get_args(kind):
        if isinstance(each, str):
            yield each
        else:
            yield from _words(each)
