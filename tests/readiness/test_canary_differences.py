"""What a local model's answer does otherwise than the app's."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from gateway.domain.call import Chat, Message, Shape, ShapeKind, Task, Tool, Tools
from gateway.domain.events import FinishReason, Usage
from gateway.engine.heard import Heard, HeardCall
from gateway.readiness.canary.differences import differences

CITY = json.dumps(
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
)
PLAIN = Chat((Message("user", "hi"),))
CALLING = Chat(PLAIN.messages, tools=Tools((Tool("weather", schema=CITY), Tool("time"))))
OBJECT = Chat(PLAIN.messages, shape=Shape(ShapeKind.JSON_OBJECT))
SCHEMA = Chat(PLAIN.messages, shape=Shape(ShapeKind.JSON_SCHEMA, CITY))
ODD = Chat(PLAIN.messages, shape=Shape(ShapeKind.JSON_SCHEMA, '{"nullable": true}'))
LOOPS = Chat(PLAIN.messages, shape=Shape(ShapeKind.JSON_SCHEMA, '{"$ref": "#"}'))
LONG = Chat(
    PLAIN.messages, shape=Shape(ShapeKind.JSON_SCHEMA, CITY.replace("{", "{" + " " * 16_000, 1))
)
CHOICE = Chat(PLAIN.messages, shape=Shape(ShapeKind.CHOICE, '["yes", "no"]'))
REGEX = Chat(PLAIN.messages, shape=Shape(ShapeKind.REGEX, "(a+)+b"))
STOP, LENGTH = FinishReason.STOP, FinishReason.LENGTH


def said(text: str = "", *calls: HeardCall, **fields: Any) -> Heard:
    return Heard(text=text, thoughts="", calls=calls, seconds=0.1, **({"reason": STOP} | fields))


def weather(arguments: str = '{"city": "Paris"}') -> HeardCall:
    return HeardCall("weather", arguments)


def used(completion: int) -> Usage:
    return Usage(5, completion)


USUAL = said("Paris.")


@dataclass(frozen=True)
class Case:
    why: str
    ours: Heard
    expected: tuple[str, ...] = ()
    task: Task = PLAIN
    theirs: Heard | None = USUAL
    limit: int | None = None


CASES = (
    Case("two texts are as good as each other", said("It is France.")),
    Case("no whole answer", said("It", failure="lost", code="worker_lost"), ("failed",)),
    Case("a failure says nothing of the rest", said(failure="x"), ("failed",), OBJECT),
    Case("nothing but blanks", said(" \n"), ("empty",)),
    Case("both say nothing", said(), theirs=said()),
    Case("ours calls, theirs talks", said("", weather()), ("tools",), CALLING),
    Case("theirs calls, ours talks", said("sunny"), ("tools",), CALLING, said("", weather())),
    Case("the same call in other words", said("", weather()), (), CALLING, said("", weather("{}"))),
    Case(
        "another function",
        said("", HeardCall("time", "{}")),
        ("functions",),
        CALLING,
        said("", weather()),
    ),
    Case(
        "one of two functions",
        said("", weather()),
        ("functions",),
        CALLING,
        said("", weather(), HeardCall("time", "{}")),
    ),
    Case(
        "a function that there is not",
        said("", HeardCall("wether", "{}")),
        ("functions",),
        CALLING,
        said("", weather()),
    ),
    Case(
        "arguments without what is required",
        said("", weather("{}")),
        ("arguments",),
        CALLING,
        said("", weather()),
    ),
    Case(
        "arguments that are no JSON",
        said("", weather('{"city": ')),
        ("arguments",),
        CALLING,
        said("", weather()),
    ),
    Case(
        "arguments that are no object",
        said("", weather('"Paris"')),
        ("arguments",),
        CALLING,
        said("", weather()),
    ),
    Case(
        "a function without parameters called without any",
        said("", HeardCall("time", "")),
        (),
        CALLING,
        said("", HeardCall("time", "{}")),
    ),
    Case("an object", said('{"a": 1}'), (), OBJECT),
    Case("a list where an object was asked for", said("[1]"), ("format",), OBJECT),
    Case("words around it", said('Here: {"a": 1}'), ("format",), OBJECT),
    Case("what the schema wants", said('{"city": "Paris"}'), (), SCHEMA),
    Case("against the schema", said('{"city": 7}'), ("format",), SCHEMA),
    Case("a schema that is not understood is not judged by", said("{}"), (), ODD),
    Case("numbers that are none are no JSON", said('{"a": NaN}'), ("format",), OBJECT),
    Case("nor are those too large for one", said('{"a": 1e999}'), ("format",), OBJECT),
    Case("a schema that takes long is not judged by", said('{"city": 7}'), (), LONG),
    Case("one that leads into itself comes to an end", said("{}"), (), LOOPS),
    Case("one of the choices", said("yes"), (), CHOICE),
    Case("none of the choices", said("maybe"), ("format",), CHOICE),
    Case("an expression is not tried", said("a" * 64), (), REGEX),
    Case(
        "theirs is not known: ours is held to what was asked", said("{}"), ("format",), SCHEMA, None
    ),
    Case("theirs is not known, and nothing was asked for", said(), theirs=None),
    Case("ours does not end", said("on and on", reason=LENGTH), ("finish",)),
    Case("theirs does not end", said("short"), ("finish",), theirs=said("long", reason=LENGTH)),
    Case("neither ends", said("x", reason=LENGTH), theirs=said("y", reason=LENGTH)),
    Case("how theirs ended is not known", said("x", reason=LENGTH), theirs=said("y", reason=None)),
    Case(
        "cut by the canary's own limit, and theirs was longer",
        said('{"city": "Pa', reason=LENGTH),
        (),
        SCHEMA,
        said("{}", usage=used(11)),
        10,
    ),
    Case(
        "cut by the canary's own limit, and who knows how long theirs was",
        said("", reason=LENGTH),
        (),
        CALLING,
        said("", weather()),
        10,
    ),
    Case(
        "cut by the canary's own limit, in which theirs was done",
        said('{"city": "Pa', reason=LENGTH),
        ("finish", "format"),
        SCHEMA,
        said("{}", usage=used(10)),
        10,
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.why)
def test_what_differs(case: Case) -> None:
    assert differences(case.task, case.theirs, case.ours, case.limit) == case.expected
