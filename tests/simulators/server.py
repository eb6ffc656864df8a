"""What every simulator is: a server on 127.0.0.1 in a thread and loop of its own, so that tests may
block or use asyncio. It keeps what it saw, and can be killed and revived.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self

from tests.ports import reserved
from tests.simulators.delivery import JSON, WAYS, deliver, released
from tests.simulators.loops import abandon, shut
from tests.simulators.model_lists import MISSING
from tests.simulators.peer import Peer, reset
from tests.simulators.seen import SeenConnection, SeenRequest
from tests.simulators.speech import CONTENTS, Speech, retry_after

CLOSED = frozenset({"refuse", "deaf"})
"""Behaviours of a port on which nobody accepts."""
BEHAVIOURS = frozenset({*CLOSED, *WAYS, *CONTENTS, "burst", "in_turn", "raw"})


class Simulator(ABC):
    """``connections`` holds each connection ever accepted (with ``tls``: whose handshake was done);
    ``requests`` each request for an answer, ``listed`` each for the list of models; ``open`` is how
    many connections are open now.
    """

    own: frozenset[str]
    """What this dialect adds to the behaviours that all have."""

    def __init__(
        self, *, port: int = 0, log: bool = False, tls: ssl.SSLContext | None = None
    ) -> None:
        self.connections: list[SeenConnection] = []
        self.requests: list[SeenRequest] = []
        self.listed: list[SeenRequest] = []
        self._kept = reserved() if port == 0 else None
        """So that it can be revived: the port is nobody's else meanwhile."""
        self._port = self._kept.getsockname()[1] if self._kept else port
        self._log = log
        self._tls = tls
        self._behaviour = "answer"
        self._options: dict[str, Any] = {}
        self._begun = 0
        self._listing = MISSING
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._deaf: list[socket.socket] = []
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @abstractmethod
    def speech(self, request: SeenRequest, options: dict[str, Any]) -> Speech:
        """What there is to say to a request."""

    @property
    def behaviours(self) -> frozenset[str]:
        """The names that ``behave`` knows."""
        return BEHAVIOURS | self.own

    @property
    def port(self) -> int:
        return self._port

    @property
    def origin(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._port}"

    @property
    def url(self) -> str:
        """What a channel's ``base_url`` is."""
        return f"{self.origin}/v1"

    @property
    def open(self) -> int:
        return len(self._writers)

    def behave(self, name: str | int, **options: Any) -> Self:
        """Answer the next requests in this way: one of ``WAYS`` or ``CONTENTS``, or of those that
        the dialect adds, or

        ``refuse``: stop listening, as ``kill`` does; ``deaf``: listen, and accept nobody, so that
        no connection is made; both until told otherwise;
        a status (``429``, ``"503"``): with ``retry_after`` (a header's value), ``retry_after_in``
        (seconds from then, told as a date), ``retry_after_ms``, ``code``, ``message``, ``type``,
        ``param``;
        ``burst``: the first ``times`` requests from now on get ``status``, then all is well;
        ``in_turn``: ``ways``, pairs of a behaviour and its options, the n-th for the n-th request
        from now on, and the last for all that come after it;
        ``raw``: ``data``, bytes sent as they are, after which the connection is closed unless
        ``keep``.

        ``delay`` is how many seconds pass before anything of an answer is sent; with ``released``
        (a ``threading.Event``) and without ``ahead`` nothing is sent before that is set.
        """
        self._begun = 0
        if str(name) not in self.behaviours and not _is_status(str(name)):
            raise ValueError(f"no behaviour {name!r}: {', '.join(sorted(self.behaviours))}")
        before, self._behaviour, self._options = self._behaviour, str(name), options
        if self._behaviour in CLOSED:
            self.kill()
            if self._behaviour == "deaf":
                self._deafen()
        elif before in CLOSED:
            self.revive()
        return self

    def list_raw(self, answer: bytes) -> Self:
        """Answer ``GET /models`` with these bytes, with none not at all; it begins with a 404."""
        self._listing = answer
        return self

    def kill(self) -> None:
        """Close the listener and reset every connection, as a process that dies does."""
        self._run(self._stop())

    def revive(self) -> None:
        """Listen again on the same port."""
        self._run(self._start())

    def drop_connections(self) -> None:
        """Close every connection, but go on listening."""
        self._run(self._drop())

    def saw(self, request: SeenRequest) -> None:
        """Keep a request that asks for an answer."""
        self.requests.append(request)

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._start())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._run(self._stop())
        self._run(abandon())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        if self._kept is not None:
            self._kept.close()

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def _deafen(self) -> None:
        """A listener whose queue is full: the kernel drops whatever else wants to connect."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self._port))
        listener.listen(0)
        self._deaf.append(listener)
        for _ in range(2):
            filling = socket.socket()
            filling.setblocking(False)
            filling.connect_ex(("127.0.0.1", self._port))
            self._deaf.append(filling)

    async def _start(self) -> None:
        for waiting in self._deaf:
            waiting.close()
        self._deaf.clear()
        if self._server is None:
            self._server = await asyncio.start_server(
                self._serve,
                "127.0.0.1",
                self._port,
                limit=64 * 1024 * 1024,
                reuse_address=True,
                ssl=self._tls,
            )

    async def _stop(self) -> None:
        for waiting in self._deaf:
            waiting.close()
        self._deaf.clear()
        if self._server is not None:
            server, self._server = self._server, None
            await shut(server)
        await self._drop()

    async def _drop(self) -> None:
        for writer in list(self._writers):
            reset(writer)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        number = len(self.connections)
        self.connections.append(SeenConnection(time.time(), writer.get_extra_info("peername")[1]))
        self._say(f"connection {number}")
        try:
            if self._behaviour == "reset" and self._options.get("at") == "accept":
                reset(writer)
            while await self._one(number, reader, writer):
                pass
        except (OSError, EOFError, asyncio.CancelledError):
            # The peer went away, or the simulator was told to drop it: both are its job.
            pass
        finally:
            self._writers.discard(writer)
            self._tasks.discard(task)
            writer.close()

    async def _one(
        self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Serve one request; whether the connection goes on."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.strip().split("\r\n")
        headers = {
            name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)
        }
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        request = SeenRequest(number, first.split()[1], headers, body, time.time())
        if first.startswith("GET "):
            self.listed.append(request)
            self._say(f"list {len(self.listed)} on connection {number}: {first}")
            writer.write(self._listing)
            return bool(self._listing or await reader.read())
        self.saw(request)
        self._say(f"request {len(self.requests)} on connection {number}: {first}")
        self._begun += 1
        return await self.answer(request, Peer(reader, writer), self._behaviour, self._options)

    async def answer(
        self, request: SeenRequest, peer: Peer, behaviour: str, options: dict[str, Any]
    ) -> bool:
        if behaviour == "raw":
            await peer.send(options["data"])
            return bool(options.get("keep"))
        if behaviour == "in_turn":
            behaviour, options = options["ways"][min(self._begun, len(options["ways"])) - 1]
            return await self.answer(request, peer, behaviour, options)
        await asyncio.sleep(options.get("delay", 0))
        if "ahead" not in options:
            await released(options)
        speech = self.speech(request, options)
        if behaviour == "burst":
            behaviour = str(options["status"]) if self._begun <= options["times"] else "answer"
        if _is_status(behaviour):
            return await peer.body(
                int(behaviour), JSON, speech.refusal(int(behaviour)), *retry_after(options)
            )
        return await deliver(peer, speech.delivery(behaviour), options)

    def _say(self, line: str) -> None:
        if self._log:
            sys.stdout.write(f"{time.time():.3f} {line}\n")
            sys.stdout.flush()


def _is_status(behaviour: str) -> bool:
    return len(behaviour) == 3 and behaviour.isdigit()
