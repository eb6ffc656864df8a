"""JSON Schemas that others write: their mistakes are told, and every check has an end."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.readiness.evaluation.documents import read_json
from gateway.readiness.evaluation.patterns import Pattern
from gateway.readiness.evaluation.schema import KEYWORDS, mistakes, violation

PERSON: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string", "minLength": 1}, "age": {"$ref": "#/$defs/age"}},
    "required": ["name"],
    "additionalProperties": False,
    "$defs": {"age": {"type": "integer", "minimum": 0, "exclusiveMaximum": 150}},
}
TREE: dict[str, Any] = {
    "properties": {"below": {"type": "array", "items": {"$ref": "#"}}, "size": {"multipleOf": 0.1}},
    "required": ["size"],
}


@pytest.mark.parametrize(
    ("schema", "value", "why"),
    [
        (PERSON, {"name": "Ada", "age": 36}, None),
        (PERSON, {"name": "Ada", "age": 36.0}, None),
        (PERSON, [], "is against type"),
        (PERSON, {"age": 1}, "is against required"),
        (PERSON, {"name": ""}, "is against properties/name/minLength"),
        (PERSON, {"name": "Ada", "age": "36"}, "is against $defs/age/type"),
        (PERSON, {"name": "Ada", "pet": 1}, "is against additionalProperties"),
        (TREE, {"size": 0.3, "below": [{"size": 1}]}, None),
        (TREE, {"size": 0.3, "below": [{}]}, "is against the schema"),
        ({"pattern": "^[A-Z]{2}$"}, "De", "is against pattern"),
        ({"type": "string"}, "\ud800", "cannot be held to the schema"),
        (False, 1, "is against the schema"),
    ],
)
def test_a_value_is_valid_or_told_by_what_it_is_against(
    schema: Any, value: Any, why: str | None
) -> None:
    assert not [*mistakes(schema)]
    found = violation(schema, value)
    assert (found is None) if why is None else (found or "").startswith(why)


@pytest.mark.parametrize(
    ("schema", "path", "message", "hint"),
    [
        ({"requird": []}, ("requird",), "'requird' is no keyword", "did you mean 'required'?"),
        (
            {"$defs": {"a": {"tpye": "a"}}},
            ("$defs", "a", "tpye"),
            "'tpye' is no keyword",
            "did you",
        ),
        ({"not": {"$id": "a"}}, ("not", "$id"), "expected at the top only", ""),
        (
            {"properties": {"a": {"type": "int"}}},
            ("properties", "a", "type"),
            "it is not valid",
            "",
        ),
        ({"items": [{}]}, ("items",), "it is not of types", ""),
        ({"minLength": -1}, ("minLength",), "it is less than the minimum of 0", ""),
        ({"pattern": "("}, ("pattern",), 'it is not a "regex"', ""),
        ({"pattern": "(?=a)"}, ("pattern",), 'it is not a "regex"', ""),
        ({"$ref": "#/$defs/a"}, (), "Pointer '/$defs/a' does not exist", ""),
        (3, (), "it is not of types", ""),
    ],
)
def test_a_schema_that_is_none_is_told_by_its_place(
    schema: Any, path: tuple[str, ...], message: str, hint: str
) -> None:
    (found,) = mistakes(schema)
    assert found.path == path
    assert found.message.startswith(message)
    assert found.hint.startswith(hint)


def test_nothing_is_fetched_whatever_a_schema_refers_to(tmp_path: Path) -> None:
    """Neither a host nor a file of this machine."""
    file = tmp_path / "schema.json"
    file.write_text("true")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.5)
        port = listening.getsockname()[1]
        for url in (f"http://127.0.0.1:{port}/a.json", file.as_uri()):
            for schema in ({"$ref": url}, {"$schema": url}, {"$id": url, "$ref": "other.json"}):
                assert [*mistakes(schema)], schema
        with pytest.raises(TimeoutError):
            listening.accept()


def _ways(steps: int) -> dict[str, Any]:
    """Each of its steps doubles the ways to the last."""
    each: dict[str, Any] = {
        f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(steps)
    }
    return {"$defs": {**each, f"d{steps}": False}, "$ref": "#/$defs/d0"}


def _chain(steps: int) -> dict[str, Any]:
    each: dict[str, Any] = {f"d{n}": {"$ref": f"#/$defs/d{n + 1}"} for n in range(steps)}
    return {"$defs": {**each, f"d{steps}": False}, "$ref": "#/$defs/d0"}


def _nested(steps: int) -> Any:
    schema: Any = False
    for _ in range(steps):
        schema = {"not": schema}
    return schema


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (_ways(40), "more than 100000 checks of one value"),
        (_chain(1000), "more than 100000 checks of one value, or 128 within each other"),
        (_nested(500), "nested too deeply"),
        ({"anyOf": [True] * 20_000}, "holds more than 5000 schemas"),
    ],
)
def test_a_schema_that_there_is_no_time_for_is_refused(schema: Any, message: str) -> None:
    (found,) = mistakes(schema)
    assert found.message.startswith(message)
    for smaller in (_ways(8), _chain(100), _nested(50), {"anyOf": [True] * 4000}):
        assert not [*mistakes(smaller)]
        violation(smaller, 1)


def test_a_schema_that_leads_into_itself_comes_to_an_end() -> None:
    """With one way or with two to each level of a deep value, and at the same one."""
    twice = {"type": "array", "anyOf": [{"items": {"$ref": "#"}, "title": t} for t in "ab"]}
    deep: Any = 1
    for _ in range(200):
        deep = [deep]
    for schema in (twice, {"items": {"$ref": "#"}}, {"$ref": "#"}, {"not": {"$ref": "#"}}):
        assert not [*mistakes(schema)]
        violation(schema, deep)
    assert violation(twice, deep) == "is against the schema"


def test_no_expression_takes_for_ever() -> None:
    """What doubles the time of a reader that goes back with each letter."""
    assert not Pattern("^(a+)+$").found("a" * 200_000 + "b")
    assert Pattern("^(a|a)*$").found("a" * 200_000)


@pytest.mark.parametrize(
    ("source", "ignore_case", "text", "there"),
    [
        ("paris", True, "In PARIS.", True),
        ("paris", False, "In PARIS.", False),
        (r"^\d+$", False, "12\n", False),
        ("a|b", True, "xB", True),
        ("ä", True, "Ä", True),
    ],
)
def test_an_expression_is_looked_for_anywhere(
    source: str, ignore_case: bool, text: str, there: bool
) -> None:
    assert Pattern(source, ignore_case=ignore_case).found(text) is there


@pytest.mark.parametrize("source", ["a)(b", "(", r"(a)\1", "a{1000}{1000}{1000}"])
def test_what_is_no_expression_is_refused_in_words(source: str) -> None:
    with pytest.raises(ValueError, match=r"not a regular expression: [a-zA-Z]") as caught:
        Pattern(source, ignore_case=True)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "not JSON: Expecting property name"),
        ("NaN", "not JSON: NaN is no number"),
        ("1e999", "not JSON that can be read: a number is too large"),
        ("[" * 100_000, "not JSON that can be read: nested too deeply"),
        ("9" * 5000, "not JSON that can be read: a number is too long"),
        ('{"a": 1, "a": 2}', "the key 'a' stands twice"),
    ],
)
def test_what_is_no_json_is_told(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why.split(" at ")[0]):
        read_json(text, once=True)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)
SCHEMAS = st.recursive(
    JSON | st.sampled_from(["string", "#", "#/$defs/a", "^a+$"]),
    lambda inner: (
        st.dictionaries(st.sampled_from(sorted(KEYWORDS)), inner, max_size=4)
        | st.dictionaries(st.sampled_from("ab"), inner, max_size=2)
        | st.lists(inner, max_size=2)
    ),
    max_leaves=12,
)


@given(SCHEMAS, JSON)
def test_whatever_is_written_as_a_schema_is_told_or_applied(schema: Any, value: Any) -> None:
    if not [*mistakes(schema)]:
        violation(schema, value)
