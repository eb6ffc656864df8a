"""What there is to say of an operation of the data plane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from gateway.http.openapi.schemas import Schema

JSON = "application/json"
FORM = "multipart/form-data"
EVENTS = "text/event-stream"
OPENAI = "openai"
ANTHROPIC = "anthropic"
EITHER = "either"
OPERATORS = "operators"
OF_OPENAI = (400, 401, 403, 404, 408, 413, 415, 422, 429, 451, 500, 503)
OF_ANTHROPIC = (400, 401, 403, 404, 408, 413, 415, 422, 429, 451, 500, 529)
"""What may go wrong with whatever asks a target, in each dialect."""

Range = tuple[str, float, float]


@dataclass(frozen=True, slots=True)
class Body:
    """A JSON body: the struct that reads it, whose schemas are called ``name`` and more; what its
    parameters mean, the bounds of numbers, and what is looked at behind the struct: parameters that
    must be there, and of what form they are.
    """

    name: str
    struct: type[msgspec.Struct]
    means: Mapping[str, str]
    ranges: Sequence[Range]
    examples: Mapping[str, Schema]
    required: Mapping[str, Schema]


@dataclass(frozen=True, slots=True)
class Operation:
    """``answers`` are those with 200, by their media types; ``dialect`` is that of the errors, one
    for each of ``statuses``. What is sent is a ``body``, or ``content`` by its media types.
    ``parameters`` are as in OpenAPI. ``asks`` says that a target answers, which the headers then
    tell of.
    """

    method: str
    path: str
    id: str
    summary: str
    text: str
    answers: Mapping[str, Schema]
    dialect: str
    statuses: tuple[int, ...]
    body: Body | None = None
    content: Mapping[str, Schema] = field(default_factory=dict)
    parameters: Sequence[Schema] = ()
    asks: bool = True


def in_query(name: str, text: str, schema: Schema) -> Schema:
    """An optional parameter."""
    return {"name": name, "in": "query", "required": False, "description": text, "schema": schema}


def in_path(name: str, text: str, example: str) -> Schema:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": text,
        "schema": {"type": "string", "minLength": 1},
        "example": example,
    }
