"""Bounds of numbers, as a grammar keeps them: character by character, so without a model."""

from __future__ import annotations

import json
import random
from decimal import ROUND_FLOOR, Decimal, localcontext
from typing import Any

import jsonschema
import pytest

from gateway.domain.call import Shape, ShapeKind, Tool, ToolChoice, Tools
from gateway.local.bounds import bounded
from gateway.local.formats import HERMES
from gateway.local.grammar import Frame, Grammar, GrammarFault, grammar
from gateway.local.guide import Guides

END = 256
LONG = "0" * 25


class Characters:
    """A vocabulary of all bytes and an end."""

    pieces = (*(bytes([byte]) for byte in range(END)), b"")
    ends = frozenset({END})

    def name(self, token: int) -> bytes:
        return self.pieces[token] or b"<end>"

    def encode(self, text: str) -> list[int]:
        return list(text.encode())


GUIDES = Guides(Characters())


class Walk:
    """Whether a text is a whole answer by a grammar."""

    def __init__(self, wanted: Grammar | None) -> None:
        assert wanted is not None
        self._begin = GUIDES.compile(wanted, "response_format")

    def __call__(self, text: str) -> bool:
        guide = self._begin.fork()
        for token in text.encode():
            if not guide.allows(token):
                return False
            guide.take(token)
        return guide.allows(END)


def strict(schema: dict[str, Any]) -> Walk:
    return Walk(grammar(Frame(HERMES), Shape(ShapeKind.JSON_SCHEMA, json.dumps(schema)), None))


def valid(schema: dict[str, Any], text: str) -> bool:
    """By the word of another library, which reads numbers as doubles."""
    return jsonschema.Draft202012Validator(schema).is_valid(json.loads(text))


@pytest.mark.parametrize(
    ("bounds", "fit", "unfit"),
    [
        (
            {"minimum": -47, "exclusiveMaximum": -39.5},
            ("-47", "-47.0", "-40", "-39.51", "-39.6"),
            ("-39.5", "-39.50", f"-39.5{LONG}1", "-39.49", "-39", "-47.1", f"-47.{LONG}1"),
        ),
        (
            {"exclusiveMinimum": 7, "maximum": 7.5},
            ("7.1", "7.00001", "7.5"),
            ("7", "7.0", f"7.{LONG}1", "7.51", f"7.5{LONG}1", "8"),
        ),
        ({"exclusiveMinimum": -7.5, "exclusiveMaximum": -7}, ("-7.25", "-7.3"), ("-7", "-7.5")),
        ({"exclusiveMaximum": 0}, ("-1", "-0.5"), ("0", "-0", "-0.0", f"-0.{LONG}1")),
        ({"exclusiveMinimum": 0}, ("1", "0.5", "0.000001"), ("0", "-0", "0.0", f"0.{LONG}1")),
        ({"minimum": 0}, ("0", "0.0", "0.25"), ("-1", "-0.5")),
        (
            {"exclusiveMinimum": 0, "exclusiveMaximum": 1},
            ("0.5", "0.990"),
            ("1", "1.0", f"0.{'9' * 30}"),
        ),
        ({"maximum": 0.049999999999999996}, ("0.048",), ("0.05", "0.050")),
        ({"minimum": 0.1 + 0.2}, ("0.31",), ("0.3", "0.30000000000000003")),
        ({"maximum": 2, "exclusiveMaximum": 2.5}, ("2", "1.5"), ("2.4", "2.5")),
        ({"maximum": 2.5, "exclusiveMaximum": 2.5}, ("2.3", "2.40"), ("2.5",)),
        # As draft 4 has it.
        (
            {"maximum": 7, "minimum": 6.5, "exclusiveMaximum": True},
            ("6.8", "6.90", "6.5"),
            ("7", "7.0"),
        ),
        ({"maximum": 7, "exclusiveMaximum": False}, ("7", "7.0"), ("7.1",)),
    ],
)
def test_numbers_keep_to_their_bounds(
    bounds: dict[str, Any], fit: tuple[str, ...], unfit: tuple[str, ...]
) -> None:
    """Also where a long decimal, read as a double, would be the very bound."""
    walk = strict({"type": "number", **bounds})
    assert [text for text in fit if not walk(text)] == []
    assert [text for text in unfit if walk(text)] == []


