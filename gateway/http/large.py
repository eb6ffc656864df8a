"""Bodies that are large and say how long they are: received by the kernel straight into the one
piece of memory in which they are read.

By the usual way each is copied three times before anybody reads it: out of what the event loop
receives into, out of what the parser of HTTP is given, and into one piece. Of 300 KB that is a
tenth of all that the request costs.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from io import BytesIO
from typing import Protocol

LARGE = 16 * 1024
"""Bytes that are received while a head is waited for: small requests come as a whole, and of large
ones no more than this is copied."""
ROOM = 256 * 1024
"""Bytes that are received at a time of what comes the usual way and is not small."""
STEP = 512 * 1024
"""Bytes that a body is given room for at first, and only once some of it is there to be received.
More than twice of what came it has at no time: to announce much is not enough."""


class Large:
    """A body of ``length`` bytes, of which ``pieces`` have come."""

    __slots__ = ("_came", "_length", "_pieces", "_room", "_view", "_whole")

    def __init__(self, length: int, pieces: Sequence[bytes]) -> None:
        self._length = length
        self._pieces = pieces
        self._came = sum(map(len, pieces))
        self._whole = BytesIO()
        self._room = 0
        self._view: memoryview | None = None

    @property
    def left(self) -> int:
        """Bytes that have not come."""
        return self._length - self._came

    def room(self) -> memoryview:
        """Where the next of it is to be put."""
        view = self._view
        if view is None or self._came == self._room:
            # It cannot grow while it is looked into.
            self._view = view = None
            self._room = min(self._length, max(STEP, 2 * self._came))
            whole = self._whole
            whole.seek(self._room - 1)
            whole.write(b"\0")
            if self._pieces:
                whole.seek(0)
                whole.writelines(self._pieces)
                self._pieces = ()
            self._view = view = whole.getbuffer()
        return view[self._came :]

    def came(self, size: int) -> bool:
        """Bytes were put there. Whether that is all."""
        self._came += size
        if self._came < self._length:
            return False
        self._view = None
        return True

    def drop(self) -> None:
        """Nobody wants it any more."""
        self._view = None
        self._whole = BytesIO()
        self._pieces = ()

    def value(self) -> bytes:
        """All of it, and no copy where nobody looks into it any more. It is asked once."""
        whole, self._whole = self._whole, BytesIO()
        body = whole.getvalue()
        # Where somebody looks into it, it could not be cut to its length.
        return body if len(body) == self._length else body[: self._length]


class Receives(Protocol):
    """What a connection is told."""

    def data_received(self, data: bytes) -> None: ...

    def rest_received(self) -> None:
        """The rest of a large body came."""
        ...

    @property
    def unwanted(self) -> bool:
        """Whether nobody waits for the body that comes."""
        ...

    def eof_received(self) -> bool | None: ...

    def connection_lost(self, exc: Exception | None) -> None: ...

    def pause_writing(self) -> None: ...

    def resume_writing(self) -> None: ...


class _Scratch(threading.local):
    """Where a loop's connections receive: what is there was taken out before the next is asked."""

    def __init__(self) -> None:
        self.room = memoryview(bytearray(ROOM))


_scratch = _Scratch()


class Inlet(asyncio.BufferedProtocol):
    """What comes to a connection."""

    def __init__(self, connection: Receives) -> None:
        self._connection = connection
        self._most = _scratch.room
        self._least = self._room = self._most[:LARGE]
        self._large: Large | None = None

    def receive(self, large: Large) -> None:
        """What is left of that comes next."""
        self._large = large

    def get_buffer(self, sizehint: int) -> memoryview:
        large = self._large
        if large is None:
            return self._room
        if self._connection.unwanted:
            large.drop()
            return self._most[: large.left]
        return large.room()

    def buffer_updated(self, nbytes: int) -> None:
        large = self._large
        if large is None:
            room = self._room
            self._room = self._least if nbytes < len(room) else self._most
            self._connection.data_received(bytes(room[:nbytes]))
        elif large.came(nbytes):
            self._large = None
            self._room = self._least
            self._connection.rest_received()

    def eof_received(self) -> bool | None:
        return self._connection.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        # What is still looked into as it ends up in a circle of references is complained of by
        # Python 3.13.
        if self._large is not None:
            self._large.drop()
        self._connection.connection_lost(exc)

    def pause_writing(self) -> None:
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        self._connection.resume_writing()
