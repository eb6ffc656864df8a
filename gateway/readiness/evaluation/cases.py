"""A file of prompts: one JSON object a line, each with what its answer must be.

The words beside ``id``, ``prompt``, ``checks``, ``tags`` and ``weight`` are the parameters of a
chat completion. The schema is closed, as all of ours: a check that is misspelt would pass.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from pydantic import Field, ValidationError

from gateway.config.documents import Steps
from gateway.config.schema import Closed, Finding, Number, Text, findings, nearest
from gateway.domain.call import Chat
from gateway.errors import DocumentError, InvalidRequest, Problem
from gateway.readiness.evaluation.checks import Check, Judged, ToolCalled, read_check
from gateway.readiness.evaluation.documents import read_json
from gateway.wire import openai_chat

ELSEWHERE = {
    "logit_bias": "token ids are those of one vocabulary, and each model has its own",
    "model": "--target says who is asked",
    "n": "--repeat asks several times",
    "stream": "all answers are streamed, so that the first token is timed",
    "stream_options": "usage is always asked for",
}
"""Parameters that a file cannot have, and why."""
PARAMETERS = tuple(
    field.encode_name
    for field in msgspec.structs.fields(openai_chat.BODY)
    if field.encode_name not in ELSEWHERE
)
LIMITS = ("max_completion_tokens", "max_tokens")
"""Two words for one thing; which of them a target takes is the target's."""


class _Written(Closed):
    """The part of a line that is ours."""

    id: Text
    prompt: Text | None = None
    checks: Annotated[list[Any], Field(min_length=1)]
    tags: list[Text] = Field(default_factory=list)
    weight: Annotated[Number, Field(gt=0, le=1_000_000)] = 1.0


_OWN = tuple(_Written.model_fields)


@dataclass(frozen=True, slots=True)
class Case:
    """One prompt. ``asked`` are the members of a chat completion's body, but for who is asked and
    how long the answer may be, which is ``most`` tokens where the file says it; ``chat`` is the
    same, typed; ``line`` is where it stands.
    """

    id: str
    line: int
    asked: Mapping[str, Any]
    chat: Chat
    checks: tuple[Check, ...]
    tags: tuple[str, ...] = ()
    weight: float = 1.0
    most: int | None = None

    @property
    def judged(self) -> bool:
        """Whether it takes a judge."""
        return any(isinstance(check, Judged) for check in self.checks)


def parse_cases(raw: bytes, file: str) -> tuple[Case, ...]:
    """All prompts of a file. Raises DocumentError with every mistake in it, each with its line."""
    problems: list[Problem] = []
    cases: dict[str, Case] = {}
    for number, line in enumerate(raw.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if not line.strip():
            continue
        read = _read(line, number)
        if isinstance(read, Case) and read.id in cases:
            where = f"the id stands twice: line {cases[read.id].line} has it"
            read = [Finding(("id",), where)]
        if isinstance(read, Case):
            cases[read.id] = read
        else:
            problems += [_placed(finding, file, number) for finding in read]
    if not cases and not problems:
        problems.append(Problem(file, 1, 1, "holds no prompt: expected one JSON object a line"))
    if problems:
        raise DocumentError(problems)
    return tuple(cases.values())


def _read(line: bytes, number: int) -> Case | list[Finding]:
    try:
        data = read_json(line.decode(), once=True)
    except UnicodeDecodeError:
        return [Finding((), "not valid UTF-8")]
    except ValueError as error:
        return [Finding((), str(error))]
    if not isinstance(data, dict):
        return [Finding((), "expected a JSON object")]
    own = {word: value for word, value in data.items() if word in _OWN}
    asked = {word: value for word, value in data.items() if word in PARAMETERS}
    found = [_unknown(word) for word in data if word not in own and word not in asked]
    if "prompt" in own and "messages" in asked:
        found.append(Finding(("prompt",), "prompt and messages: write one of them"))
    elif isinstance(own.get("prompt"), str):
        asked["messages"] = [{"role": "user", "content": own["prompt"]}]
    written = _written(own, found)
    checks = tuple(_checks(own.get("checks"), found))
    chat = _chat(asked, found)
    if chat is not None:
        found += _uncallable(chat, checks)
    if found or written is None or chat is None:
        return found
    return Case(
        id=written.id,
        line=number,
        asked={word: value for word, value in asked.items() if word not in LIMITS},
        chat=chat,
        checks=checks,
        tags=tuple(dict.fromkeys(written.tags)),
        weight=float(written.weight),
        most=chat.max_tokens,
    )


def _unknown(word: str) -> Finding:
    hint = ELSEWHERE.get(word) or nearest(word, (*_OWN, *PARAMETERS))
    return Finding((word,), f"unknown key {word[:80]!r}", hint, key=True)


def _written(own: Mapping[str, Any], found: list[Finding]) -> _Written | None:
    try:
        return _Written.model_validate(own)
    except ValidationError as error:
        found += findings(error, own, _Written)
        return None


def _checks(written: object, found: list[Finding]) -> Iterator[Check]:
    for index, each in enumerate(written if isinstance(written, list) else ()):
        check = read_check(each, ("checks", index))
        if isinstance(check, list):
            found += check
        else:
            yield check


def _chat(asked: Mapping[str, Any], found: list[Finding]) -> Chat | None:
    """What is asked, by the rules of the API itself."""
    if "messages" not in asked:
        message = "missing key 'messages', or 'prompt' for a single one of the user's"
        found.append(Finding((), message))
        return None
    try:
        return openai_chat.parse(json.dumps({"model": "eval", **asked}).encode()).chat
    except InvalidRequest as error:
        found.append(Finding((error.param,) if error.param else (), error.message))
        return None


def _uncallable(chat: Chat, checks: Sequence[Check]) -> Iterator[Finding]:
    names = [] if chat.tools is None else [tool.name for tool in chat.tools.available]
    for index, check in enumerate(checks):
        if isinstance(check, ToolCalled) and check.name not in names:
            message = f"no function {check.name[:80]!r} is among tools"
            yield Finding(("checks", index, "tool_called"), message, nearest(check.name, names))


def _placed(finding: Finding, file: str, line: int) -> Problem:
    """A finding at its line; the path tells where in it, and the line itself is not shown."""
    where = _path(finding.path)
    message = f"{where}: {finding.message}" if where else finding.message
    return Problem(file, line, 1, message, hint=finding.hint)


def _path(path: Steps) -> str:
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f"{'.' if text else ''}{step[:80]}"
    return text
