"""JSON Schemas that others write: whether one is one, and whether a value is valid by it.

``jsonschema-rs`` applies them: its expressions take no longer than a time in proportion to the
text, and a schema that leads into itself comes to an end. Three things are ours. Nothing is
fetched, whatever a schema refers to. A word that is no keyword is a mistake, though the standard
lets it be: one that is misspelt would let every value pass. And so is a schema that is larger, or
goes more ways to the same place, than there is time for: each step of some doubles it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from jsonschema_rs import RegexOptions, ValidationError, Validator, validator_for

from gateway.config.documents import Steps
from gateway.config.schema import Finding, nearest

MOST_SCHEMAS = 5_000
"""Within one: what follows references takes more than linear time to be made."""
MOST_WAYS = 100_000
"""Subschemas that one value can be held to, each as often as a way leads there."""
DEEPEST = 128
"""Steps that subschemas may stand within each other."""
_LINEAR = RegexOptions()
_PLAIN = (
    *("$comment", "$id", "$ref", "$schema", "const", "default", "dependentRequired", "deprecated"),
    *("description", "enum", "examples", "exclusiveMaximum", "exclusiveMinimum", "format"),
    *("maxContains", "maxItems", "maxLength", "maxProperties", "maximum", "minContains"),
    *("minItems", "minLength", "minProperties", "minimum", "multipleOf", "pattern", "readOnly"),
    *("required", "title", "type", "uniqueItems", "writeOnly"),
)
_ONE = (
    *("additionalProperties", "contains", "else", "if", "items", "not", "propertyNames", "then"),
    *("unevaluatedItems", "unevaluatedProperties"),
)
_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
_MAPPINGS = ("dependentSchemas", "patternProperties", "properties")
_DEFINITIONS = ("$defs", "definitions")
KEYWORDS = frozenset((*_PLAIN, *_ONE, *_LISTS, *_MAPPINGS, *_DEFINITIONS))
"""Of draft 2020-12, and ``definitions``; without anchors, by which too much could be meant."""


def mistakes(schema: object) -> Iterator[Finding]:
    """What is wrong with a schema, each at its place in it."""
    found = list(_words(schema))
    yield from found
    if found:
        return
    try:
        _made(schema)
    except ValidationError as error:
        yield Finding(tuple(error.instance_path), _said(error))
    except ValueError as error:
        yield Finding((), f"cannot be applied: {error}")


def violation(schema: object, value: object) -> str | None:
    """Against which part of a schema without mistakes a value is, in the schema's own words and
    none of the value's; ``None`` where it is valid.
    """
    made = _made(schema)
    try:
        if made.is_valid(value):
            return None
        # To say where it is against one that leads into itself may take longer with each level.
        error = None if _loops(schema) else next(made.iter_errors(value), None)
    except ValueError:
        return "cannot be held to the schema: it is too deep, or no text that can be sent"
    where = "" if error is None else "/".join(map(str, error.schema_path))
    return f"is against {where or 'the schema'}"


def _made(schema: Any) -> Validator:
    return validator_for(schema, pattern_options=_LINEAR, offline=True, mask="it")


def _said(error: ValidationError) -> str:
    message: str = error.message
    return message.splitlines()[0][:200]


def _words(schema: object) -> Iterator[Finding]:
    """All that the library would take, and we do not."""
    reading = _Reading()
    found = list(reading.words(schema, ()))
    yield from found
    if found:
        return
    if len(reading.below) > MOST_SCHEMAS:
        yield Finding((), f"holds more than {MOST_SCHEMAS} schemas")
    elif reading.ways(()) > MOST_WAYS:
        message = f"more than {MOST_WAYS} checks of one value, or {DEEPEST} within each other"
        yield Finding((), message)


def _loops(schema: object) -> bool:
    reading = _Reading()
    # Without mistakes, by now.
    list(reading.words(schema, ()))
    reading.ways(())
    return reading.loops


class _Reading:
    """A schema as it is gone through: ``below`` has all that are in it by their places, with those
    that they lead to. ``loops``: one leads into itself, as far as the ways were counted.
    """

    def __init__(self) -> None:
        self.below: dict[Steps, list[Steps]] = {}
        self.loops = False
        self._ways: dict[Steps, int] = {}

    def words(self, schema: object, path: Steps) -> Iterator[Finding]:
        led = self.below[path] = []
        if not isinstance(schema, dict) or len(self.below) > MOST_SCHEMAS:
            return
        if len(path) > DEEPEST:
            yield Finding(path, "nested too deeply")
            return
        for word, value in schema.items():
            here = (*path, word)
            if word not in KEYWORDS:
                hint = nearest(word, KEYWORDS)
                message = f"{word!r} is no keyword that is understood here"
                yield Finding(here, message, hint, key=True)
            elif word == "$id" and path:
                yield Finding(here, "expected at the top only")
            elif word == "$ref" and isinstance(value, str):
                led.append(_steps(value))
            else:
                for inner, each in _inside(word, value):
                    place = (*here, *inner)
                    if word not in _DEFINITIONS:
                        led.append(place)
                    yield from self.words(each, place)

    def ways(self, path: Steps, depth: int = 0) -> int:
        """How many checks there may be of one value, as far as they are counted. One that leads
        into itself is counted once: the library does not go there twice for the same value.
        """
        known = self._ways.get(path)
        self.loops = self.loops or known == 0
        if known is None:
            self._ways[path] = 0
            known = MOST_WAYS + 1
            if depth <= DEEPEST:
                known = 1 + sum(self.ways(one, depth + 1) for one in self.below.get(path, ()))
            self._ways[path] = known = min(known, MOST_WAYS + 1)
        return known


def _inside(word: str, value: object) -> Iterator[tuple[Steps, object]]:
    """The schemas that a keyword has, by their places below it."""
    if word in _ONE:
        yield (), value
    elif word in _LISTS and isinstance(value, list):
        yield from (((index,), each) for index, each in enumerate(value))
    elif word in (*_MAPPINGS, *_DEFINITIONS) and isinstance(value, Mapping):
        yield from (((str(name),), each) for name, each in value.items())


def _steps(reference: str) -> Steps:
    """The place that a pointer (RFC 6901) leads to, as the steps of ``below`` are."""
    steps: list[str | int] = []
    for step in reference.split("/")[1:]:
        word = unquote(step).replace("~1", "/").replace("~0", "~")
        index = steps and steps[-1] in _LISTS and word.isascii() and word.isdecimal()
        steps.append(int(word[:9]) if index else word)
    return tuple(steps)
