"""JSON Schemas of our own reading: the verdict of the reference implementation, and an end to every
check.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

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
    "properties": {
        "below": {"type": "array", "items": {"$ref": "#"}},
        "size": {"multipleOf": 0.25},
    },
    "required": ["size"],
}


@pytest.mark.parametrize(
    ("schema", "value", "why"),
    [
        (PERSON, {"name": "Ada", "age": 36}, None),
        (PERSON, {"name": "Ada", "age": 36.0}, None),
        (PERSON, [], "is no object"),
        (PERSON, {"age": 1}, "has no 'name'"),
        (PERSON, {"name": ""}, "at /name: is too short"),
        (PERSON, {"name": "Ada", "age": "36"}, "at /age: is no integer"),
        (PERSON, {"name": "Ada", "age": 150}, "at /age: is out of bounds"),
        (PERSON, {"name": "Ada", "pet": 1}, "has a member that is not in properties"),
        (TREE, {"size": 0.5, "below": [{"size": 1}]}, None),
        (TREE, {"size": 0.5, "below": [{"size": 0.3}]}, "at /below/0/size: is no multiple of mul"),
        (TREE, {"size": 1, "below": [{}]}, "at /below/0: has no 'size'"),
        ({"enum": [1, "a", None]}, True, "is none of enum"),
        ({"const": {"a": [1.0]}}, {"a": [1]}, None),
        ({"uniqueItems": True}, [1, True, "1"], None),
        ({"uniqueItems": True}, [{"a": 1}, {"a": 1.0}], "has an item twice"),
        ({"pattern": "^[A-Z]{2}$"}, "De", "does not match pattern"),
        ({"oneOf": [{"type": "number"}, {"type": "integer"}]}, 1, "is 2 of oneOf, not one"),
        ({"if": {"required": ["a"]}, "then": {"required": ["b"]}}, {"a": 1}, "has no 'b'"),
        ({"contains": {"const": 1}, "minContains": 2}, [1, 2], "has too few or too many items of"),
        ({"prefixItems": [{"type": "null"}], "items": False}, [None, 1], "at /1: nothing is"),
        ({"dependentRequired": {"a": ["b"]}}, {"a": 1}, "has 'a' without what goes with it"),
        ({"propertyNames": {"maxLength": 1}}, {"aa": 1}, "has a member of a name that may not be"),
        (False, 1, "nothing is allowed here"),
    ],
)
def test_what_is_against_a_schema_is_said_with_its_place(
    schema: Any, value: Any, why: str | None
) -> None:
    assert not [*mistakes(schema)]
    found = violation(schema, value)
    assert (found is None) if why is None else (found or "").startswith(why)
    assert Draft202012Validator(schema).is_valid(value) == (why is None)


@pytest.mark.parametrize(
    ("schema", "path", "message", "hint"),
    [
        ({"requird": []}, ("requird",), "'requird' is no keyword", "did you mean 'required'?"),
        (
            {"properties": {"a": {"type": "int"}}},
            ("properties", "a", "type"),
            "expected one or",
            "",
        ),
        ({"items": [{}]}, ("items",), "expected a JSON Schema: a mapping, true or false", ""),
        ({"anyOf": []}, ("anyOf",), "expected a list of schemas that is not empty", ""),
        ({"minLength": -1}, ("minLength",), "expected a whole number of at least 0", ""),
        ({"pattern": "("}, ("pattern",), "not a regular expression: unclosed group", ""),
        ({"pattern": "(?=a)"}, ("pattern",), "not a regular expression: look-around", ""),
        ({"$ref": "#/$defs/a"}, ("$ref",), "'#/$defs/a' leads to no schema", "as in #/$defs/NAME"),
        ({"$ref": "#/title", "title": "a"}, ("$ref",), "'#/title' leads to no schema", "as in"),
        ({"$ref": "http://a.example/b"}, ("$ref",), "'http://a.example/b' leads to no", "as in"),
        ({"multipleOf": 0}, ("multipleOf",), "expected a number above 0", ""),
        (3, (), "expected a JSON Schema: a mapping, true or false", ""),
    ],
)
def test_a_schema_that_is_none_is_told_by_its_place(
    schema: Any, path: tuple[str, ...], message: str, hint: str
) -> None:
    (found,) = mistakes(schema)
    assert found.path == path
    assert found.message.startswith(message)
    assert found.hint.startswith(hint)


def test_fractions_are_those_that_are_written() -> None:
    """Where the reference goes by what binary fractions make of them."""
    assert violation({"multipleOf": 0.1}, 0.3) is None
    assert violation({"multipleOf": 0.1}, 0.35) is not None


def test_no_schema_takes_for_ever() -> None:
    """One that doubles with each of 40 steps; one that is itself; one that goes as deep as a value
    does.
    """
    doubling: dict[str, Any] = {
        f"d{n}": {"allOf": [{"not": {"$ref": f"#/$defs/d{n + 1}"}}] * 2} for n in range(40)
    }
    doubling["d40"] = False
    schemas = ({"$defs": doubling, "$ref": "#/$defs/d0"}, {"$ref": "#"}, {"items": {"$ref": "#"}})
    deep: Any = []
    for _ in range(500):
        deep = [deep]
    for schema in schemas:
        assert not [*mistakes(schema)]
        assert (violation(schema, deep) or "").startswith("checking takes more than")


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
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([0.5, 1.0])
    | st.text("ab", max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)
COUNT = st.integers(0, 3)
NAMES = st.lists(st.text("ab", max_size=2), max_size=2, unique=True)


def _keywords(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(inner, min_size=1, max_size=3)
    named = st.dictionaries(st.text("ab", max_size=2), inner, max_size=2)
    by_word: dict[str, st.SearchStrategy[Any]] = {
        "type": st.sampled_from(
            ["null", "boolean", "object", "array", "string", "number", "integer"]
        ),
        "enum": st.lists(JSON, min_size=1, max_size=3),
        "const": JSON,
        "multipleOf": st.sampled_from([1, 2, 0.5]),
        "required": NAMES,
        "uniqueItems": st.booleans(),
        "pattern": st.sampled_from(["a", "^b", "a+b$"]),
        "patternProperties": st.dictionaries(st.sampled_from(["a", "^b"]), inner, max_size=2),
        "dependentRequired": st.dictionaries(st.text("ab", max_size=1), NAMES, max_size=2),
        **dict.fromkeys(("properties", "dependentSchemas"), named),
        **dict.fromkeys(("allOf", "anyOf", "oneOf", "prefixItems"), several),
        **dict.fromkeys(("if", "then", "else", "not", "items", "contains", "propertyNames"), inner),
        "additionalProperties": inner,
        **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), COUNT),
        **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems"), COUNT),
        **dict.fromkeys(("minProperties", "maxProperties", "minContains", "maxContains"), COUNT),
    }
    return st.fixed_dictionaries({}, optional=by_word)


@given(st.recursive(st.booleans() | st.just({}), _keywords, max_leaves=6), JSON)
def test_the_verdict_is_the_reference_implementations(schema: Any, value: Any) -> None:
    assert not [*mistakes(schema)]
    assert (violation(schema, value) is None) == Draft202012Validator(schema).is_valid(value)


@given(
    st.recursive(
        JSON, lambda inner: st.dictionaries(st.sampled_from(sorted(KEYWORDS)), inner), max_leaves=12
    ),
    JSON,
)
def test_whatever_is_written_as_a_schema_is_told_or_applied(schema: Any, value: Any) -> None:
    if not [*mistakes(schema)]:
        violation(schema, value)
