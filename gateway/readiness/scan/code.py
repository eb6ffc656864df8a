"""Code of languages without a parser here: by patterns that know its comments and strings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from gateway.readiness.scan.languages import Language
from gateway.readiness.scan.notes import Notes
from gateway.readiness.scan.shell import command, is_command
from gateway.readiness.scan.source import Source

_BOUND = re.compile(
    r"""([A-Za-z_$][\w$.-]*)["']?\s*(?:=>|:=|\?\?=|[:=(]|:\s*(?:String|string|str)\s*=)\s*
        (?:&?\w+\s*[({]\s*)?\Z""",
    re.VERBOSE,
)
_SAID = re.compile(
    r"(?:\b(?:log\w*|print\w*|puts|echo|panic\w*|Error\w*|Exception|describe|assert\w*|expect)\b[^;{}\n]*"
    r"|[=!]=\s*)\Z"
)
_NESTING = re.compile(r"/\*|\*/")


@dataclass(frozen=True, slots=True)
class _Token:
    start: int
    end: int
    value: str


def read_code(language: Language, source: Source, notes: Notes) -> None:
    """A file of one of ``LANGUAGES``."""
    code, strings = taken_apart(language, source.text)
    if language.imports is not None:
        for found in language.imports.finditer(code):
            at = source.place(found.start(1))
            if language.table == "npm":
                _script(found[1], source, found.start(1), notes)
            else:
                path = found[1].removeprefix("::")
                notes.module(language.table, path, at)
    for token in strings:
        _string(token, code, source, notes)


def taken_apart(language: Language, text: str) -> tuple[str, list[_Token]]:
    """The text with spaces for its comments, and its strings; offsets stay what they are."""
    parts: list[str] = []
    strings: list[_Token] = []
    at = 0
    while True:
        found = language.tokens.search(text, at)
        if found is None:
            break
        end = found.end()
        parts.append(text[at : found.start()])
        if found.lastgroup == "comment" or found["comment"]:
            if language.nested and found["nest"]:
                end = _nested(text, found.start())
            parts.append(_blank(text[found.start() : end]))
        else:
            parts.append(text[found.start() : end])
            strings.append(_Token(found.start(), end, _inside(found[0])))
        at = end
    parts.append(text[at:])
    return "".join(parts), strings


def _nested(text: str, start: int) -> int:
    """The end of a comment that holds others."""
    depth = 0
    for mark in _NESTING.finditer(text, start):
        depth += 1 if mark[0] == "/*" else -1
        if not depth:
            return mark.end()
    return len(text)


def _blank(text: str) -> str:
    return re.sub(r"[^\n]", " ", text)


def _inside(text: str) -> str:
    """A string without its marks."""
    text = re.sub(r"\A(?:[$@brf]*\#*)", "", text).rstrip("#")
    for mark in ('"""', "'''", '"', "'", "`"):
        if text.startswith(mark) and text.endswith(mark) and len(text) >= 2 * len(mark):
            return text[len(mark) : -len(mark)]
    return text


def _string(token: _Token, code: str, source: Source, notes: Notes) -> None:
    before = code[max(0, token.start - 80) : token.start]
    at = source.place(token.start)
    if is_command(token.value):
        command(token.value, at[0], notes)
        return
    line = before.rpartition("\n")[2]
    bound = _BOUND.search(before)
    name = bound[1].rpartition(".")[2] if bound is not None else ""
    if _SAID.search(line) and not name:
        return
    if name.isupper():
        notes.variable(name, at)
    for value in _embedded(token.value):
        notes.string(value, name, at)


def _embedded(value: str) -> Iterator[str]:
    """A string, with a letter for what its language puts in."""
    yield re.sub(r"\$?\{[^{}]*\}|#\{[^{}]*\}", "x", value) if "{" in value else value


def _script(specifier: str, source: Source, offset: int, notes: Notes) -> None:
    if not specifier.startswith((".", "/", "#", "node:")):
        parts = specifier.split("/")
        name = "/".join(parts[:2]) if specifier.startswith("@") else parts[0]
        notes.package("npm", name, source.place(offset))
