"""The labelled snippets of ``corpus/``, what a scan makes of them, and how well it does.

A label is ``signal channel/developer``, or ``signal vendor`` where both are the same. A third of
the snippets, chosen by the hash of their names, is held out: of those only the figures are looked
at, so that no pattern is made for them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from gateway.config.shipped import load_catalog, load_signals
from gateway.readiness.scan.finding import Finding
from gateway.readiness.scan.kinds import is_log
from gateway.readiness.scan.reading import FileReader

FOLDER = Path(__file__).parent / "corpus"


@dataclass(frozen=True)
class Snippet:
    """``trap`` says what would mislead a scan, and is empty where nothing is meant to."""

    name: str
    file: str
    text: str
    finds: frozenset[str]
    trap: str

    @property
    def held_out(self) -> bool:
        return hashlib.sha256(self.name.encode()).digest()[0] % 3 == 0


@dataclass(frozen=True)
class Outcome:
    snippet: Snippet
    found: frozenset[str]

    @property
    def missed(self) -> frozenset[str]:
        return self.snippet.finds - self.found

    @property
    def wrong(self) -> frozenset[str]:
        return self.found - self.snippet.finds


@dataclass(frozen=True)
class Figures:
    right: int
    missed: int
    wrong: int

    @property
    def recall(self) -> float:
        return self.right / (self.right + self.missed)

    @property
    def precision(self) -> float:
        return self.right / (self.right + self.wrong)


def snippets() -> list[Snippet]:
    rows = [
        row for path in sorted(FOLDER.glob("*.yaml")) for row in yaml.safe_load(path.read_text())
    ]
    return [
        Snippet(
            row["name"],
            row["file"],
            row["text"],
            frozenset(map(_full, row["finds"])),
            row.get("trap", ""),
        )
        for row in rows
    ]


def _full(label: str) -> str:
    signal, _, vendors = label.partition(" ")
    return f"{signal} {vendors}" if "/" in vendors else f"{signal} {vendors}/{vendors}"


@cache
def reader() -> FileReader:
    catalog = load_catalog()
    return FileReader(catalog, load_signals(catalog))


def findings(file: str, text: str) -> list[Finding]:
    if is_log(file):
        return reader().log(file, text.encode().splitlines(keepends=True), certain=False).findings
    return reader().text(file, text.encode()).findings


def label(finding: Finding) -> str:
    return f"{finding.signal} {finding.identity.channel}/{finding.identity.developer}"


def outcome(snippet: Snippet) -> Outcome:
    return Outcome(snippet, frozenset(map(label, findings(snippet.file, snippet.text))))


def figures(outcomes: Iterable[Outcome]) -> Figures:
    all_ = list(outcomes)
    return Figures(
        right=sum(len(one.found & one.snippet.finds) for one in all_),
        missed=sum(len(one.missed) for one in all_),
        wrong=sum(len(one.wrong) for one in all_),
    )
