"""What an answer must be, as a grammar for llguidance: shapes of text, calls of functions,
thinking.

Source of the grammars' language: docs/syntax.md and docs/json_schema.md of llguidance.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.domain.call import Shape, ShapeKind, Tool, ToolChoice, Tools
from gateway.local.bounds import TooFar, bounded
from gateway.local.formats import HARMONY, Arguments, Thinking, ToolFormat

NAME = re.compile(r"[A-Za-z0-9_.\-]{1,128}")
_ANY = r"/(.|\n)*/"
_WRITTEN: Mapping[str, Any] = {
    # Blanks as most texts have them, and no more: a small model would write blanks for ever.
    "whitespace_flexible": False,
    "item_separator": ", ",
    "key_separator": ": ",
}


class GrammarFault(Exception):
    """What an app asks for cannot be made a grammar. ``param`` is what to correct."""

    def __init__(self, message: str, param: str) -> None:
        super().__init__(message)
        self.param = param


@dataclass(frozen=True, slots=True)
class Frame:
    """How a model writes. ``opened`` says that the prompt has opened the thinking already."""

    format: ToolFormat
    thinking: Thinking | None = None
    opened: bool = False


@dataclass(frozen=True, slots=True)
class Grammar:
    """``lark`` is the whole; ``given`` a grammar of the app's own that it refers to as
    ``@given``.
    """

    lark: str
    given: str | None = None


def grammar(frame: Frame, shape: Shape | None, tools: Tools | None) -> Grammar | None:
    """The grammar of an answer; ``None`` where anything goes.

    Raises GrammarFault where a schema is no JSON object.
    """
    calling = tools is not None and tools.choice is not ToolChoice.NONE
    if shape is None and not calling:
        return None
    content = "text" if shape is None else "body"
    rules = ["%llguidance {}", f"text: {_ANY}" if shape is None else f"body: {_body(shape)}"]
    ways = [content]
    if tools is not None and calling:
        rules += _calls(frame.format, tools)
        if tools.choice is ToolChoice.REQUIRED:
            ways = ["calls"]
        elif shape is not None or frame.format is HARMONY:
            ways = [content, "calls"]
        elif frame.format.anywhere:
            # Thinking is a part of the text, up to the trigger that only a call begins with.
            rules.append(f"headed[lazy]: {_ANY} {_text(frame.format.trigger)}")
            return Grammar("\n".join([*rules, "start: text | headed begun"]))
        else:
            # Neither a call nor thinking begins so.
            marks = [frame.format.trigger, frame.thinking.open if frame.thinking else ""]
            first = "".join(re.escape(mark[0]) for mark in marks if mark)
            rules.append(rf"other: /([^{first}\s](.|\n)*)?/")
            ways = ["other", "calls"]
    given = shape.source if shape is not None and shape.kind is ShapeKind.GRAMMAR else None
    return Grammar("\n".join([*rules, *_start(frame, ways)]), given)


def _body(shape: Shape) -> str:
    match shape.kind:
        case ShapeKind.JSON_OBJECT:
            return f"%json {_schema({'type': 'object'}, strict=True)}"
        case ShapeKind.JSON_SCHEMA:
            return f"%json {_schema(_parsed(shape.source, 'response_format'), strict=shape.strict)}"
        case ShapeKind.REGEX:
            return _regex(shape.source)
        case ShapeKind.CHOICE:
            return " | ".join(map(_text, json.loads(shape.source)))
        case ShapeKind.GRAMMAR:
            return "@given"


def _start(frame: Frame, ways: Sequence[str]) -> list[str]:
    """The rule to begin with: one of ``ways``, behind the thinking where the model thinks."""
    if frame.format is HARMONY:
        return _channels(ways)
    what = " | ".join(ways)
    if frame.thinking is None:
        return [f"start: {what}"]
    rules = [r"gap: /\s{0,2}/", f"thought[lazy]: {_ANY} {_text(frame.thinking.close)}"]
    if frame.opened:
        return [*rules, f"start: thought gap ({what})"]
    return [*rules, f"start: ({_text(frame.thinking.open)} thought gap)? ({what})"]


def _channels(ways: Sequence[str]) -> list[str]:
    """gpt-oss thinks in a channel, perhaps says what it is about to do, then answers or calls."""
    ends = [way if way == "calls" else f'"<|channel|>final<|message|>" {way}' for way in ways]
    return [
        f'aside[lazy]: {_ANY} "<|end|><|start|>assistant"',
        'start: ("<|channel|>analysis<|message|>" aside)? '
        f'("<|channel|>commentary<|message|>" aside)? ({" | ".join(ends)})',
    ]


def _calls(format: ToolFormat, tools: Tools) -> list[str]:
    """The rules ``calls`` (from the first mark on) and ``begun`` (behind the trigger)."""
    wanted = [tool for tool in tools.available if tools.named in (None, tool.name)]
    rules: list[str] = []
    for index, tool in enumerate(wanted):
        if not NAME.fullmatch(tool.name):
            named = tool.name[:64]
            message = f"a function's name is of letters, digits, '_', '.' and '-', not {named!r}"
            raise GrammarFault(message, "tools")
        rules.append(f"tool_{index}: {_text(tool.name + format.middle)} arguments_{index}")
        rules += _arguments(f"arguments_{index}", format, tool)
    either = " | ".join(f"tool_{index}" for index in range(len(wanted)))
    rules.append(f"call: ({either}) {_text(format.end)}")
    rest = _text(format.close)
    if tools.parallel and tools.named is None and format.parallel:
        rest = f"({_text(format.between + format.begin)} call)* {rest}"
    rules.append(f"calls: {_text(format.start)} call {rest}")
    rules.append(f"begun: {_text(format.start.removeprefix(format.trigger))} call {rest}")
    return rules


def _arguments(rule: str, format: ToolFormat, tool: Tool) -> list[str]:
    schema = _parsed(tool.schema, "tools")
    # No function wants arguments that it has not declared, unless it says so.
    schema = {"additionalProperties": False, **schema, "type": "object"}
    if format.arguments is Arguments.JSON:
        return [f"{rule}: %json {_schema(schema, strict=tool.strict)}"]
    properties = schema.get("properties")
    if not isinstance(properties, dict) or not properties:
        return [f'{rule}: ""']
    required = schema.get("required") or []
    shared: dict[str, Any] = {key: schema[key] for key in ("$defs", "definitions") if key in schema}
    rules: list[str] = []
    must: list[str] = []
    may: list[str] = []
    for index, (name, value) in enumerate(properties.items()):
        one = f"{rule}_{index}"
        inner = {**shared, **value} if isinstance(value, dict) else shared
        rules.append(f"{one}: {_text(name + '=')} %json {_schema(inner, strict=tool.strict)}")
        (must if name in required else may).append(one)
    if must:
        said = ' ", " '.join(must) + "".join(f' (", " {one})?' for one in may)
    else:
        starts = (
            one + "".join(f' (", " {later})?' for later in may[index + 1 :])
            for index, one in enumerate(may)
        )
        said = f"({' | '.join(starts)})?"
    return [*rules, f"{rule}: {said}"]


def _parsed(source: str, param: str) -> dict[str, Any]:
    try:
        schema = json.loads(source)
        if isinstance(schema, dict):
            return bounded(schema)
    except TooFar as fault:
        raise GrammarFault(str(fault), param) from fault
    except (ValueError, RecursionError):
        pass
    raise GrammarFault("the schema must be a JSON object", param)


def _schema(schema: dict[str, Any], *, strict: bool) -> str:
    # An app's own `x-guidance` must not undo `strict`.
    return json.dumps({**schema, "x-guidance": {**_WRITTEN, "lenient": not strict}})


def _regex(source: str) -> str:
    # What would end the expression is escaped, unless it is already.
    return "/" + re.sub(r"(?<!\\)((?:\\\\)*)/", r"\1\/", source).replace("\n", r"\n") + "/"


def _text(literal: str) -> str:
    return json.dumps(literal, ensure_ascii=False) if literal else ""
