"""What an answer must be: one class a kind of check, each with the word that the file has for it.

A check says why an answer fails it, in words that hold nothing of the answer: they may be shown
where the answer itself is not. Only ``judged`` cannot say it by itself: a target does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import AfterValidator, Field, ValidationError
from pydantic_core import PydanticCustomError

from gateway.config.documents import Steps
from gateway.config.schema import Closed, Finding, Flag, Text, findings, nearest
from gateway.engine.heard import Heard, HeardCall
from gateway.readiness.evaluation.documents import read_json
from gateway.readiness.evaluation.patterns import Pattern
from gateway.readiness.evaluation.schema import mistakes, violation

SHOWN = 60
"""Characters of what the file says that a reason repeats."""


def _texts(value: object) -> object:
    texts = value if isinstance(value, list) else [value]
    if not texts or not all(isinstance(text, str) and text for text in texts):
        raise PydanticCustomError(
            "texts", "expected a text, or a list of texts, none of them empty"
        )
    return value


Texts: TypeAlias = Annotated[Any, AfterValidator(_texts)]
"""One text or several."""


class _Contains(Closed):
    contains: Texts
    ignore_case: Flag = False


class _NotContains(Closed):
    not_contains: Texts
    ignore_case: Flag = False


class _Equals(Closed):
    equals: Text
    ignore_case: Flag = False


class _Regex(Closed):
    regex: Text
    ignore_case: Flag = False


class _JsonSchema(Closed):
    json_schema: Any


class _ToolCalled(Closed):
    tool_called: Text
    arguments: dict[str, Any] = Field(default_factory=dict)
    arguments_schema: Any = True


class _NoToolCalled(Closed):
    no_tool_called: Literal[True]


class _Judged(Closed):
    judged: Text


@dataclass(frozen=True, slots=True)
class Contains:
    """Each of the texts is in the answer or, where ``absent``, none is."""

    texts: tuple[str, ...]
    ignore_case: bool = False
    absent: bool = False

    @property
    def kind(self) -> str:
        return "not_contains" if self.absent else "contains"

    def fails(self, answer: Heard) -> str | None:
        said = _folded(answer.text, self.ignore_case)
        for text in self.texts:
            there = _folded(text, self.ignore_case) in said
            if there is self.absent:
                return f"{'contains' if self.absent else 'does not contain'} {_shown(text)}"
        return None


@dataclass(frozen=True, slots=True)
class Equals:
    """The answer is that text, but for blanks around it."""

    text: str
    ignore_case: bool = False
    kind: ClassVar[str] = "equals"

    def fails(self, answer: Heard) -> str | None:
        said, text = (_folded(each.strip(), self.ignore_case) for each in (answer.text, self.text))
        return None if said == text else f"is not {_shown(self.text)}"


@dataclass(frozen=True, slots=True)
class Matches:
    """The regular expression is found in the answer."""

    pattern: Pattern
    kind: ClassVar[str] = "regex"

    def fails(self, answer: Heard) -> str | None:
        if self.pattern.found(answer.text):
            return None
        return f"does not match {_shown(self.pattern.source)}"


@dataclass(frozen=True, slots=True)
class Fits:
    """The answer is JSON, and nothing else, and is valid by the schema."""

    schema: Any
    kind: ClassVar[str] = "json_schema"

    def fails(self, answer: Heard) -> str | None:
        return _against(self.schema, answer.text)


@dataclass(frozen=True, slots=True)
class ToolCalled:
    """One of the calls is of that function, has each of these ``arguments``, and all of its
    arguments together are valid by the ``schema``.
    """

    name: str
    arguments: Mapping[str, Any]
    schema: Any
    kind: ClassVar[str] = "tool_called"

    def fails(self, answer: Heard) -> str | None:
        calls = [call for call in answer.calls if call.name == self.name]
        if not calls:
            return f"does not call {_shown(self.name)}"
        reasons = [self._wrong(call) for call in calls]
        return None if None in reasons else reasons[0]

    def _wrong(self, call: HeardCall) -> str | None:
        wanted = {
            "type": "object",
            "properties": {name: {"const": value} for name, value in self.arguments.items()},
            "required": list(self.arguments),
        }
        # A function without parameters is called by some with no arguments at all.
        given = call.arguments or "{}"
        why = _against(wanted, given) or _against(self.schema, given)
        return why and f"the arguments of {_shown(self.name)}: {why}"


@dataclass(frozen=True, slots=True)
class NoToolCalled:
    """Nothing is called."""

    kind: ClassVar[str] = "no_tool_called"

    def fails(self, answer: Heard) -> str | None:
        return "calls a function" if answer.calls else None


@dataclass(frozen=True, slots=True)
class Judged:
    """A judge says that the answer meets the ``criterion``."""

    criterion: str
    kind: ClassVar[str] = "judged"


Plain: TypeAlias = Contains | Equals | Matches | Fits | ToolCalled | NoToolCalled
"""What is decided here and now."""
Check: TypeAlias = Plain | Judged

_WRITTEN: Mapping[str, type[Closed]] = {
    "contains": _Contains,
    "not_contains": _NotContains,
    "equals": _Equals,
    "regex": _Regex,
    "json_schema": _JsonSchema,
    "tool_called": _ToolCalled,
    "no_tool_called": _NoToolCalled,
    "judged": _Judged,
}
KINDS = tuple(_WRITTEN)
"""In the order in which they are told."""


def read_check(written: object, path: Steps) -> Check | list[Finding]:
    """A check as it stands in a file at ``path``, or all that is wrong with it."""
    if not isinstance(written, dict):
        return [Finding(path, "expected a mapping")]
    kinds = [word for word in written if word in _WRITTEN]
    if len(kinds) > 1:
        return [Finding(path, f"{' and '.join(kinds)} in one check: write one for each")]
    if not kinds:
        return [Finding(path, "no kind of check that is known", _meant(written))]
    model = _WRITTEN[kinds[0]]
    try:
        built = model.model_validate(written)
    except ValidationError as error:
        return [_below(path, finding) for finding in findings(error, written, model)]
    wrong = [_below(path, finding) for finding in _deeper(built)]
    return wrong or _made(built)


def _meant(written: Mapping[str, Any]) -> str:
    """The nearest kind, else all of them."""
    hints = (nearest(word, KINDS) for word in written)
    return next((hint for hint in hints if hint.startswith("did")), f"known: {', '.join(KINDS)}")


def _deeper(built: Closed) -> Iterator[Finding]:
    """What pydantic does not see."""
    match built:
        case _Regex():
            try:
                Pattern(built.regex)
            except ValueError as error:
                yield Finding(("regex",), str(error))
        case _JsonSchema():
            yield from _inside("json_schema", built.json_schema)
        case _ToolCalled():
            yield from _inside("arguments_schema", built.arguments_schema)


def _inside(word: str, schema: object) -> Iterator[Finding]:
    return (_below((word,), finding) for finding in mistakes(schema))


def _below(path: Steps, found: Finding) -> Finding:
    return Finding((*path, *found.path), found.message, found.hint, found.key, found.show)


def _made(built: Closed) -> Check:
    match built:
        case _Contains():
            return Contains(_several(built.contains), built.ignore_case)
        case _NotContains():
            return Contains(_several(built.not_contains), built.ignore_case, absent=True)
        case _Equals():
            return Equals(built.equals, built.ignore_case)
        case _Regex():
            return Matches(Pattern(built.regex, ignore_case=built.ignore_case))
        case _JsonSchema():
            return Fits(built.json_schema)
        case _ToolCalled():
            return ToolCalled(built.tool_called, built.arguments, built.arguments_schema)
        case _Judged():
            return Judged(built.judged)
        case _:
            return NoToolCalled()


def _several(texts: str | list[str]) -> tuple[str, ...]:
    return (texts,) if isinstance(texts, str) else tuple(texts)


def _against(schema: Any, text: str) -> str | None:
    try:
        value = read_json(text)
    except ValueError as error:
        return str(error)
    return violation(schema, value)


def _folded(text: str, ignore_case: bool) -> str:
    return text.casefold() if ignore_case else text


def _shown(text: str) -> str:
    return repr(text if len(text) <= SHOWN else text[:SHOWN] + "…")
