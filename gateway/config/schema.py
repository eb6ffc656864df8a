"""Pydantic's findings, told as problems: what was expected, where, and the nearest known word."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias, TypeVar, Union

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gateway.config.documents import Document, Steps
from gateway.errors import DocumentError, Problem

Model = TypeVar("Model", bound=BaseModel)

Whole: TypeAlias = Annotated[int, Field(strict=True)]
"""A whole number written as one: ``true`` and ``"8"`` are none."""
Number: TypeAlias = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Flag: TypeAlias = Annotated[bool, Field(strict=True)]
Text: TypeAlias = Annotated[str, Field(min_length=1)]

_EXPECTED = {
    "string_type": "expected a string",
    "int_type": "expected a whole number",
    "int_parsing": "expected a whole number",
    "int_from_float": "expected a whole number",
    "float_type": "expected a number",
    "float_parsing": "expected a number",
    "bool_type": "expected true or false",
    "bool_parsing": "expected true or false",
    "list_type": "expected a list",
    "tuple_type": "expected a list",
    "dict_type": "expected a mapping",
    "model_type": "expected a mapping",
    "model_attributes_type": "expected a mapping",
    "path_type": "expected a path",
    "finite_number": "expected a finite number",
}


class Closed(BaseModel):
    """The base of every schema: unknown keys are errors, nothing is coerced, all is frozen."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, populate_by_name=False
    )


@dataclass(frozen=True, slots=True)
class Finding:
    """One mistake before it is known where it stands: ``path`` ends in the key for ``key``."""

    path: Steps
    message: str
    hint: str = ""
    key: bool = False
    show: bool = True


def nearest(word: str, known: Iterable[str]) -> str:
    """``did you mean …?`` with the nearest known word, else the known words, else nothing."""
    words = sorted(set(known))
    close = difflib.get_close_matches(word.lower(), [w.lower() for w in words], n=1, cutoff=0.6)
    if close:
        found = next(w for w in words if w.lower() == close[0])
        return f"did you mean {found!r}?"
    if words and len(words) <= 12:
        return "known: " + ", ".join(words)
    return ""


def findings(error: ValidationError, data: Any, model: type[BaseModel]) -> list[Finding]:
    """Every error of pydantic as a finding, at its place in ``data``."""
    errors = error.errors(include_url=False)
    # A list whose items are all wrong counts as empty too, which would be a second, false reason.
    outer = {details["loc"][:end] for details in errors for end in range(len(details["loc"]))}
    return [
        _finding(details, data, model)
        for details in errors
        if details["type"] != "too_short" or details["loc"] not in outer
    ]


def _finding(details: Any, data: Any, model: type[BaseModel]) -> Finding:
    kind: str = details["type"]
    loc: tuple[str | int, ...] = details["loc"]
    path = locate(loc, data)
    if kind == "missing":
        return Finding(path, f"missing key {str(loc[-1])!r}", key=False)
    if kind == "extra_forbidden":
        known = known_keys(model, path[:-1])
        return Finding(
            path, f"unknown key {str(loc[-1])!r}", nearest(str(loc[-1]), known), key=True
        )
    if kind == "secret_literal":
        return Finding(path, details["msg"], show=False)
    if loc and loc[-1] == "[key]":
        return Finding(path, _message(details), key=True)
    hint = details.get("ctx", {}).get("hint", "")
    if kind in ("literal_error", "enum"):
        word = details["input"]
        choices = [
            w.strip("'") for w in details["ctx"]["expected"].replace(" or ", ", ").split(", ")
        ]
        hint = nearest(word, choices) if isinstance(word, str) else ""
        hint = "" if hint.startswith("known") else hint
    return Finding(path, _message(details), str(hint))


def _message(details: Any) -> str:
    kind: str = details["type"]
    context = details.get("ctx", {})
    if kind in _EXPECTED:
        return _EXPECTED[kind]
    if kind in ("literal_error", "enum"):
        return f"expected {context['expected']}"
    if kind in ("too_short", "string_too_short"):
        return "must not be empty" if context.get("min_length") == 1 else "is too short"
    message: str = details["msg"]
    if message.startswith("Input should be "):
        return "expected a number " + message.removeprefix("Input should be ")
    return message.removeprefix("Value error, ")


def locate(loc: Steps, data: Any) -> Steps:
    """The part of pydantic's location that is a path in ``data``.

    Names of union members, ``[key]`` and the like are skipped; a missing key at the end stays out.
    """
    path: Steps = ()
    for step in loc:
        # Two branches, or the type checker cannot tell which key goes with which container.
        if isinstance(data, dict) and step in data:  # noqa: SIM114
            data = data[step]
        elif isinstance(data, list) and isinstance(step, int) and 0 <= step < len(data):
            data = data[step]
        else:
            continue
        path = (*path, step)
    return path


def known_keys(model: type[BaseModel], path: Steps) -> list[str]:
    """The keys that the schema knows in the mapping at ``path``."""
    shape: Any = model
    for step in path:
        shape = _inner(shape, step)
    found = _model_of(shape)
    if found is None:
        return []
    return [field.alias or name for name, field in found.model_fields.items()]


def _inner(shape: Any, step: str | int) -> Any:
    model = _model_of(shape)
    if model is not None:
        for name, field in model.model_fields.items():
            if step == (field.alias or name):
                return field.annotation
        return None
    for option in _options(shape):
        arguments = typing.get_args(option)
        if arguments and typing.get_origin(option) is not typing.Annotated:
            return arguments[0] if isinstance(step, int) else arguments[-1]
    return None


def _options(shape: Any) -> list[Any]:
    """The members of a union, with ``Annotated`` taken off."""
    origin = typing.get_origin(shape)
    if origin is typing.Annotated:
        return _options(typing.get_args(shape)[0])
    if origin in (Union, types.UnionType):
        return [inner for member in typing.get_args(shape) for inner in _options(member)]
    return [shape]


def _model_of(shape: Any) -> type[BaseModel] | None:
    for option in _options(shape):
        if isinstance(option, type) and issubclass(option, BaseModel):
            return option
    return None


def place(document: Document, finding: Finding) -> Problem:
    """A finding at its position in a document."""
    return document.problem(
        finding.path, finding.message, finding.hint, key=finding.key, show=finding.show
    )


def validate(
    document: Document,
    model: type[Model],
    check: Callable[[Any], Iterable[Finding]] | None = None,
) -> Model:
    """The document as ``model``; raises DocumentError with every problem at its position.

    ``check`` looks at the plain data for what a schema cannot say; it runs in any case, so that
    its findings stand beside pydantic's.
    """
    found = list(check(document.data)) if check is not None else []
    if not isinstance(document.data, dict):
        raise DocumentError([document.problem((), "expected a mapping at the top")])
    try:
        built = model.model_validate(document.data)
    except ValidationError as error:
        found += findings(error, document.data, model)
    else:
        if not found:
            return built
    raise DocumentError([place(document, finding) for finding in found])
