"""Requirements of Python packages, as they stand in lists, manifests and commands."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gateway.readiness.scan.notes import Notes
from gateway.readiness.scan.source import Source

_NAME = re.compile(
    r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(\[[^\]]*\])?\s*(?:[<>=!~;@,(]|\Z| )"
)
_EGG = re.compile(r"[#&]egg=([A-Za-z0-9._-]+)")
_REPOSITORY = re.compile(r"(?:git|hg|svn)\+\S+?/([A-Za-z0-9._-]+?)(?:\.git)?(?:@[^#/]+)?(?:#.*)?\Z")
_COMMENT = re.compile(r"(?:\A|\s)#.*\Z")


def requirement(text: str) -> Iterator[str]:
    """The name of the package that one requirement asks for, if it names one."""
    text = text.strip().strip("'\"")
    egg = _EGG.search(text)
    if egg is not None:
        yield egg[1]
        return
    repository = _REPOSITORY.match(text)
    if repository is not None:
        yield repository[1]
        return
    found = _NAME.match(text)
    if found is not None:
        yield found[1]


def read_requirements(source: Source, notes: Notes) -> None:
    """A list for pip, with its comments, options and hashes."""
    continued = False
    for number, line in source.lines():
        if not continued:
            bare = _COMMENT.sub("", line).strip()
            if bare.startswith(("-e ", "--editable ")):
                bare = bare.partition(" ")[2]
            if bare and not bare.startswith("-"):
                for name in requirement(bare.partition(" --")[0]):
                    notes.package("pypi", name, (number, 1))
        continued = line.rstrip().endswith("\\")