@pytest.mark.parametrize(
    ("bounds", "fit", "unfit"),
    [
        ({"exclusiveMinimum": -7, "exclusiveMaximum": -2}, ("-6", "-3"), ("-7", "-2")),
        ({"exclusiveMinimum": 0, "exclusiveMaximum": 5}, ("1", "4"), ("0", "-0", "5")),
        ({"minimum": -1.5, "exclusiveMaximum": 2.5}, ("-1", "0", "2"), ("-2", "3")),
        ({"exclusiveMinimum": -7, "multipleOf": 3, "maximum": 92}, ("-6", "90"), ("-7", "92")),
        ({"maximum": 2**53 + 3}, (str(2**53 + 2),), (str(2**53 + 4),)),
        ({"exclusiveMaximum": 2**53}, (str(2**53 - 1),), (str(2**53),)),
        ({"minimum": 0, "maximum": 2**63 - 1}, (str(2**62),), (str(2**63),)),
        ({"minimum": -(2**63), "maximum": 2**63 - 1}, ("0", str(-(2**62))), (str(-(2**63) - 1),)),
    ],
)
def test_whole_numbers_keep_to_their_bounds(
    bounds: dict[str, Any], fit: tuple[str, ...], unfit: tuple[str, ...]
) -> None:
    walk = strict({"type": "integer", **bounds})
    assert [text for text in fit if not walk(text)] == []
    assert [text for text in unfit if walk(text)] == []


def drawn(chance: random.Random) -> float:
    """A bound, of any size and any number of digits."""
    return chance.choice(
        (
            lambda: chance.randint(-50, 50),
            lambda: chance.randint(-500, 500) / 10,
            lambda: chance.uniform(-2, 2),
            lambda: chance.uniform(-1e6, 1e6),
            lambda: chance.choice((-1, 1)) * 10 ** chance.randint(0, 15),
            lambda: chance.choice((-1, 1)) * 10.0 ** chance.randint(-20, 15),
            lambda: chance.randint(-(10**17), 10**17),
        )
    )()


def near(bound: float) -> set[str]:
    """Numbers at a bound and close to it, however they are written."""
    found = {"0", "-0", "-0.0"}
    with localcontext() as context:
        context.prec = 80
        exact = Decimal(repr(bound))
        for power in (0, 1, 2, 6, 12, 14, 15, 16, 22, 30):
            step = Decimal(1).scaleb(-power)
            floor = exact.quantize(step, rounding=ROUND_FLOOR)
            found |= {format(floor + more * step, "f") for more in (-1, 0, 1)}
    return found


def test_no_bound_lets_through_what_is_beyond_it() -> None:
    """Bounds of all sizes: each number near to them that is let through is valid."""
    chance = random.Random(7)
    through = 0
    for _ in range(150):
        low = drawn(chance)
        high = low + chance.choice((0.1, 0.5, 1, 7.5, 100))
        schema = {
            "type": chance.choice(("number", "integer")),
            chance.choice(("minimum", "exclusiveMinimum")): low,
            chance.choice(("maximum", "exclusiveMaximum")): high,
        }
        try:
            walk = strict(schema)
        except GrammarFault:  # no number is between the two
            continue
        let = [text for text in near(low) | near(high) if walk(text)]
        assert [text for text in let if not valid(schema, text)] == [], schema
        through += len(let)
    assert through > 1000


def test_a_bound_that_no_grammar_keeps_is_refused_by_name() -> None:
    for bounds in ({"minimum": 2**63}, {"exclusiveMaximum": -1e30}, {"minimum": 10**400}):
        with pytest.raises(GrammarFault, match="beyond") as caught:
            strict({"type": "integer", **bounds})
        assert caught.value.param == "response_format"
    with pytest.raises(GrammarFault):
        strict({"type": "number", "maximum": float("inf")})


def test_only_bounds_of_schemas_are_changed() -> None:
    """Wherever they stand; what an app calls so itself, and values, are no bounds."""
    bound, kept = {"exclusiveMaximum": 5}, {"exclusiveMaximum": 5}
    held = {"maximum": 4.99999999999999}
    schema = {
        "properties": {"exclusiveMaximum": bound, "const": bound, "a": {"anyOf": [bound, True]}},
        "$defs": {"enum": {"items": bound}},
        "components": {"x": bound},
        "enum": [kept, 5],
        "const": kept,
        "default": kept,
    }
    assert bounded(schema) == {
        "properties": {"exclusiveMaximum": held, "const": held, "a": {"anyOf": [held, True]}},
        "$defs": {"enum": {"items": held}},
        "components": {"x": held},
        "enum": [kept, 5],
        "const": kept,
        "default": kept,
    }
    assert schema["const"] is kept
    assert bound == {"exclusiveMaximum": 5}


def test_the_arguments_of_a_function_are_held_too() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "number", "exclusiveMinimum": 3}}}
    tools = Tools((Tool("rise", schema=json.dumps(schema)),), ToolChoice.REQUIRED)
    walk = Walk(grammar(Frame(HERMES), None, tools))
    begin, end = HERMES.start, f"{HERMES.end}{HERMES.close}"
    assert walk(f'{begin}rise{HERMES.middle}{{"n": 3.5}}{end}')
    assert not walk(f'{begin}rise{HERMES.middle}{{"n": 3.{LONG}1}}{end}')
