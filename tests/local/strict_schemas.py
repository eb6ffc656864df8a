"""Strict schemas, each different, given to the real model; what comes out is checked by another
library. ``python -m tests.local.strict_schemas --count 200`` prints what came of them.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import jsonschema

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


class Schemas:
    """Schemas drawn at random: every keyword that is enforced, nested, referred to and combined."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def one(self) -> dict[str, Any]:
        defined = self._scalar()
        schema = self._object(2, refers=True)
        return {**schema, "$defs": {"thing": defined}}

    def _any(self, depth: int, *, refers: bool) -> dict[str, Any]:
        kinds: list[Callable[[], dict[str, Any]]] = [self._scalar] * 4
        if depth:
            kinds += [
                lambda: self._object(depth - 1, refers=refers),
                lambda: self._array(depth - 1, refers=refers),
                lambda: {"anyOf": [self._scalar(), self._object(depth - 1, refers=False)]},
                lambda: self._tuple(depth - 1),
            ]
        if refers:
            kinds.append(lambda: {"$ref": "#/$defs/thing"})
        return self._random.choice(kinds)()

    def _object(self, depth: int, *, refers: bool) -> dict[str, Any]:
        names = self._random.sample(WORDS, self._random.randint(1, 3))
        properties = {name: self._any(depth, refers=refers) for name in names}
        required = [name for name in names if self._random.random() < 0.7]
        return {
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": False,
        }

    def _array(self, depth: int, *, refers: bool) -> dict[str, Any]:
        least = self._random.randint(0, 2)
        most = least + self._random.randint(0, 2)
        items = self._any(depth, refers=refers)
        return {"type": "array", "items": items, "minItems": least, "maxItems": most}

    def _tuple(self, depth: int) -> dict[str, Any]:
        first = [self._any(depth, refers=False) for _ in range(2)]
        return {"type": "array", "prefixItems": first, "items": False, "minItems": 2}

    def _scalar(self) -> dict[str, Any]:
        low = self._random.randint(-50, 50)
        choices: list[dict[str, Any]] = [
            {"type": "integer", "minimum": low, "maximum": low + self._random.randint(0, 900)},
            {"type": "integer", "exclusiveMinimum": low, "multipleOf": 3, "maximum": low + 99},
            {"type": "number", "minimum": low, "exclusiveMaximum": low + 7.5},
            {"type": "boolean"},
            {"type": "null"},
            {"type": ["integer", "null"], "minimum": 0, "maximum": 9},
            {"enum": self._random.sample([1, "one", None, True, "Grün", 2.5], 3)},
            {"const": self._random.choice(["x", 7, {"k": [1]}])},
            {"type": "string", "minLength": 1, "maxLength": self._random.randint(2, 12)},
            {"type": "string", "pattern": self._random.choice(PATTERNS)},
            {"type": "string", "format": self._random.choice(FORMATS)},
        ]
        return self._random.choice(choices)


def answers(model: LlamaModel, schemas: list[dict[str, Any]]) -> Iterator[tuple[int, Reason, str]]:
    """What the model writes for each schema: its number, how it ended, and the text."""
    preparer = Preparer(model, model.context)
    batcher = Batcher(model, len(schemas), time.monotonic)
    said: dict[int, list[str]] = {}
    for number, schema in enumerate(schemas):
        shape = Shape(ShapeKind.JSON_SCHEMA, json.dumps(schema))
        question = Message("user", f"Make up an example. Answer in JSON: {', '.join(WORDS)}.")
        chat = Chat((question,), Sampling(temperature=1.0), MAX_TOKENS, shape=shape)
        jobs = preparer.jobs((0, number), chat)
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
    jsonschema.validate(
        json.loads(text),
        schema,
        jsonschema.Draft202012Validator,
        format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER,
    )


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    drawn = Schemas(given.seed)
    schemas = [drawn.one() for _ in range(given.count)]
    model = LlamaModel(real_model(), context=512, slots=SLOTS, threads=2, gpu_layers=0)
    ends: Counter[str] = Counter()
    for number, reason, text in answers(model, schemas):
        if reason is Reason.LENGTH:
            ends["cut at its length, and said so"] += 1
            continue
        try:
            check(schemas[number], text)
        except (ValueError, jsonschema.ValidationError) as error:
            ends["NOT VALID"] += 1
            sys.stdout.write(f"{json.dumps(schemas[number])}\n  {text}\n  {error}\n")
        else:
            ends["valid"] += 1
    different = len({json.dumps(schema) for schema in schemas})
    sys.stdout.write(f"{given.count} schemas, {different} different: {dict(ends)}\n")
    return 1 if ends["NOT VALID"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
