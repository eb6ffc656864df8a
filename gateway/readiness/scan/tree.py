"""Which files of folders are looked at, and which are not, and why."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from gateway.readiness.scan.finding import Skipped, Unread
from gateway.readiness.scan.gitignore import Ignored
from gateway.readiness.scan.kinds import is_archive, is_lock, is_log, reader_of
from gateway.vendors.signals.table import Signals

MiB = 1 << 20
LARGEST = 4 * MiB
LARGEST_LOCK = 64 * MiB
_VENDORED = frozenset(
    {
        "node_modules",
        "bower_components",
        "site-packages",
        "dist-packages",
        "__pycache__",
        "jspm_packages",
        ".tox",
        ".nox",
        ".mypy_cache",
        ".ruff_cache",
        ".pytest_cache",
        ".gradle",
        ".terraform",
        ".yarn",
        ".pnpm-store",
        ".next",
        ".nuxt",
        ".eggs",
    }
)
_HISTORIES = frozenset({".git", ".hg", ".svn", ".jj"})


class Kind(StrEnum):
    TEXT = "text"
    LOG = "log"
    ARCHIVE = "archive"


@dataclass(frozen=True, slots=True)
class Found:
    """A file to look at; ``shown`` is how reports call it."""

    path: str
    shown: str
    kind: Kind
    size: int


@dataclass(slots=True)
class Tree:
    """What stands below some paths. ``vendored`` looks into folders of other people's code too,
    ``gitignore`` obeys the files of that name.
    """

    signals: Signals
    vendored: bool = False
    gitignore: bool = False
    skipped: list[Skipped] = field(default_factory=list)
    unread: list[Unread] = field(default_factory=list)
    _others: Counter[str] = field(default_factory=Counter)

    def files(self, roots: Sequence[Path]) -> list[Found]:
        """All files to look at, in the order of their names."""
        found: list[Found] = []
        for root in roots:
            if root.is_dir():
                found += self._folder(root)
            else:
                found += self._file(str(root), str(root), named=True)
        rest = [(count, ending) for ending, count in self._others.items()]
        for count, ending in sorted(rest, key=lambda one: (-one[0], one[1])):
            self.skipped.append(Skipped(ending, "files of a kind that is not read", count))
        self._others.clear()
        return found

    def _folder(self, root: Path) -> Iterator[Found]:
        waiting: list[tuple[str, Ignored]] = [(str(root), Ignored())]
        while waiting:
            folder, ignored = waiting.pop()
            try:
                with os.scandir(folder) as entries:
                    inside = sorted(entries, key=lambda one: one.name)
            except OSError as error:
                self.unread.append(Unread(folder, _why(error)))
                continue
            if self.gitignore:
                ignored = ignored.within(folder, [one.name for one in inside])
            below: list[tuple[str, Ignored]] = []
            for entry in inside:
                if entry.is_symlink():
                    self.skipped.append(Skipped(entry.path, "a link is not followed"))
                elif self.gitignore and ignored.covers(entry.path, entry.is_dir()):
                    self.skipped.append(Skipped(entry.path, "ignored by .gitignore"))
                elif entry.is_dir():
                    why = self._passed(entry)
                    if why:
                        self.skipped.append(Skipped(entry.path, why, 0))
                    else:
                        below.append((entry.path, ignored))
                elif entry.is_file():
                    yield from self._file(entry.path, entry.path)
                else:
                    self.skipped.append(Skipped(entry.path, "it is no regular file"))
            waiting += reversed(below)

    def _passed(self, entry: os.DirEntry[str]) -> str:
        """Why a folder is not looked into, empty where it is."""
        if entry.name in _HISTORIES:
            return "the history of a repository"
        if self.vendored:
            return ""
        if entry.name in _VENDORED:
            return "other people's code, or a cache: its lock file tells what is in it"
        inside = Path(entry.path)
        if (inside / "pyvenv.cfg").is_file():
            return "a virtual environment"
        if (inside / "CACHEDIR.TAG").is_file():
            return "a cache, by its CACHEDIR.TAG"
        if entry.name == "vendor" and (
            (inside / "modules.txt").is_file() or (inside / "autoload.php").is_file()
        ):
            return "other people's code: its lock file tells what is in it"
        return ""

    def _file(self, path: str, shown: str, *, named: bool = False) -> Iterator[Found]:
        try:
            size = os.stat(path).st_size
        except OSError as error:
            self.unread.append(Unread(shown, _why(error)))
            return
        if is_archive(path):
            yield Found(path, shown, Kind.ARCHIVE, size)
        elif is_log(path):
            yield Found(path, shown, Kind.LOG, size)
        elif reader_of(path) is not None or self.signals.file(path) is not None:
            most = LARGEST_LOCK if is_lock(path) else LARGEST
            if size > most:
                self.unread.append(Unread(shown, f"it is larger than {most // MiB} MiB"))
            else:
                yield Found(path, shown, Kind.TEXT, size)
        elif named and not re.search(r"\.[A-Za-z]", os.path.basename(path)):
            # Whoever names a file whose name says no kind means a log.
            yield Found(path, shown, Kind.LOG, size)
        else:
            self._others[os.path.splitext(path)[1].lower() or "no ending"] += 1


def _why(error: OSError) -> str:
    return (error.strerror or "it cannot be opened").lower()
