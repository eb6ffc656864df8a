"""Where keys are kept: one SQLite file, or whatever else can do what ``KeyRepository`` says."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable, Hashable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec

from gateway.access.keys import Key
from gateway.errors import StateError

FILE = "keys.sqlite3"
"""The name of the file in the state's folder."""
BUSY = 5.0
"""Seconds to wait for another process that writes."""
_VERSION = 1
_SCHEMA = f"""
BEGIN;
CREATE TABLE keys (id TEXT PRIMARY KEY, number INTEGER UNIQUE NOT NULL, body BLOB NOT NULL) STRICT;
PRAGMA user_version = {_VERSION};
COMMIT;
"""

_Result = TypeVar("_Result")
_decoder = msgspec.json.Decoder(Key)


class KeyRepository(Protocol):
    """All raise ``StateError`` where the keys cannot be read or written."""

    def all(self) -> tuple[Key, ...]:
        """Every key there ever was, oldest first."""
        ...

    def add(self, *keys: Key) -> None:
        """Keep new keys: all, or none."""
        ...

    def change(self, id: str, how: Callable[[Key], Key]) -> Key:
        """Replace a key by what ``how`` makes of it, with nobody else in between. Raises
        ``KeyError`` where there is none.
        """
        ...

    def version(self) -> Hashable:
        """Something that is another one after every change, whoever made it."""
        ...


class SqliteKeys:
    """``path`` need not be there before the first key. Implements ``KeyRepository``; for one
    thread.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reading: sqlite3.Connection | None = None
        self._inode: tuple[int, int] | None = None

    def all(self) -> tuple[Key, ...]:
        def rows(connection: sqlite3.Connection) -> tuple[Key, ...]:
            found = connection.execute("SELECT body FROM keys ORDER BY number")
            return tuple(_decoder.decode(body) for (body,) in found)

        return self._read(rows, ())

    def add(self, *keys: Key) -> None:
        self._write(
            lambda connection: connection.executemany(
                "INSERT INTO keys SELECT ?, coalesce(max(number), 0) + 1, ? FROM keys",
                ((key.id, msgspec.json.encode(key)) for key in keys),
            )
        )

    def change(self, id: str, how: Callable[[Key], Key]) -> Key:
        def changed(connection: sqlite3.Connection) -> Key:
            row = connection.execute("SELECT body FROM keys WHERE id = ?", (id,)).fetchone()
            if row is None:
                raise KeyError(id)
            key = how(_decoder.decode(row[0]))
            connection.execute(
                "UPDATE keys SET body = ? WHERE id = ?", (msgspec.json.encode(key), id)
            )
            return key

        return self._write(changed)

    def version(self) -> Hashable:
        def number(connection: sqlite3.Connection) -> int:
            return int(connection.execute("PRAGMA data_version").fetchone()[0])

        read = self._read(number, 0)
        return self._inode, read

    def close(self) -> None:
        if self._reading is not None:
            self._reading.close()
            self._reading = None

    def _read(self, work: Callable[[sqlite3.Connection], _Result], nothing: _Result) -> _Result:
        try:
            inode = _inode(self._path)
            if inode is None and self._inode is None:
                return nothing
            if inode is None:
                # Keys that are gone are not keys that there never were, which open the gateway.
                raise FileNotFoundError(errno.ENOENT, "it is gone")
            if self._reading is None or inode != self._inode:
                # Another file by that name: what was open is of the one before.
                self.close()
                self._inode = inode
                self._reading = self._open()
            return work(self._reading)
        except (sqlite3.Error, OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            self.close()
            raise self._fault("read", error) from None

    def _write(self, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
            with closing(self._open()) as connection:
                connection.execute("BEGIN IMMEDIATE")
                try:
                    result = work(connection)
                    connection.execute("COMMIT")
                except BaseException:
                    connection.execute("ROLLBACK")
                    raise
            return result
        except (sqlite3.Error, OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self._fault("written", error) from None

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, timeout=BUSY, isolation_level=None, check_same_thread=False
        )
        try:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, _VERSION):
                raise OSError(0, f"it is of version {version}, and this gateway reads {_VERSION}")
            for pragma in ("journal_mode = WAL", "secure_delete = ON", "trusted_schema = OFF"):
                connection.execute(f"PRAGMA {pragma}")
            if version == 0:
                connection.executescript(_SCHEMA)
        except BaseException:
            connection.close()
            raise
        return connection

    def _fault(self, done: str, error: Exception) -> StateError:
        why = error.strerror if isinstance(error, OSError) and error.strerror else error
        return StateError(
            f"the keys in {self._path} cannot be {done} ({why}): put back a copy that is whole, "
            "or move the file away and make new keys with `gateway keys create`"
        )


def revoked(key: Key, now: datetime) -> Key:
    """The key, good no more."""
    return key if key.revoked is not None else msgspec.structs.replace(key, revoked=now)


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
