"""Strict YAML documents: plain data, and the position of every key and value.

Read over PyYAML's event stream, so that nothing that YAML can do beyond plain data happens at all:
no anchors, no tags, no merging, no second document. Scalars follow the YAML 1.2 core schema: only
``true`` and ``false`` are booleans (``NO`` is a country), and a date stays a string.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from gateway.errors import DocumentError, Problem

Steps: TypeAlias = tuple[str | int, ...]
"""Where a value is: the keys and indices that lead to it."""

MAX_BYTES = 1_000_000
MAX_DEPTH = 32
MAX_DIGITS = 300
MAX_SHOWN = 160

_NULL = re.compile(r"(?:null|Null|NULL|~|)\Z")
_TRUE = re.compile(r"(?:true|True|TRUE)\Z")
_FALSE = re.compile(r"(?:false|False|FALSE)\Z")
_INT = re.compile(r"[-+]?[0-9]+\Z")
_OCTAL = re.compile(r"0o[0-7]+\Z")
_HEX = re.compile(r"0x[0-9a-fA-F]+\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_INFINITE = re.compile(r"(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z")

# The text of a line goes into logs and terminals. What stands after a key with such a name may be a
# credential that somebody wrote there by mistake, unless it is one of the two allowed references.
_SECRET_KEY = re.compile(
    r"""((?:key|token|secret|password|credential|authorization)[\w-]*["']?\s*[:=]\s*)"""
    r"""(?!["']?(?:\$\{|file:))\S.*$""",
    re.IGNORECASE,
)
_SECRET_WORD = re.compile(r"\b(?:sk|pk|rk|gsk|xai|hf|ghp|AKIA)[-_]?[A-Za-z0-9][A-Za-z0-9_-]{11,}")


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a text; both count from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Document:
    """One file as plain data. ``positions`` has every value, ``keys`` every key, by path."""

    file: str
    text: str
    data: Any
    positions: Mapping[Steps, Mark] = field(repr=False)
    keys: Mapping[Steps, Mark] = field(repr=False)

    def mark(self, path: Steps, *, key: bool = False) -> Mark:
        """The position of the value (or key) at ``path``, or of the nearest thing around it."""
        if key and path in self.keys:
            return self.keys[path]
        while path and path not in self.positions:
            path = path[:-1]
        return self.positions.get(path, Mark(1, 1))

    def problem(
        self, path: Steps, message: str, hint: str = "", *, key: bool = False, show: bool = True
    ) -> Problem:
        """A mistake at ``path``; ``show=False`` leaves out the text of the line."""
        mark = self.mark(path, key=key)
        text = line_text(self.text, mark.line) if show else ""
        return Problem(self.file, mark.line, mark.column, message, text, hint)


def line_text(text: str, line: int) -> str:
    """One line for an error message, with whatever may be a credential masked."""
    lines = text.splitlines()
    if not 0 < line <= len(lines):
        return ""
    shown = _SECRET_KEY.sub(r"\1…", lines[line - 1].rstrip())
    shown = _SECRET_WORD.sub("…", shown)
    return shown if len(shown) <= MAX_SHOWN else shown[:MAX_SHOWN] + "…"


def core_scalar(word: str) -> Any:
    """A plain scalar by the YAML 1.2 core schema."""
    if _NULL.match(word):
        return None
    if _TRUE.match(word) or _FALSE.match(word):
        return word[0] in "tT"
    if len(word) > MAX_DIGITS:
        return word
    if _INT.match(word):
        return int(word)
    if _OCTAL.match(word) or _HEX.match(word):
        return int(word, 0)
    if _FLOAT.match(word):
        return float(word)
    if _INFINITE.match(word):
        return float(word.lower().replace(".", ""))
    return word


class _Refused(Exception):
    """Reading cannot go on after this problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


class _Builder:
    """Turns one document's events into data; collects what it can go on after."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.text = text
        self.positions: dict[Steps, Mark] = {}
        self.keys: dict[Steps, Mark] = {}
        self.problems: list[Problem] = []
        self.events: Iterator[Any] = iter(yaml.parse(text, Loader=yaml.CSafeLoader))

    def problem(self, mark: Mark, message: str, hint: str = "") -> Problem:
        text = line_text(self.text, mark.line)
        return Problem(self.file, mark.line, mark.column, message, text, hint)

    def document(self) -> Any:
        data: Any = None
        documents = 0
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    message = "a second document: one file is one document"
                    raise _Refused(self.problem(_mark(event), message))
                data = self.value(next(self.events), ())
        return data

    def value(self, event: Any, path: Steps) -> Any:
        mark = _mark(event)
        self.plain(event, mark)
        self.positions[path] = mark
        if isinstance(event, yaml.AliasEvent):
            return None
        if isinstance(event, yaml.ScalarEvent):
            return core_scalar(event.value) if event.implicit[0] else event.value
        if len(path) >= MAX_DEPTH:
            message = f"nested too deeply: at most {MAX_DEPTH} levels"
            raise _Refused(self.problem(mark, message))
        if isinstance(event, yaml.SequenceStartEvent):
            return self.sequence(path)
        return self.mapping(path)

    def plain(self, event: Any, mark: Mark) -> None:
        """Refuse what goes beyond plain data."""
        if isinstance(event, yaml.AliasEvent):
            hint = 'quote it if a name begins with "*"'
            self.problems.append(self.problem(mark, "an alias (*) is not allowed here", hint))
        elif event.anchor is not None:
            hint = 'quote it if a value begins with "&"'
            self.problems.append(self.problem(mark, "an anchor (&) is not allowed here", hint))
        if getattr(event, "tag", None) is not None:
            self.problems.append(self.problem(mark, "an explicit tag (!) is not allowed here"))

    def sequence(self, path: Steps) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            items.append(self.value(event, (*path, len(items))))
        return items

    def mapping(self, path: Steps) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            mark = _mark(event)
            key = self.key(event, mark)
            if key is None:
                self.value(next(self.events), (*path, ""))
                continue
            if key in found:
                first = self.keys[(*path, key)]
                message = f"duplicate key {key!r}: first given on line {first.line}"
                self.problems.append(self.problem(mark, message))
                self.value(next(self.events), (*path, ""))
                continue
            self.keys[(*path, key)] = mark
            found[key] = self.value(next(self.events), (*path, key))
        return found

    def key(self, event: Any, mark: Mark) -> str | None:
        """The key's text, or None where it is refused."""
        if not isinstance(event, yaml.ScalarEvent | yaml.AliasEvent):
            message = "expected a word as the key, not a list or mapping"
            raise _Refused(self.problem(mark, message))
        self.plain(event, mark)
        if isinstance(event, yaml.AliasEvent):
            return None
        if event.implicit[0] and not isinstance(core_scalar(event.value), str):
            message = "expected a string as the key"
            self.problems.append(self.problem(mark, message, f'write it as "{event.value}"'))
            return None
        return str(event.value)


def _mark(event: Any) -> Mark:
    return Mark(event.start_mark.line + 1, event.start_mark.column + 1)


def _syntax(file: str, text: str, error: yaml.YAMLError) -> Problem:
    """The problem that PyYAML found, in words without its own file names."""
    if isinstance(error, yaml.MarkedYAMLError):
        at = error.problem_mark or error.context_mark
        mark = Mark(at.line + 1, at.column + 1) if at is not None else Mark(1, 1)
        message = error.problem or error.context or "not YAML"
        hint = ""
        if error.context and error.context_mark is not None:
            hint = f"{error.context} that begins on line {error.context_mark.line + 1}"
        return Problem(
            file,
            mark.line,
            mark.column,
            f"not valid YAML: {message}",
            line_text(text, mark.line),
            hint,
        )
    position = getattr(error, "position", 0)
    before = text[: position if isinstance(position, int) else 0]
    line = before.count("\n") + 1
    column = len(before) - (before.rfind("\n") + 1) + 1
    return Problem(file, line, column, "not valid YAML: a character that is not allowed")


def _forbidden_character(file: str, text: str) -> Problem | None:
    found = re.search(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", text)
    if found is None:
        return None
    before = text[: found.start()]
    line = before.count("\n") + 1
    column = found.start() - (before.rfind("\n") + 1) + 1
    message = f"not valid YAML: the character U+{ord(found.group()):04X} is not allowed"
    return Problem(file, line, column, message)


def parse_document(raw: bytes, file: str) -> Document:
    """Parse the bytes of one file; raises DocumentError with every problem that can be told."""
    document, problems = parse_leniently(raw, file)
    if problems:
        raise DocumentError(problems)
    return document


def parse_leniently(raw: bytes, file: str) -> tuple[Document, list[Problem]]:
    """The document without what may not stand in it, and those problems: so that a doubled key does
    not hide the mistakes below it. Raises DocumentError where reading could not go on to the end.
    """
    if len(raw) > MAX_BYTES:
        message = f"{len(raw)} bytes: a document has at most {MAX_BYTES}"
        raise DocumentError([Problem(file, 1, 1, message)])
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        column = error.start - (raw.rfind(b"\n", 0, error.start) + 1) + 1
        raise DocumentError([Problem(file, line, column, "not valid UTF-8")]) from None
    forbidden = _forbidden_character(file, text)
    if forbidden is not None:
        raise DocumentError([forbidden])
    builder = _Builder(file, text)
    try:
        data = builder.document()
    except _Refused as refused:
        raise DocumentError([*builder.problems, refused.problem]) from None
    except yaml.YAMLError as error:
        raise DocumentError([*builder.problems, _syntax(file, text, error)]) from None
    return Document(file, text, data, builder.positions, builder.keys), builder.problems


def read_document(path: Path) -> Document:
    """Read and parse a file; one that cannot be read is a DocumentError too."""
    return parse_document(read_bytes(path), str(path))


def read_bytes(path: Path) -> bytes:
    """The bytes of a file; one that cannot be read is a DocumentError."""
    try:
        return path.read_bytes()
    except OSError as error:
        message = f"cannot be read: {error.strerror or error}"
        raise DocumentError([Problem(str(path), 1, 1, message)]) from None
