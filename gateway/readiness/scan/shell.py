"""Shell, as it stands in scripts, Dockerfiles, CI files and notebooks: by words, with its comments,
quotes and continued lines. Nothing is expanded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from gateway.readiness.scan.notes import OURS, Notes, Place
from gateway.readiness.scan.requirements import requirement
from gateway.readiness.scan.source import Source
from gateway.vendors.signals.table import Sign

_WORD = re.compile(
    r"""(?P<space>[ \t]+)|(?P<comment>(?:(?<=\s)|\A)\#.*)|(?P<end>[;&|()]+)
      | (?P<word>(?:"(?:\\.|[^"\\])*"?|'[^']*'?|\\.|[^\s;&|()"'\\])+)""",
    re.VERBOSE,
)
_REFERRED = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]{3,79})")
_ASSIGNED = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\+?=(.*)", re.DOTALL)
_URL = re.compile(r"[a-z]+://[^\s\"'<>`]+")
_JSON_MODEL = re.compile(r"\\?\"model(?:_?[Ii]d)?\\?\"\s*:\s*\\?\"([^\"\\]+)")
_HEREDOC = re.compile(r"<<-?\s*[\"']?(\w+)[\"']?")
_SAYS = frozenset(
    {"echo", "printf", "grep", "egrep", "sed", "awk", "mkdir", "cd", "rm", "cp", "mv"}
)
_INSTALLERS = {
    "pip": "pypi",
    "pip3": "pypi",
    "pipx": "pypi",
    "uv": "pypi",
    "uvx": "pypi",
    "poetry": "pypi",
    "pdm": "pypi",
    "conda": "pypi",
    "mamba": "pypi",
    "npm": "npm",
    "npx": "npm",
    "pnpm": "npm",
    "yarn": "npm",
    "bun": "npm",
    "bunx": "npm",
    "go": "go",
    "cargo": "crates",
    "gem": "gems",
    "composer": "composer",
}
_VERBS = frozenset({"install", "add", "i", "get", "require", "dlx", "exec", "tool", "run", "x"})
_RUNS = frozenset({"npx", "bunx", "uvx"})
_STARTS = frozenset(
    {"curl", "wget", "http", "https", "aws", "ollama", "vllm", "docker", *_INSTALLERS}
)
_LOCAL_SERVERS = frozenset({"vllm", "llama-server", "text-generation-launcher", "mlx_lm.server"})
_BEDROCK = Sign("amazon", "unknown")
_VENDOR_FLAGS = frozenset({"--model", "--model-id", "-m", "--model_id", "--modelId"})


def read_shell(source: Source, notes: Notes) -> None:
    """A script."""
    command(source.text, 1, notes)


def is_command(text: str) -> bool:
    """Whether a string is a line for a shell: it begins as one that matters here does."""
    first, space, rest = text.strip().partition(" ")
    return bool(space and rest) and first in _STARTS


def command(text: str, line: int, notes: Notes) -> None:
    """Lines of shell, the first of which is number ``line`` of its file."""
    until = ""
    for number, whole in _lines(text, line):
        if until:
            if whole.strip() == until:
                until = ""
            else:
                _setting(whole, (number, 1), notes)
            continue
        heredoc = _HEREDOC.search(whole)
        if heredoc and "<<<" not in whole:
            until = heredoc[1]
        for words in _commands(whole):
            _one(words, number, notes)


def _lines(text: str, line: int) -> Iterator[tuple[int, str]]:
    """Whole lines, those that a backslash continues or a quote keeps open together."""
    held, begun = "", line
    for number, part in enumerate(text.splitlines(), line):
        if not held:
            begun = number
        if part.endswith("\\"):
            held += part[:-1] + " "
            continue
        yield begun, held + part
        held = ""
    if held:
        yield begun, held


def _commands(line: str) -> Iterator[list[tuple[str, int]]]:
    """The words of each command of a line, with their columns, quotes taken off."""
    words: list[tuple[str, int]] = []
    at = 0
    while at < len(line):
        found = _WORD.match(line, at)
        if found is None:
            at += 1
            continue
        at = found.end()
        if found["comment"]:
            break
        if found["end"]:
            if words:
                yield words
            words = []
        elif found["word"]:
            words.append((_unquoted(found["word"]), found.start() + 1))
    if words:
        yield words


