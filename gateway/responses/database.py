"""One SQLite file with the responses, as one thread of one process sees it.

Several processes share the file: it is in WAL mode, and whoever opens it holds a lock beside it. A
file that cannot be read (damaged, of no database, of another version) is left as it is, and the one
with the next number takes its place, in all processes: SQLite finds what belongs to a file by its
name, so no name may come to mean another file while somebody has it open.
"""

from __future__ import annotations

import fcntl
import os
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import structlog

VERSION = 1
BUSY = 5.0
"""Seconds to wait for another process that writes."""
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_FILE = re.compile(r"responses-([1-9][0-9]{0,8})\.sqlite3")
_PRAGMAS = (
    "journal_mode = WAL",
    # What is lost when the power goes is the last moments; nothing is damaged.
    "synchronous = NORMAL",
    # What is deleted is gone from the file, not only from its index.
    "secure_delete = ON",
    "trusted_schema = OFF",
    "journal_size_limit = 16777216",
)
_SCHEMA = f"""
CREATE TABLE responses (
    number INTEGER PRIMARY KEY,
    owner TEXT NOT NULL,
    id TEXT NOT NULL,
    previous TEXT,
    created INTEGER NOT NULL,
    expires REAL NOT NULL,
    input BLOB NOT NULL,
    body BLOB NOT NULL,
    UNIQUE (owner, id)
) STRICT;
CREATE INDEX responses_expires ON responses (expires);
PRAGMA user_version = {VERSION};
"""

_Result = TypeVar("_Result")


class Database:
    """``folder`` is where the file is, or will be."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = 0
        self._open: sqlite3.Connection | None = None
        self._inode: tuple[int, int] | None = None
        self._log = structlog.get_logger("gateway.responses")

    @property
    def path(self) -> Path:
        """The file in use."""
        return self._path(self._number or self._newest() or 1)

    def read(self, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """Read, all of it as it was at one moment. ``work`` is done again on a new file where the
        one that there is turns out to be damaged. Raises ``sqlite3.Error`` and ``OSError``.
        """
        return self._run(work, "BEGIN")

    def write(self, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """The same for what changes something: all of it, or nothing."""
        return self._run(work, "BEGIN IMMEDIATE")

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None

    def _run(self, work: Callable[[sqlite3.Connection], _Result], begin: str) -> _Result:
        try:
            return _transaction(self._connection(), work, begin)
        except sqlite3.DatabaseError as error:
            if not _is_damaged(error):
                raise
            self._give_up(f"damaged: {error}")
        return _transaction(self._connection(), work, begin)

    def _connection(self) -> sqlite3.Connection:
        if self._open is not None and self._is_current():
            return self._open
        self.close()
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._locked():
            newest = self._newest()
            # One whose file was taken away begins another: the name still means the old one to
            # whoever has it open.
            self._number = newest or self._number + 1
            while (opened := self._opened(self._path(self._number))) is None:
                self._number += 1
        self._open, self._inode = opened, _inode(self._path(self._number))
        return opened

    def _is_current(self) -> bool:
        return (
            _inode(self._path(self._number)) == self._inode
            and not self._path(self._number + 1).exists()
        )

    def _opened(self, path: Path) -> sqlite3.Connection | None:
        """Open a file, or make it; ``None`` where it cannot be used. The lock is held."""
        # Made here, so that nobody else can read it for a moment; what SQLite puts beside it is
        # as its file is.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(
            path, timeout=BUSY, isolation_level=None, check_same_thread=False
        )
        try:
            why = _prepare(connection)
        except sqlite3.DatabaseError as error:
            connection.close()
            if not _is_damaged(error):
                raise
            why = f"damaged: {error}"
        if why is None:
            return connection
        connection.close()
        self._tell(path, why)
        return None

    def _give_up(self, why: str) -> None:
        """Use the next file instead, unless another process has begun it already."""
        self.close()
        with self._locked():
            if self._newest() == self._number:
                path = self._path(self._number + 1)
                os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
                self._tell(self._path(self._number), why)

    def _tell(self, path: Path, why: str) -> None:
        self._log.error("responses_given_up", file=str(path), why=why)

    def _path(self, number: int) -> Path:
        return self._folder / f"responses-{number}.sqlite3"

    def _newest(self) -> int:
        """The number of the file in use, 0 where there is none."""
        if not self._folder.is_dir():
            return 0
        found = (_FILE.fullmatch(path.name) for path in self._folder.iterdir())
        return max((int(match[1]) for match in found if match is not None), default=0)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Alone among all processes, until the block's end."""
        file = os.open(self._folder / "responses.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
        finally:
            os.close(file)


def _prepare(connection: sqlite3.Connection) -> str | None:
    """Make it ready for use; why it cannot be used, if it cannot. Raises ``sqlite3.Error``."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    tables: int = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if version != VERSION and (version or tables):
        return f"of version {version}, not {VERSION}"
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")
    if version != VERSION:
        connection.executescript(f"BEGIN; {_SCHEMA} COMMIT;")
    return None


def _transaction(
    connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], _Result], begin: str
) -> _Result:
    connection.execute(begin)
    try:
        result = work(connection)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return result


def _is_damaged(error: sqlite3.DatabaseError) -> bool:
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in _DAMAGED


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
