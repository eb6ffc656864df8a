"""The document: what it says is there, is; what is there, it says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import jsonschema
import msgspec
import pytest
from fastapi.routing import APIRoute
from msgspec.inspect import StructType, type_info
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from gateway.http.app import GatewayApp, create_app
from gateway.http.openapi.operation import Body, Operation
from gateway.http.openapi.operations import OPERATIONS
from gateway.http.openapi.schemas import read_off, ref
from gateway.wire.whole import Whole
from tests.exchange.bare import bare

BODIES = [operation.body for operation in OPERATIONS if operation.body is not None]


@pytest.fixture(scope="module")
def app() -> GatewayApp:
    return create_app(bare())


@pytest.fixture(scope="module")
def document(app: GatewayApp) -> dict[str, Any]:
    return app.openapi()


def routes(app: GatewayApp) -> Iterator[tuple[str, str]]:
    """Each method and path that is there, but for one that only says that it is not."""
    yield from (("post", path) for path in app.data_plane)
    included = [
        router.original_router for router in app.routes if hasattr(router, "original_router")
    ]
    for route in (route for router in included for route in router.routes):
        assert isinstance(route, APIRoute)
        if route.include_in_schema:
            yield from ((method.lower(), route.path) for method in route.methods or ())


def test_every_path_is_documented_and_no_other(app: GatewayApp, document: dict[str, Any]) -> None:
    """A surface that is added is added to the table of operations too."""
    there = {(method, path.replace(":path}", "}")) for method, path in routes(app)}
    said = {(method, path) for path, item in document["paths"].items() for method in item}
    assert said == there


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.name)
def test_every_parameter_is_explained_and_no_other(body: Body) -> None:
    """A parameter that the parser comes to know, or forgets, fails here until the document does."""
    kind = type_info(body.struct)
    assert isinstance(kind, StructType)
    parsed = {field.encode_name for field in kind.fields}
    assert set(body.means) == parsed
    assert {name for name, _, _ in body.ranges} <= parsed
    assert set(body.required) <= parsed


def references(part: object) -> Iterator[str]:
    if isinstance(part, dict):
        if "$ref" in part:
            yield part["$ref"]
        for inside in part.values():
            yield from references(inside)
    elif isinstance(part, list):
        for inside in part:
            yield from references(inside)


def test_every_reference_leads_somewhere_and_every_schema_is_used(document: dict[str, Any]) -> None:
    """Nothing is left over, and nothing is missing."""
    found = set(references(document))
    components = {
        f"#/components/{kind}/{name}"
        for kind in ("schemas", "headers")
        for name in document["components"][kind]
    }
    assert found == components


def test_every_schema_is_one(document: dict[str, Any]) -> None:
    """Of draft 2020-12."""
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.id)
def test_every_example_is_valid(document: dict[str, Any], operation: Operation) -> None:
    """By the schema that stands beside it."""
    if operation.body is None:
        return
    whole = Resource.from_contents(document, default_specification=DRAFT202012)
    registry: Registry[Any] = Registry().with_resource("urn:document", whole)
    schema = {"$ref": f"urn:document{ref(operation.body.name)['$ref']}"}
    validator = jsonschema.Draft202012Validator(schema, registry=registry)
    assert operation.body.examples
    for example in operation.body.examples.values():
        validator.validate(example)


def test_ids_of_operations_are_unique(document: dict[str, Any]) -> None:
    """Generators of clients call functions by them."""
    ids = [one["operationId"] for item in document["paths"].values() for one in item.values()]
    assert len(set(ids)) == len(ids)


class _Inside(msgspec.Struct):
    again: list[_Inside] | None = None


class _Whole(msgspec.Struct):
    text: str
    kind: Literal["a", "b"]
    raw: msgspec.Raw = msgspec.Raw(b"null")
    anything: Any = None
    either: str | list[str] | None = None
    number: float | None = None
    flags: dict[str, bool] | None = None
    inside: _Inside | str | None = None
    whole: Whole = 0
    renamed: int = msgspec.field(default=0, name="other")


def test_a_struct_is_read_off_as_it_is_parsed() -> None:
    """Every kind of field; structs within are named once, also those that hold themselves."""
    assert read_off(_Whole, "Some") == {
        "SomeWhole": {
            "type": "object",
            "properties": {
                "text": {"type": "string"},
                "kind": {"enum": ["a", "b"]},
                "raw": {},
                "anything": {},
                "either": {
                    "anyOf": [
                        {"type": "array", "items": {"type": "string"}},
                        {"type": ["string", "null"]},
                    ]
                },
                "number": {"type": ["number", "null"]},
                "flags": {
                    "type": ["object", "null"],
                    "additionalProperties": {"type": "boolean"},
                },
                "inside": {"anyOf": [ref("SomeInside"), {"type": ["string", "null"]}]},
                "whole": {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
                "other": {"type": "integer"},
            },
            "required": ["text", "kind"],
        },
        "SomeInside": {
            "type": "object",
            "properties": {"again": {"type": ["array", "null"], "items": ref("SomeInside")}},
        },
    }
