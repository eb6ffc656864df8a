"""Strict schemas, each different, given to the real model; what comes out is checked by another
library. ``python -m tests.local.strict_schemas --count 200`` prints what came of them.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import jsonschema
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from gateway.domain.call import Chat, Message, Sampling, Shape, ShapeKind
from gateway.local.batch import Batcher
from gateway.local.jobs import Declined, Ended, Said
from gateway.local.llama import LlamaModel
from gateway.local.prepare import Preparer
from gateway.local.protocol import Reason
from tests.local.gguf_files import real_model

WORDS = ("name", "size", "colour", "tags", "address", "when", "price", "müller", "a b", "id")
PATTERNS = ("^[a-z]{2,6}$", "^[A-Z][a-z]+-[0-9]{2}$", "^(yes|no)$")
FORMATS = ("date", "time", "date-time", "email", "ipv4", "uuid", "hostname")
SLOTS = 8
MAX_TOKENS = 160


LOW = st.integers(-50, 50)


def _integers(low: int) -> st.SearchStrategy[dict[str, Any]]:
    wide = st.integers(0, 900).map(lambda more: {"minimum": low, "maximum": low + more})
    multiple = st.just({"exclusiveMinimum": low, "multipleOf": 3, "maximum": low + 99})
    return (wide | multiple).map(lambda bounds: {"type": "integer", **bounds})


SCALARS: st.SearchStrategy[dict[str, Any]] = st.one_of(
    LOW.flatmap(_integers),
    LOW.map(lambda low: {"type": "number", "minimum": low, "exclusiveMaximum": low + 7.5}),
    st.sampled_from(
        [
            {"type": "boolean"},
            {"type": "null"},
            {"type": ["integer", "null"], "minimum": 0, "maximum": 9},
        ]
    ),
    st.permutations([1, "one", None, True, "Grün", 2.5]).map(lambda values: {"enum": values[:3]}),
    st.sampled_from(["x", 7, {"k": [1]}]).map(lambda value: {"const": value}),
    st.integers(2, 12).map(lambda most: {"type": "string", "minLength": 1, "maxLength": most}),
    st.sampled_from(PATTERNS).map(lambda pattern: {"type": "string", "pattern": pattern}),
    st.sampled_from(FORMATS).map(lambda name: {"type": "string", "format": name}),
)


@st.composite
def _objects(draw: st.DrawFn, values: st.SearchStrategy[dict[str, Any]]) -> dict[str, Any]:
    names = draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=3, unique=True))
    return {
        "type": "object",
        "properties": {name: draw(values) for name in names},
        "required": [name for name in names if draw(st.integers(0, 9)) < 7],
        "additionalProperties": False,
    }


def _arrays(items: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    sizes = st.tuples(st.integers(0, 2), st.integers(0, 2))
    return st.tuples(items, sizes).map(
        lambda drawn: {
            "type": "array",
            "items": drawn[0],
            "minItems": drawn[1][0],
            "maxItems": sum(drawn[1]),
        }
    )


def _inner(depth: int) -> st.SearchStrategy[dict[str, Any]]:
    """What may stand within an object: scalars half of the time, and nested ``depth`` times."""
    refers = st.just({"$ref": "#/$defs/thing"})
    if not depth:
        return SCALARS | refers
    within = _inner(depth - 1)
    pairs = st.tuples(within, within)
    nested = st.one_of(
        _objects(within),
        _arrays(within),
        st.tuples(SCALARS, _objects(within)).map(lambda drawn: {"anyOf": list(drawn)}),
        pairs.map(
            lambda drawn: {
                "type": "array",
                "prefixItems": list(drawn),
                "items": False,
                "minItems": 2,
            }
        ),
    )
    return SCALARS | nested | refers


WHOLE = st.tuples(_objects(_inner(2)), SCALARS).map(
    lambda drawn: {**drawn[0], "$defs": {"thing": drawn[1]}}
)
"""Every keyword that is enforced, nested, referred to and combined."""


def schemas(count: int, number: int) -> list[dict[str, Any]]:
    """So many different ones, drawn by Hypothesis; the same for the same ``number``."""
    found: dict[str, dict[str, Any]] = {}

    @seed(number)
    @settings(
        max_examples=4 * count,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(WHOLE)
    def collect(schema: dict[str, Any]) -> None:
        found[json.dumps(schema)] = schema

    collect()
    # The first are the simplest that there are.
    return list(found.values())[-count:]


def answers(
    model: LlamaModel, drawn: list[dict[str, Any]], number: int
) -> Iterator[tuple[int, Reason, str]]:
    """What the model writes for each schema: its place, how it ended, and the text. The same
    ``number`` draws the same tokens, as far as processors agree.
    """
    preparer = Preparer(model, model.context)
    batcher = Batcher(model, len(drawn), time.monotonic)
    said: dict[int, list[str]] = {}
    for place, schema in enumerate(drawn):
        shape = Shape(ShapeKind.JSON_SCHEMA, json.dumps(schema))
        question = Message("user", f"Make up an example. Answer in JSON: {', '.join(WORDS)}.")
        sampling = Sampling(temperature=1.0, seed=number * len(drawn) + place)
        chat = Chat((question,), sampling, MAX_TOKENS, shape=shape)
        jobs = preparer.jobs((0, place), chat)
        assert not isinstance(jobs, Declined), (schema, jobs)
        assert not batcher.submit(jobs[0])
    while not batcher.idle:
        for event in batcher.step():
            assert isinstance(event.key, tuple)
            if isinstance(event, Said):
                said.setdefault(event.key[1], []).append(event.piece.text)
            elif isinstance(event, Ended):
                yield event.key[1], event.reason, "".join(said[event.key[1]])


def check(schema: dict[str, Any], text: str) -> None:
    """Raises where the text is not JSON, or not what the schema says, formats included."""
    # RFC 3339 has a year 0000, which is a leap year too; the checker's dates begin with 0001.
    jsonschema.validate(
        json.loads(text.replace('"0000-', '"2000-')),
        schema,
        jsonschema.Draft202012Validator,
        format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER,
    )


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    drawn = schemas(options.count, options.seed)
    model = LlamaModel(real_model(), context=512, slots=SLOTS, threads=2, gpu_layers=0)
    ends: Counter[str] = Counter()
    for number, reason, text in answers(model, drawn, options.seed):
        if reason is Reason.LENGTH:
            ends["cut at its length, and said so"] += 1
            continue
        try:
            check(drawn[number], text)
        except (ValueError, jsonschema.ValidationError) as error:
            ends["NOT VALID"] += 1
            sys.stdout.write(f"{json.dumps(drawn[number])}\n  {text}\n  {error}\n")
        else:
            ends["valid"] += 1
    sys.stdout.write(f"{len(drawn)} schemas, all different: {dict(ends)}\n")
    return 1 if ends["NOT VALID"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
