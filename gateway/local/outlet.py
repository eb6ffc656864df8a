"""The way out of a worker: frames to one client, from whichever thread has them.

The thread that computes sends what came of its step by itself. To hand it over would wake another
thread for every token, on cores that are all computing. Only what a client does not take at once is
left to the event loop.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from contextlib import suppress

MAX_UNREAD = 8 << 20
"""Bytes that a client may leave unread before its connection is given up."""


class Outlet:
    """For one connected, non-blocking socket, whose reading and closing is left to the loop's
    thread. What is sent after ``close`` is lost, as it would be with the connection.
    """

    def __init__(self, client: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
        self._client = client
        self._loop = loop
        self._lock = threading.Lock()
        self._left = bytearray()
        self._closed = False

    def send(self, data: bytes | bytearray) -> None:
        """Whole frames. May be called from any thread, and never waits."""
        with self._lock:
            if self._closed:
                return
            if self._left:
                self._left += data
            elif (sent := self._some(data)) < len(data):
                self._left += data[sent:]
                call(self._loop, self._wait)
            if len(self._left) > MAX_UNREAD:
                self._give_up()

    def close(self) -> None:
        """To be called in the loop's thread, once nothing more is read."""
        with self._lock:
            self._closed = True
            self._left.clear()
            self._loop.remove_writer(self._client)
            self._client.close()

    def _some(self, data: bytes | bytearray) -> int:
        """How much of it the kernel took."""
        try:
            return self._client.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            self._give_up()
            return len(data)

    def _give_up(self) -> None:
        # Whoever reads sees the end, and closes.
        self._closed = True
        self._left.clear()
        with suppress(OSError):
            self._client.shutdown(socket.SHUT_RDWR)

    def _wait(self) -> None:
        with self._lock:
            if not self._closed:
                self._loop.add_writer(self._client, self._more)

    def _more(self) -> None:
        with self._lock:
            if self._left:
                del self._left[: self._some(self._left)]
            if not self._left:
                self._loop.remove_writer(self._client)


def call(loop: asyncio.AbstractEventLoop, what: Callable[..., None], *arguments: object) -> None:
    """From another thread. When the loop is closed the process is ending, and nobody listens."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(what, *arguments)
