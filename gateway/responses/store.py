"""The store of responses: kept for a time and up to a size, each for who asked for it alone.

Theory of operation. A row is one answer with the input of its own turn; a conversation is read by
going from each row to the one before it. An answer that is followed lives on for as long as what
follows it, so what is deleted for its age, or for want of room, is what nobody has gone on with for
longest. What has expired is not found from that moment on, whenever it is deleted.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec
import structlog

from gateway.domain.kept import KeptResponse
from gateway.errors import ContextOverflow, InvalidRequest, Unavailable
from gateway.responses.database import Database

SWEEP_EVERY = 60.0
"""Seconds between two looks for what has expired."""
BATCH = 200
"""Rows that are deleted at once: others wait for that long, and no longer."""
RENEWED_BY = 20
"""What an answer is followed by renews it once it has lost this part of its time: not with each
turn of a quick conversation.
"""
MOST_HISTORY = 64 * 1024 * 1024
"""Bytes of a conversation that is read into memory."""
AGAIN = 1.0
"""Seconds after which an app may ask again for what could not be read."""

_COLUMNS = "id, previous, created, input, body"
_CHAIN = """
WITH RECURSIVE chain (number, previous) AS (
    SELECT number, previous FROM responses WHERE owner = :owner AND id = :id
    UNION
    SELECT earlier.number, earlier.previous FROM responses AS earlier
    JOIN chain ON earlier.owner = :owner AND earlier.id = chain.previous
)
UPDATE responses SET expires = :expires WHERE number IN (SELECT number FROM chain)
"""

_Result = TypeVar("_Result")
_Way = Callable[[Callable[[sqlite3.Connection], _Result]], _Result]
"""How the database is gone to: ``Database.read`` or ``Database.write``."""
_lists = msgspec.json.Decoder(list[msgspec.Raw])


class _Body(msgspec.Struct):
    output: list[msgspec.Raw] = []


_bodies = msgspec.json.Decoder(_Body)


@dataclass(frozen=True, slots=True)
class Limits:
    """``keep`` is whether anything is kept at all, ``expire_after`` in seconds, ``most`` in
    bytes.
    """

    keep: bool
    expire_after: float
    most: int


class SqliteResponseStore:
    """Keeps them in ``folder``. ``clock`` tells seconds since 1970. ``limits`` may change at any
    time. Implements ``KeptResponses`` and ``ResponseStore``.
    """

    def __init__(
        self, folder: Path, limits: Limits, clock: Callable[[], float] = time.time
    ) -> None:
        self.limits = limits
        self._clock = clock
        self._database = Database(folder)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="responses")
        self._log = structlog.get_logger("gateway.responses")

    @property
    def keeps(self) -> bool:
        return self.limits.keep

    async def keep(self, owner: str, kept: KeptResponse) -> None:
        """Keep an answer. Raises nothing: an app is not to lose an answer for it."""
        limits = self.limits
        if not limits.keep:
            return
        try:
            await self._do(self._database.write, lambda rows: self._keep(rows, owner, kept, limits))
        except (sqlite3.Error, OSError) as error:
            self._log.error("response_not_kept", id=kept.id, error=str(error))

    async def history(self, owner: str, id: str) -> Sequence[bytes]:
        """The items of a conversation up to and with the answer of that id, oldest first. Raises
        ``InvalidRequest`` where it, or anything before it, is not there, ``ContextOverflow`` where
        there is too much of it, and ``Unavailable`` where it cannot be read.
        """
        kept = await self.conversation(owner, id)
        first = kept[0].previous if kept else id
        if first is not None:
            raise InvalidRequest(
                f"Previous response with id {id[:200]!r} not found."
                + ("" if self.limits.keep else " None are kept here (responses.keep)."),
                param="previous_response_id",
                code="previous_response_not_found",
            )
        return [item for one in kept for item in (*one.input, *_bodies.decode(one.body).output)]

    async def conversation(self, owner: str, id: str) -> Sequence[KeptResponse]:
        """An answer and those before it, as far as they are there, oldest first. Raises as
        ``history`` does.
        """
        if not self.limits.keep:
            return []
        return await self._ask(self._database.read, lambda rows: self._chain(rows, owner, id))

    async def find(self, owner: str, id: str) -> KeptResponse | None:
        """An answer. Raises ``Unavailable``."""
        if not self.limits.keep:
            return None
        return await self._ask(self._database.read, lambda rows: self._find(rows, owner, id))

    async def forget(self, owner: str, id: str) -> bool:
        """Delete an answer; whether there was one. What follows it has lost its beginning. Raises
        ``Unavailable``.
        """
        if not self.limits.keep:
            return False
        return await self._ask(self._database.write, lambda rows: self._forget(rows, owner, id))

    async def sweep(self) -> int:
        """Delete what has expired, a batch at a time; how many there were. Raises
        ``Unavailable``.
        """
        deleted = 0
        while (batch := await self._ask(self._database.write, self._sweep)) > 0:
            deleted += batch
        return deleted

    async def run(self) -> None:
        """Sweep until cancelled, also what is not kept any more; what fails is tried again."""
        while True:
            if self._database.path.exists():
                with suppress(Unavailable):
                    await self.sweep()
            await asyncio.sleep(SWEEP_EVERY)

    def close(self) -> None:
        """Let what is being done come to its end."""
        self._thread.submit(self._database.close)
        self._thread.shutdown()

    async def _ask(
        self, way: _Way[_Result], work: Callable[[sqlite3.Connection], _Result]
    ) -> _Result:
        try:
            return await self._do(way, work)
        except (sqlite3.Error, OSError) as error:
            self._log.error("responses_not_readable", error=str(error))
            raise Unavailable(
                "The responses that are kept cannot be read at the moment.",
                code="responses_unavailable",
                retry_after=AGAIN,
            ) from None

    async def _do(
        self, way: _Way[_Result], work: Callable[[sqlite3.Connection], _Result]
    ) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, way, work)

    # What is done in the store's own thread.

    def _keep(
        self, rows: sqlite3.Connection, owner: str, kept: KeptResponse, limits: Limits
    ) -> None:
        now = self._clock()
        expires = now + limits.expire_after
        rows.execute(
            "INSERT INTO responses (owner, id, previous, created, expires, input, body)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                *(owner, kept.id, kept.previous, kept.created, expires),
                *(b"[" + b",".join(kept.input) + b"]", kept.body),
            ),
        )
        if kept.previous is not None:
            self._renew(rows, owner, kept.previous, expires, limits.expire_after / RENEWED_BY)
        self._make_room(rows, limits.most)

    def _renew(
        self, rows: sqlite3.Connection, owner: str, id: str, expires: float, part: float
    ) -> None:
        before = rows.execute(
            "SELECT expires FROM responses WHERE owner = ? AND id = ?", (owner, id)
        ).fetchone()
        if before is not None and before[0] < expires - part:
            rows.execute(_CHAIN, {"owner": owner, "id": id, "expires": expires})

    def _make_room(self, rows: sqlite3.Connection, most: int) -> None:
        """Delete what would expire first, until the rest is within the bound."""
        while (excess := _size(rows) - most) > 0:
            oldest = rows.execute(
                "SELECT number, length(input) + length(body) FROM responses"
                " ORDER BY expires, number LIMIT ?",
                (BATCH,),
            ).fetchall()
            if not oldest:
                return
            freed = 0
            for number, size in oldest:
                rows.execute("DELETE FROM responses WHERE number = ?", (number,))
                freed += size
                if freed >= excess:
                    break

    def _chain(self, rows: sqlite3.Connection, owner: str, id: str) -> list[KeptResponse]:
        """An answer and what it follows, as far as it is there, oldest first."""
        found: list[KeptResponse] = []
        wanted: str | None = id
        left = MOST_HISTORY
        while wanted is not None and (one := self._find(rows, owner, wanted)) is not None:
            found.append(one)
            left -= len(one.body) + sum(map(len, one.input))
            if left < 0:
                raise ContextOverflow(
                    f"The conversation before this is longer than {MOST_HISTORY} bytes: begin "
                    "another.",
                    param="previous_response_id",
                )
            wanted = one.previous
        return found[::-1]

    def _find(self, rows: sqlite3.Connection, owner: str, id: str) -> KeptResponse | None:
        row = rows.execute(
            f"SELECT {_COLUMNS} FROM responses WHERE owner = ? AND id = ? AND expires > ?",  # noqa: S608 - a constant
            (owner, id, self._clock()),
        ).fetchone()
        if row is None:
            return None
        id, previous, created, written, body = row
        items = tuple(bytes(item) for item in _lists.decode(written))
        return KeptResponse(id, previous, created, items, body)

    def _forget(self, rows: sqlite3.Connection, owner: str, id: str) -> bool:
        deleted = rows.execute(
            "DELETE FROM responses WHERE owner = ? AND id = ? AND expires > ?",
            (owner, id, self._clock()),
        )
        return deleted.rowcount > 0

    def _sweep(self, rows: sqlite3.Connection) -> int:
        return rows.execute(
            "DELETE FROM responses WHERE number IN"
            " (SELECT number FROM responses WHERE expires <= ? LIMIT ?)",
            (self._clock(), BATCH),
        ).rowcount


def _size(rows: sqlite3.Connection) -> int:
    """Bytes of the file that hold something."""
    pages, free, size = (
        rows.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    used: int = (pages - free) * size
    return used
