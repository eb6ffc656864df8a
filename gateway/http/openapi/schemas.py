"""JSON Schemas (draft 2020-12): written briefly, and read off the structs that parse bodies, so
that what is documented is what is parsed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, TypeAlias

import msgspec
from msgspec import inspect

Schema: TypeAlias = dict[str, Any]

COMPONENTS = "#/components/schemas/"
STRING: Schema = {"type": "string"}
INTEGER: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
NULL: Schema = {"type": "null"}
BOOLEAN: Schema = {"type": "boolean"}
ANYTHING: Schema = {}
TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
COUNT: Schema = {"type": "integer", "minimum": 0}


def ref(name: str) -> Schema:
    return {"$ref": f"{COMPONENTS}{name}"}


def listed(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def word(*words: str) -> Schema:
    """One of these strings."""
    return {"const": words[0]} if len(words) == 1 else {"enum": [*words]}


def maybe(schema: Schema) -> Schema:
    """That, or null."""
    return {"anyOf": [schema, NULL]}


def record(properties: Mapping[str, Schema], optional: Collection[str] = ()) -> Schema:
    """An object with these properties, and perhaps more: an answer that is relayed is the vendor's.
    A name in ``optional`` may be absent.
    """
    required = [name for name in properties if name not in optional]
    schema: Schema = {"type": "object", "properties": dict(properties)}
    return {**schema, "required": required} if required else schema


def event(*data: Schema, named: bool = False) -> Schema:
    """An event of a stream, whose data is one of these as JSON. One that is ``named`` has a name;
    of others the last is ``[DONE]``.
    """
    inside: Schema = {
        "contentMediaType": "application/json",
        "contentSchema": {"anyOf": [*data]} if len(data) > 1 else data[0],
    }
    if named:
        return record({"event": STRING, "data": {**STRING, **inside}})
    return record({"data": {**STRING, "anyOf": [word("[DONE]"), inside]}})


def read_off(struct: type[msgspec.Struct], prefix: str) -> dict[str, Schema]:
    """The schemas of a struct and of those within it, by their names behind ``prefix``; the first
    is its own.
    """
    found: dict[str, Schema] = {}
    _component(inspect.type_info(struct), prefix, found)
    return found


def limit(schema: Schema, ranges: Iterable[tuple[str, float, float]]) -> None:
    """Put bounds on the numbers of an object: a property's name, its least and its most."""
    for name, low, high in ranges:
        bounds: Schema = {"minimum": low} if low != float("-inf") else {}
        if high != float("inf"):
            bounds["maximum"] = high
        schema["properties"][name] |= bounds


def _component(kind: inspect.Type, prefix: str, found: dict[str, Schema]) -> Schema:
    if not isinstance(kind, inspect.StructType):
        raise TypeError(f"{kind} is no struct")
    name = prefix + kind.cls.__name__.strip("_")
    if name not in found:
        schema: Schema = {"type": "object"}
        found[name] = schema
        schema["properties"] = {
            field.encode_name: _schema(field.type, prefix, found) for field in kind.fields
        }
        required = [field.encode_name for field in kind.fields if field.required]
        if required:
            schema["required"] = required
    return ref(name)


def _schema(kind: inspect.Type, prefix: str, found: dict[str, Schema]) -> Schema:
    match kind:
        case inspect.StructType():
            return _component(kind, prefix, found)
        case inspect.UnionType(types=types):
            return _either([_schema(one, prefix, found) for one in types])
        case inspect.ListType(item_type=item):
            return listed(_schema(item, prefix, found))
        case inspect.DictType(value_type=value):
            return {"type": "object", "additionalProperties": _schema(value, prefix, found)}
        case inspect.IntType(ge=low, le=high) if low is not None and high is not None:
            return {**INTEGER, "minimum": low, "maximum": high}
        case inspect.LiteralType(values=values):
            return {"enum": [*values]}
        case _:
            return dict(_PLAIN[type(kind)])


_PLAIN: Mapping[type[inspect.Type], Schema] = {
    inspect.AnyType: ANYTHING,
    inspect.RawType: ANYTHING,
    inspect.NoneType: NULL,
    inspect.BoolType: BOOLEAN,
    inspect.IntType: INTEGER,
    inspect.FloatType: NUMBER,
    inspect.StrType: STRING,
}


def _either(schemas: list[Schema]) -> Schema:
    """Plain types together, as one; the others beside them."""
    if not all(schemas):
        return ANYTHING
    typed = [schema for schema in schemas if schema != NULL]
    if len(typed) == 1 and len(schemas) == 2 and "type" in typed[0]:
        return {**typed[0], "type": [typed[0]["type"], "null"]}
    plain = [schema["type"] for schema in schemas if schema.keys() == {"type"}]
    others = [schema for schema in schemas if schema.keys() != {"type"}]
    if not plain:
        return {"anyOf": others}
    together: Schema = {"type": plain[0] if len(plain) == 1 else plain}
    return {"anyOf": [*others, together]} if others else together
