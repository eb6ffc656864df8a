"""One file, from its bytes to its findings: which reader it is for, and what becomes of errors."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from gateway.readiness.scan.finding import Finding, Unread
from gateway.readiness.scan.identify import findings
from gateway.readiness.scan.kinds import is_package_list, reader_of
from gateway.readiness.scan.logs import read_log
from gateway.readiness.scan.notes import Notes
from gateway.readiness.scan.source import LONGEST_LINE, Unreadable, decoded
from gateway.readiness.scan.suppressions import Suppression, suppressions
from gateway.vendors.catalog import Catalog
from gateway.vendors.signals.table import Signals


@dataclass(slots=True)
class Read:
    """What came of files. ``passed`` were not taken apart: nothing in them names a vendor."""

    findings: list[Finding] = field(default_factory=list)
    unread: list[Unread] = field(default_factory=list)
    suppressions: list[Suppression] = field(default_factory=list)
    files: int = 0
    passed: int = 0
    size: int = 0

    def add(self, other: Read) -> None:
        self.findings += other.findings
        self.unread += other.unread
        self.suppressions += other.suppressions
        self.files += other.files
        self.passed += other.passed
        self.size += other.size


class FileReader:
    """Reads files one after the other; the tables are indexed once."""

    def __init__(self, catalog: Catalog, signals: Signals) -> None:
        self._catalog = catalog
        self._signals = signals
        self._mentions = re.compile(_trie(signals.mentions))

    def text(self, path: str, data: bytes) -> Read:
        """A file of a kind for which ``reader_of`` has a reader, or whose name alone says it."""
        read = Read(files=1, size=len(data))
        notes = Notes(self._signals, path)
        tool = self._signals.file(path)
        if tool is not None:
            notes.tool(tool, path.rpartition("/")[2])
        reader = reader_of(path)
        if reader is not None and not self._mentioned(path, data):
            read.passed = 1
            reader = None
        if reader is not None:
            try:
                source = decoded(path, data, notes)
                if _machine_made(source.text) and not is_package_list(path):
                    raise Unreadable(f"a line is longer than {LONGEST_LINE} characters")
                reader(source, notes)
                read.suppressions += suppressions(path, source.text)
            except Unreadable as error:
                read.unread.append(Unread(path, str(error)))
            except RecursionError:
                read.unread.append(Unread(path, "it is nested too deeply"))
        return self._told(read, notes)

    def log(self, path: str, lines: Iterable[bytes], *, certain: bool) -> Read:
        """A log, line by line."""
        read = Read(files=1)
        notes = Notes(self._signals, path)
        try:
            read_log(lines, notes, certain=certain)
        except Unreadable as error:
            read.unread.append(Unread(path, str(error)))
        return self._told(read, notes)

    def installed(self, path: str, registry: str, name: str) -> Read:
        """A package that is installed in an image: its files are not looked at."""
        notes = Notes(self._signals, path)
        notes.package(registry, name, (0, 0))
        return self._told(Read(), notes)

    def _mentioned(self, path: str, data: bytes) -> bool:
        if is_package_list(path) or data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return True
        return self._mentions.search(data.lower()) is not None

    def _told(self, read: Read, notes: Notes) -> Read:
        read.findings += findings(notes, self._catalog)
        told = dict.fromkeys(notes.unread)
        read.unread += [Unread(notes.path, reason, partly=True) for reason in told]
        return read


def _machine_made(text: str) -> bool:
    """Whether a line is longer than people write: minified code, or data."""
    if len(text) <= LONGEST_LINE:
        return False
    start = 0
    while len(text) - start > LONGEST_LINE:
        end = text.rfind("\n", start, start + LONGEST_LINE)
        if end < 0:
            return True
        start = end + 1
    return False


def _trie(words: Iterable[str]) -> bytes:
    """One pattern for all words, in which those that begin alike share their beginning."""
    root: dict[str, dict] = {}  # type: ignore[type-arg]
    for word in words:
        node = root
        for letter in word:
            node = node.setdefault(letter, {})
        node[""] = {}
    return _pattern(root).encode()


def _pattern(node: dict) -> str:  # type: ignore[type-arg]
    if "" in node:
        return ""
    parts = [re.escape(letter) + _pattern(inner) for letter, inner in node.items()]
    return parts[0] if len(parts) == 1 else f"(?:{'|'.join(parts)})"
