"""What a local model's answer does otherwise than the one that the app was given. Pure.

Words are not compared: two good answers to one question have few in common. What an app breaks on
is: no answer, no call where one was due, a call that it cannot make, JSON that it cannot read.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Any

from gateway.domain.call import Chat, Completion, Shape, ShapeKind, Task, Tool
from gateway.domain.events import FinishReason
from gateway.engine.heard import Heard, HeardCall
from gateway.readiness.evaluation.documents import read_json
from gateway.readiness.evaluation.schema import mistakes, violation

LONGEST_SCHEMA = 16_000
"""Characters of a schema that is judged by: apps choose it, and whoever serves waits meanwhile. So
many may take 20 ms, and ten times as many half a second.
"""


class What(StrEnum):
    FAILED = "failed"
    """The local model gave no whole answer."""
    TOOLS = "tools"
    """One of the two called functions, and the other did not."""
    FUNCTIONS = "functions"
    """Other functions were called."""
    ARGUMENTS = "arguments"
    """Those of a call are not what its function takes."""
    FORMAT = "format"
    """The text is not the JSON, or not the one of a choice, that was asked for."""
    FINISH = "finish"
    """One of the two ended by itself, and the other because it had grown too long."""
    EMPTY = "empty"
    """It says nothing, and the other does."""


def differences(
    task: Task, theirs: Heard | None, ours: Heard, limit: int | None = None
) -> tuple[str, ...]:
    """The words for it, sorted. ``theirs`` is ``None`` where it is not known, and ``limit`` the
    most tokens that ours could have where the app allowed more: what it would have been without is
    not known, unless theirs took no more than that.
    """
    if ours.failure is not None:
        return (What.FAILED,)
    cut = ours.reason is FinishReason.LENGTH and limit is not None and not _within(theirs, limit)
    found = set(_own(task, ours)) if not cut else set()
    if theirs is not None:
        found |= set(_compared(theirs, ours, cut=cut))
    return tuple(sorted(found))


def _within(theirs: Heard | None, limit: int) -> bool:
    """Whether theirs is known to have ended by itself in so many tokens."""
    if theirs is None or theirs.usage is None or theirs.reason is FinishReason.LENGTH:
        return False
    return theirs.usage.completion <= limit


def _own(task: Task, ours: Heard) -> Iterator[What]:
    """What is wrong with ours, whatever theirs is like."""
    tools = task.tools.available if isinstance(task, Chat) and task.tools is not None else ()
    by_name = {tool.name: tool for tool in tools}
    for call in ours.calls:
        if call.name not in by_name:
            yield What.FUNCTIONS
        elif not _fits(by_name[call.name], call):
            yield What.ARGUMENTS
    shape = task.shape if isinstance(task, Chat | Completion) else None
    if shape is not None and not ours.calls and not _keeps(shape, ours.text):
        yield What.FORMAT


def _compared(theirs: Heard, ours: Heard, *, cut: bool) -> Iterator[What]:
    names = {call.name for call in theirs.calls}, {call.name for call in ours.calls}
    if not cut and bool(names[0]) != bool(names[1]):
        yield What.TOOLS
    elif all(names) and names[0] != names[1]:
        yield What.FUNCTIONS
    long = {heard.reason is FinishReason.LENGTH for heard in (theirs, ours) if heard.reason}
    if not cut and len(long) > 1:
        yield What.FINISH
    if theirs.text.strip() and not ours.text.strip() and not ours.calls and not cut:
        yield What.EMPTY


def _fits(tool: Tool, call: HeardCall) -> bool:
    given = _json(call.arguments or "{}")
    return isinstance(given, dict) and _allows(tool.schema, given)


def _keeps(shape: Shape, text: str) -> bool:
    match shape.kind:
        case ShapeKind.JSON_OBJECT:
            return isinstance(_json(text), dict)
        case ShapeKind.JSON_SCHEMA:
            given = _json(text)
            return given is not _NONE and _allows(shape.source, given)
        case ShapeKind.CHOICE:
            return text.strip() in _json(shape.source)
        case _:
            # Grammars, and expressions that could be made to take for ever.
            return True


def _allows(source: str, value: object) -> bool:
    """Whether a value is what a schema wants; one that cannot be checked wants anything."""
    if len(source) > LONGEST_SCHEMA:
        return True
    schema = _json(source)
    try:
        return next(mistakes(schema), None) is not None or violation(schema, value) is None
    except RecursionError:
        return True


_NONE = object()
"""What is no JSON."""


def _json(text: str) -> Any:
    try:
        return read_json(text)
    except ValueError:
        return _NONE
