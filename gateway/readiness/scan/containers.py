"""Dockerfiles, makefiles and Terraform."""

from __future__ import annotations

import re

from gateway.readiness.scan.code import taken_apart
from gateway.readiness.scan.languages import LANGUAGES
from gateway.readiness.scan.notes import Notes
from gateway.readiness.scan.shell import command
from gateway.readiness.scan.source import Source

_INSTRUCTION = re.compile(r"^[ \t]*([A-Za-z]+)[ \t]+(.*)$")
_PAIR = re.compile(r"""([A-Za-z_]\w*)(?:=("(?:\\.|[^"])*"|'[^']*'|\S*))?""")
_RESOURCE = re.compile(r'^[ \t]*(?:resource|data)\s+"([\w-]+)"', re.MULTILINE)
_ARGUMENT = re.compile(r"([A-Za-z_][\w-]*)\"?\s*[=:]\s*(?:\[[^\]\"]*)?\Z")
_BLOCK = re.compile(r'(?:variable|local|output|resource\s+"[\w-]+")\s+"([\w-]+)"\s*\{[^{}]*\Z')
_RECIPE = re.compile(r"^\t(.*)$")
_MAKE = re.compile(r"^(?:export[ \t]+)?([A-Za-z_]\w*)[ \t]*[?:+]?=[ \t]*(.*)$")
_SILENT = frozenset({"description", "error_message"})


def read_dockerfile(source: Source, notes: Notes) -> None:
    """Images, settings and commands of a Dockerfile."""
    for number, line in _instructions(source.text):
        found = _INSTRUCTION.match(line)
        if found is None:
            continue
        word, rest = found[1].upper(), found[2]
        if word == "FROM":
            names = [part for part in rest.split() if not part.startswith("--")]
            if names:
                notes.image(names[0], (number, 1))
        elif word in ("ENV", "ARG"):
            _settings(rest, number, notes)
        elif word in ("RUN", "CMD", "ENTRYPOINT", "HEALTHCHECK"):
            bare = re.sub(r'[\[\]",]', " ", rest) if rest.startswith("[") else rest
            command(bare, number, notes)


def _instructions(text: str) -> list[tuple[int, str]]:
    """Whole instructions with the number of their first line, without comments."""
    found: list[tuple[int, str]] = []
    held, begun = "", 1
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#"):
            continue
        begun = begun if held else number
        if line.rstrip().endswith("\\"):
            held += line.rstrip()[:-1] + " "
            continue
        found.append((begun, held + line))
        held = ""
    return [*found, (begun, held)] if held else found


def _settings(rest: str, number: int, notes: Notes) -> None:
    old = re.match(r"(\w+)[ \t]+(\S.*)", rest)
    pairs = [(old[1], old[2])] if old and "=" not in rest else _PAIR.findall(rest)
    for name, value in pairs:
        notes.variable(name, (number, 1))
        notes.string(value.strip("'\""), name, (number, 1))


def read_makefile(source: Source, notes: Notes) -> None:
    """Variables and recipes."""
    for number, line in _instructions(source.text):
        recipe = _RECIPE.match(line)
        if recipe is not None:
            command(recipe[1].lstrip("@-+"), number, notes)
            continue
        setting = _MAKE.match(line)
        if setting is not None:
            notes.variable(setting[1], (number, 1))
            notes.string(setting[2].partition(" #")[0], setting[1], (number, 1))


def read_terraform(source: Source, notes: Notes) -> None:
    """Types of resources, and the strings of their arguments."""
    code, strings = taken_apart(LANGUAGES[".tf"], source.text)
    for found in _RESOURCE.finditer(code):
        notes.package("terraform", found[1], source.place(found.start(1)))
    for token in strings:
        before = code[max(0, token.start - 300) : token.start]
        bound = _ARGUMENT.search(before)
        name = bound[1] if bound is not None else ""
        block = _BLOCK.search(before)
        if name == "default" and block is not None:
            name = block[1]
        if name not in _SILENT and name:
            place = source.place(token.start)
            for part in token.value.split("/") if token.value.startswith("/") else [token.value]:
                notes.string(part, name, place)
