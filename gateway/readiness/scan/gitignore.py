"""``.gitignore`` files, as gitignore(5) describes their patterns."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_FILE = ".gitignore"
_MOST_STARS = 3
"""In one name: with more, a name could be made that takes for ever to compare."""


@dataclass(frozen=True, slots=True)
class _Rule:
    """``folder`` is where it is written; ``pattern`` matches a path below that."""

    folder: str
    pattern: re.Pattern[str]
    negated: bool
    folders_only: bool


@dataclass(frozen=True, slots=True)
class Ignored:
    """The rules that hold in a folder: its own last, since the last one that fits decides."""

    rules: tuple[_Rule, ...] = ()

    def within(self, folder: str, names: list[str]) -> Ignored:
        """With the rules of a folder in which files of these names are."""
        if _FILE not in names:
            return self
        try:
            text = (Path(folder) / _FILE).read_text("utf-8", "replace")
        except OSError:
            return self
        added = (_rule(folder, line) for line in text.splitlines())
        return Ignored((*self.rules, *filter(None, added)))

    def covers(self, path: str, is_folder: bool) -> bool:
        for rule in reversed(self.rules):
            if rule.folders_only and not is_folder:
                continue
            below = path[len(rule.folder) :].lstrip("/")
            if rule.pattern.fullmatch(below):
                return not rule.negated
        return False


def _rule(folder: str, line: str) -> _Rule | None:
    line = line.rstrip("\r\n")
    if not line.endswith("\\ "):
        line = line.rstrip(" ")
    if not line or line.startswith("#"):
        return None
    if any(part.count("*") > _MOST_STARS and part != "**" for part in line.split("/")):
        return None
    negated = line.startswith("!")
    line = line[1:] if negated else line.removeprefix("\\")
    folders_only = line.endswith("/")
    line = line.rstrip("/")
    anchored = "/" in line
    pattern = _translated(line.lstrip("/"))
    if not anchored:
        pattern = f"(?:.*/)?{pattern}"
    return _Rule(folder, re.compile(pattern), negated, folders_only)


def _translated(pattern: str) -> str:
    """A pattern as a regular expression over paths with ``/``."""
    parts: list[str] = []
    at = 0
    while at < len(pattern):
        if pattern.startswith("**/", at):
            parts.append("(?:.*/)?")
            at += 3
        elif pattern.startswith("/**", at) and at + 3 == len(pattern):
            parts.append("/.*")
            at += 3
        elif pattern[at] == "*":
            parts.append("[^/]*")
            at += 1
        elif pattern[at] == "?":
            parts.append("[^/]")
            at += 1
        elif pattern[at] == "[" and "]" in pattern[at + 2 :]:
            end = pattern.index("]", at + 2)
            inside = pattern[at + 1 : end].replace("\\", "\\\\")
            parts.append(f"[{'^' + inside[1:] if inside[0] == '!' else inside}]")
            at = end + 1
        else:
            at += pattern[at] == "\\" and at + 1 < len(pattern)
            parts.append(re.escape(pattern[at]))
            at += 1
    return "".join(parts)