def _unquoted(word: str) -> str:
    parts = re.split(r"""("(?:\\.|[^"\\])*"?|'[^']*'?)""", word)
    return "".join(part.strip(part[0]) if part[:1] in ("'", '"') else part for part in parts)


def _one(words: Sequence[tuple[str, int]], line: int, notes: Notes) -> None:
    """One command: settings in front, its name, its arguments."""
    rest = list(words)
    while rest and rest[0][0].lstrip("@-") in ("sudo", "env", "time", "exec", "then", "do", "RUN"):
        rest.pop(0)
    exported = bool(rest) and rest[0][0] in ("export", "declare", "local", "readonly", "set")
    if exported:
        rest.pop(0)
    while rest:
        assigned = _ASSIGNED.fullmatch(rest[0][0])
        if assigned is None:
            break
        at = (line, rest.pop(0)[1])
        notes.variable(assigned[1], at)
        notes.string(assigned[2], assigned[1], at)
    if not rest or exported:
        return
    name = rest[0][0].rpartition("/")[2].lstrip("@-")
    _arguments(name, rest[1:], line, notes)


def _arguments(name: str, words: Sequence[tuple[str, int]], line: int, notes: Notes) -> None:
    said = name in _SAYS
    texts = [word for word, _ in words]
    if name.startswith("python") and "-m" in texts[:2]:
        module = texts[texts.index("-m") + 1 : texts.index("-m") + 2]
        if module:
            return _arguments(
                module[0].partition(".")[0], words[texts.index("-m") + 2 :], line, notes
            )
    for word, column in words:
        at = (line, column)
        for referred in _REFERRED.findall(word):
            notes.variable(referred, at)
        if not said:
            _address(word, at, notes)
            for model in _JSON_MODEL.findall(word):
                notes.model(model, at, None)
    if name in _INSTALLERS:
        _installed(name, words, line, notes)
    elif name == "ollama" and texts[:1] in (["pull"], ["run"]) and words[1:]:
        notes.model(words[1][0], (line, words[1][1]), OURS, sure=True)
    elif not said:
        _models(name, words, line, notes)
    return None


def _models(name: str, words: Sequence[tuple[str, int]], line: int, notes: Notes) -> None:
    sign = OURS if name in _LOCAL_SERVERS else None
    if name == "aws" and words and words[0][0].startswith("bedrock"):
        sign = _BEDROCK
    if name == "vllm" and [word for word, _ in words[:1]] == ["serve"] and words[1:]:
        notes.model(words[1][0], (line, words[1][1]), OURS)
    previous = ""
    for word, column in words:
        flag, equals, value = word.partition("=")
        if equals and flag in _VENDOR_FLAGS:
            notes.model(value, (line, column), sign)
        elif previous in _VENDOR_FLAGS - {"-m"} or (previous == "-m" and sign is OURS):
            notes.model(word, (line, column), sign)
        elif equals and _ASSIGNED.fullmatch(word):
            notes.variable(flag, (line, column))
            notes.string(value, flag, (line, column))
        previous = word


def _address(word: str, at: Place, notes: Notes) -> None:
    found = _URL.search(word)
    if found is not None:
        notes.url(found[0], at)
    elif not any(map(str.isspace, word)) and "." in word and "@" not in word:
        notes.url(word, at)


def _installed(name: str, words: Sequence[tuple[str, int]], line: int, notes: Notes) -> None:
    """The packages that an installer is given."""
    registry = _INSTALLERS[name]
    rest = list(words)
    runs = name in _RUNS
    if not runs and not any(word in _VERBS for word, _ in rest):
        return
    for word, column in rest:
        if word.startswith(("-", ".", "/", "$")) or word in _VERBS or word == "pip":
            continue
        at = (line, column)
        if registry == "pypi":
            for package in requirement(word):
                notes.package("pypi", package, at)
        else:
            lead, sign, rest_ = word.rpartition("@")
            notes.package(registry, lead if lead and sign and "/" not in rest_ else word, at)
        if runs:
            return


def _setting(line: str, at: Place, notes: Notes) -> None:
    """A line of a text that a script writes: it may be a file of settings."""
    assigned = _ASSIGNED.fullmatch(line.strip().removeprefix("export "))
    if assigned is not None:
        notes.variable(assigned[1], at)
        notes.string(assigned[2].strip("'\""), assigned[1], at)
