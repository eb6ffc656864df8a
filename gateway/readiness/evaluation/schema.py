"""JSON Schemas of an operator's own: whether one is one, and what of a value is against it.

Of draft 2020-12 (https://json-schema.org/draft/2020-12), and ``definitions`` as older drafts have
it. What an answer can be held to is here; ``unevaluatedItems``, ``unevaluatedProperties`` and what
leads to other documents is not, and is refused by its name, as is any word that is no keyword: a
keyword that is misspelt would let every answer pass. ``format`` only says something, as the draft
has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from gateway.config.documents import Steps
from gateway.config.schema import Finding, nearest
from gateway.readiness.evaluation.patterns import Pattern

MOST_STEPS = 200_000
"""Subschemas that are applied to one value: whatever a schema is, to check an answer has an end."""
DEEPEST = 128
"""Subschemas within each other."""
TYPES: Mapping[str, Callable[[Any], bool]] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "number": lambda value: _is_number(value),
    "integer": lambda value: _is_number(value) and value == value // 1,
}


class TooMuch(Exception):
    """To check a value takes more steps than there are for it."""


def mistakes(schema: object) -> Iterator[Finding]:
    """What is wrong with a schema, each at its place in it."""
    reading = _Reading()
    yield from reading.mistakes(schema, ())
    for path, reference in reading.references:
        try:
            _, led = _led_to(schema, reference)
        except LookupError:
            led = None
        if led not in reading.schemas:
            message = f"{reference!r} leads to no schema in this one"
            yield Finding(path, message, "as in #/$defs/NAME; other documents are not read")


def violation(schema: object, value: object) -> str | None:
    """The first thing in a value that is against a schema without mistakes, with its place;
    ``None`` where there is nothing. No word of the value is in it.
    """
    try:
        return next(_Applied(schema).against(schema, value, ()), None)
    except (TooMuch, RecursionError):
        return f"checking takes more than {MOST_STEPS} steps, or {DEEPEST} within each other"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@lru_cache(maxsize=512)
def _pattern(source: str) -> Pattern:
    return Pattern(source)


def _key(value: Any) -> Any:
    """The same for values that are the same in JSON: 1 is 1.0, and is not true."""
    match value:
        case bool() | None | str():
            return type(value).__name__, value
        case list():
            return "list", tuple(map(_key, value))
        case dict():
            return "dict", frozenset((name, _key(each)) for name, each in value.items())
        case _:
            return "number", value


# --- Whether a schema is one ----------------------------------------------------------------------

_Shape = Callable[[Any], bool]


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _is_types(value: object) -> bool:
    words = value if isinstance(value, list) else [value]
    return bool(words) and all(isinstance(word, str) and word in TYPES for word in words)


_ANY: tuple[str, _Shape] = ("anything", lambda _: True)
_COUNT: tuple[str, _Shape] = ("a whole number of at least 0", _is_count)
_NUMBER: tuple[str, _Shape] = ("a number", _is_number)
_TEXT: tuple[str, _Shape] = ("a string", lambda value: isinstance(value, str))
_TEXTS: tuple[str, _Shape] = ("a list of strings", _is_texts)
_SHAPES: Mapping[str, tuple[str, _Shape]] = {
    **dict.fromkeys(("$comment", "$schema", "$id", "title", "description", "format"), _TEXT),
    **dict.fromkeys(("default", "deprecated", "readOnly", "writeOnly", "examples", "const"), _ANY),
    **dict.fromkeys(("maxLength", "minLength", "maxItems", "minItems"), _COUNT),
    **dict.fromkeys(("maxProperties", "minProperties", "maxContains", "minContains"), _COUNT),
    **dict.fromkeys(("maximum", "minimum", "exclusiveMaximum", "exclusiveMinimum"), _NUMBER),
    "type": (f"one or more of {', '.join(TYPES)}", _is_types),
    "enum": ("a list that is not empty", lambda value: isinstance(value, list) and bool(value)),
    "multipleOf": ("a number above 0", lambda value: _is_number(value) and value > 0),
    "pattern": _TEXT,
    "required": _TEXTS,
    "uniqueItems": ("true or false", lambda value: isinstance(value, bool)),
    "dependentRequired": (
        "a mapping of lists of strings",
        lambda value: isinstance(value, dict) and all(map(_is_texts, value.values())),
    ),
    "$ref": _TEXT,
}
_ONE = ("additionalProperties", "contains", "else", "if", "items", "not", "propertyNames", "then")
_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
_MAPPINGS = ("$defs", "definitions", "dependentSchemas", "patternProperties", "properties")
KEYWORDS = frozenset((*_SHAPES, *_ONE, *_LISTS, *_MAPPINGS))


class _Reading:
    """A schema as it is gone through: ``schemas`` are the places of all that is one in it."""

    def __init__(self) -> None:
        self.schemas: set[Steps | None] = set()
        self.references: list[tuple[Steps, str]] = []

    def mistakes(self, schema: object, path: Steps) -> Iterator[Finding]:
        """All but what is wrong with references."""
        self.schemas.add(path)
        if isinstance(schema, bool):
            return
        if not isinstance(schema, dict):
            yield Finding(path, "expected a JSON Schema: a mapping, true or false")
        elif len(path) > DEEPEST:
            yield Finding(path, "nested too deeply")
        else:
            for word, value in schema.items():
                yield from self._of_keyword(word, value, (*path, word))

    def _of_keyword(self, word: str, value: object, path: Steps) -> Iterator[Finding]:
        if word in _SHAPES:
            yield from self._misshapen(word, value, path)
        elif word in _ONE:
            yield from self.mistakes(value, path)
        elif word in _LISTS:
            if isinstance(value, list) and value:
                for index, each in enumerate(value):
                    yield from self.mistakes(each, (*path, index))
            else:
                yield Finding(path, "expected a list of schemas that is not empty")
        elif word in _MAPPINGS:
            yield from self._mapped(word, value, path)
        else:
            hint = nearest(word, KEYWORDS)
            yield Finding(path, f"{word!r} is no keyword that is understood here", hint, key=True)

    def _misshapen(self, word: str, value: Any, path: Steps) -> Iterator[Finding]:
        expected, fits = _SHAPES[word]
        if not fits(value):
            yield Finding(path, f"expected {expected}")
        elif word == "pattern":
            yield from _unreadable(value, path)
        elif word == "$ref":
            self.references.append((path, value))

    def _mapped(self, word: str, value: object, path: Steps) -> Iterator[Finding]:
        if not isinstance(value, dict):
            yield Finding(path, "expected a mapping of schemas")
            return
        for name, each in value.items():
            if word == "patternProperties":
                yield from _unreadable(name, (*path, name))
            yield from self.mistakes(each, (*path, name))


def _unreadable(source: str, path: Steps) -> Iterator[Finding]:
    try:
        _pattern(source)
    except ValueError as error:
        yield Finding(path, str(error))


def _led_to(root: object, reference: str) -> tuple[object, Steps]:
    """What a pointer (RFC 6901) leads to, and its place. Raises LookupError."""
    if reference != "#" and not reference.startswith("#/"):
        raise LookupError(reference)
    path: Steps = ()
    found = root
    for step in reference.split("/")[1:]:
        word = unquote(step).replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict):
            found, path = found[word], (*path, word)
        elif isinstance(found, list) and word.isascii() and word.isdecimal():
            found, path = found[int(word[:9])], (*path, int(word[:9]))
        else:
            raise LookupError(reference)
    return found, path


# --- Whether a value is one -----------------------------------------------------------------------


class _Applied:
    """A schema as it is applied to one value, and how much of that was done."""

    def __init__(self, root: object) -> None:
        self._root = root
        self._steps = 0
        self._depth = 0

    def against(self, schema: Any, value: Any, path: Steps) -> Iterator[str]:
        """What is against the schema. Raises TooMuch."""
        self._steps += 1
        if self._steps > MOST_STEPS or self._depth > DEEPEST:
            raise TooMuch
        if schema is False:
            yield _at(path, "nothing is allowed here")
        if not isinstance(schema, dict):
            return
        self._depth += 1
        try:
            yield from self._of_any(schema, value, path)
            if isinstance(value, dict):
                yield from self._of_object(schema, value, path)
            elif isinstance(value, list):
                yield from self._of_array(schema, value, path)
            elif isinstance(value, str):
                yield from _of_string(schema, value, path)
            elif _is_number(value):
                yield from _of_number(schema, value, path)
        finally:
            self._depth -= 1

    def _fits(self, schema: Any, value: Any, path: Steps) -> bool:
        return next(self.against(schema, value, path), None) is None

    def _of_any(self, schema: Mapping[str, Any], value: Any, path: Steps) -> Iterator[str]:
        if (types := schema.get("type")) is not None:
            words = [types] if isinstance(types, str) else types
            if not any(TYPES[word](value) for word in words):
                yield _at(path, f"is no {' or '.join(words)}")
        if "enum" in schema and _key(value) not in map(_key, schema["enum"]):
            yield _at(path, "is none of enum")
        if "const" in schema and _key(value) != _key(schema["const"]):
            yield _at(path, "is not the const")
        if (reference := schema.get("$ref")) is not None:
            yield from self.against(_led_to(self._root, reference)[0], value, path)
        for each in schema.get("allOf", ()):
            yield from self.against(each, value, path)
        if "anyOf" in schema and not any(self._fits(each, value, path) for each in schema["anyOf"]):
            yield _at(path, "is none of anyOf")
        if "oneOf" in schema:
            fitting = sum(self._fits(each, value, path) for each in schema["oneOf"])
            if fitting != 1:
                yield _at(path, f"is {fitting} of oneOf, not one")
        if "not" in schema and self._fits(schema["not"], value, path):
            yield _at(path, "is what it must not be")
        if "if" in schema:
            branch = "then" if self._fits(schema["if"], value, path) else "else"
            yield from self.against(schema.get(branch, True), value, path)

    def _of_object(
        self, schema: Mapping[str, Any], value: dict[str, Any], path: Steps
    ) -> Iterator[str]:
        for name in schema.get("required", ()):
            if name not in value:
                yield _at(path, f"has no {name!r}")
        if len(value) < schema.get("minProperties", 0):
            yield _at(path, "has too few members")
        if len(value) > schema.get("maxProperties", len(value)):
            yield _at(path, "has too many members")
        for name, others in schema.get("dependentRequired", {}).items():
            if name in value and any(other not in value for other in others):
                yield _at(path, f"has {name!r} without what goes with it")
        for name, each in schema.get("dependentSchemas", {}).items():
            if name in value:
                yield from self.against(each, value, path)
        for name in value if "propertyNames" in schema else ():
            if not self._fits(schema["propertyNames"], name, path):
                yield _at(path, "has a member of a name that may not be")
        for name, member in value.items():
            yield from self._member(schema, name, member, path)

    def _member(
        self, schema: Mapping[str, Any], name: str, member: Any, path: Steps
    ) -> Iterator[str]:
        known = False
        if name in schema.get("properties", {}):
            known = True
            yield from self.against(schema["properties"][name], member, (*path, name))
        for source, each in schema.get("patternProperties", {}).items():
            if _pattern(source).found(name):
                known = True
                # By its pattern: the name is the answer's.
                yield from self.against(each, member, (*path, source))
        if not known and "additionalProperties" in schema:
            others = schema["additionalProperties"]
            if others is False:
                yield _at(path, "has a member that is not in properties")
            else:
                yield from self.against(others, member, (*path, "*"))

    def _of_array(self, schema: Mapping[str, Any], value: list[Any], path: Steps) -> Iterator[str]:
        if len(value) < schema.get("minItems", 0):
            yield _at(path, "has too few items")
        if len(value) > schema.get("maxItems", len(value)):
            yield _at(path, "has too many items")
        if schema.get("uniqueItems") and len(set(map(_key, value))) < len(value):
            yield _at(path, "has an item twice")
        first = schema.get("prefixItems", ())
        for index, (each, item) in enumerate(zip(first, value, strict=False)):
            yield from self.against(each, item, (*path, index))
        if "items" in schema:
            for index, item in enumerate(value[len(first) :], len(first)):
                yield from self.against(schema["items"], item, (*path, index))
        if "contains" in schema:
            fitting = sum(self._fits(schema["contains"], item, path) for item in value)
            if not schema.get("minContains", 1) <= fitting <= schema.get("maxContains", fitting):
                yield _at(path, "has too few or too many items of contains")


def _of_string(schema: Mapping[str, Any], value: str, path: Steps) -> Iterator[str]:
    if len(value) < schema.get("minLength", 0):
        yield _at(path, "is too short")
    if len(value) > schema.get("maxLength", len(value)):
        yield _at(path, "is too long")
    if "pattern" in schema and not _pattern(schema["pattern"]).found(value):
        yield _at(path, "does not match pattern")


def _of_number(schema: Mapping[str, Any], value: float, path: Steps) -> Iterator[str]:
    if value < schema.get("minimum", value) or value > schema.get("maximum", value):
        yield _at(path, "is out of bounds")
    low, high = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if (low is not None and value <= low) or (high is not None and value >= high):
        yield _at(path, "is out of bounds")
    if (step := schema.get("multipleOf")) is not None and Fraction(str(value)) % Fraction(
        str(step)
    ):
        yield _at(path, "is no multiple of multipleOf")


def _at(path: Steps, what: str) -> str:
    return f"at /{'/'.join(map(str, path))}: {what}" if path else what
