"""The process of one channel's translator, once it has given up what it must not have.

One event loop: a task reads what is asked, and one for each request that is under way asks the
vendor. The end of the socket to the serving process is the end of this one.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
import threading
import time
from collections.abc import Mapping

from gateway.domain.events import FailureKind
from gateway.processes.frames import ProtocolError, frame
from gateway.upstream.fault import AttemptFault
from gateway.upstream.translate.parameters import Untranslatable, read, read_embedding
from gateway.upstream.translate.protocol import (
    WINDOW,
    Answered,
    Ask,
    Begin,
    Cancel,
    Done,
    Failure,
    Hello,
    Piece,
    Reply,
    Request,
    Took,
    request_decoder,
)
from gateway.upstream.translate.render import StreamWriter, usage, vectors, whole
from gateway.upstream.translate.sockets import Dialler, Loop, take_over
from gateway.upstream.translate.translator import Translator, fault
from gateway.upstream.translate.transport import Exchange, watched

READ = 1 << 16
TELLING = ("retry-after", "retry-after-ms", "x-amzn-errortype", "x-should-retry")
"""Headers of a refusal that say something of it."""


class Process:
    """Serves what comes over one connection."""

    def __init__(self, writer: asyncio.StreamWriter, translator: Translator) -> None:
        self._writer = writer
        self._translator = translator
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._room: dict[int, asyncio.Semaphore] = {}

    def handle(self, request: Request) -> None:
        match request:
            case Ask():
                self._room[request.id] = asyncio.Semaphore(WINDOW)
                self._tasks[request.id] = asyncio.create_task(self._answer(request))
            case Took() if (room := self._room.get(request.id)) is not None:
                for _ in range(request.pieces):
                    room.release()
            case Cancel() if (task := self._tasks.get(request.id)) is not None:
                task.cancel()
            case _:
                pass  # of a request that is at its end

    def say(self, reply: Reply) -> None:
        try:
            self._writer.write(frame(reply))
        except ProtocolError as error:
            if not isinstance(reply, Piece):
                raise
            self.say(Failure(reply.id, FailureKind.MALFORMED, str(error)))

    async def _answer(self, ask: Ask) -> None:
        try:
            with watched() as exchange:
                self.say(await self._outcome(ask, exchange))
        finally:
            del self._tasks[ask.id], self._room[ask.id]

    async def _outcome(self, ask: Ask, exchange: Exchange) -> Reply:
        """Ask the vendor, pass on what it says, and say how it ended."""
        try:
            done = await self._perform(ask, exchange)
        except Exception as error:  # noqa: BLE001 - litellm raises whatever it likes
            if exchange.fault is None and exchange.status is not None:
                said = {n: exchange.headers[n] for n in TELLING if n in exchange.headers}
                return Answered(ask.id, exchange.status, said, exchange.body)
            why = exchange.fault or _why(error, exchange) or fault(error)
            param = why.param if isinstance(why, Untranslatable) else None
            return Failure(ask.id, why.kind, why.message, param)
        if exchange.fault is not None:
            return Failure(ask.id, exchange.fault.kind, exchange.fault.message)
        if not exchange.seen.complete:
            return Failure(ask.id, FailureKind.TRUNCATED, "the answer ended before its end")
        return done

    async def _perform(self, ask: Ask, exchange: Exchange) -> Reply:
        if ask.embeds:
            found = await self._translator.embed(ask.model, read_embedding(ask.body))
            self.say(Piece(ask.id, vectors(found, exchange.seen.model or ask.model)))
            return _done(ask.id, found.get("usage"))
        wanted = read(ask.body)
        if not wanted.stream:
            answer = await self._translator.plain(ask.model, wanted.parameters)
            self.say(Piece(ask.id, whole(answer, exchange.seen.model or ask.model)))
            return _done(ask.id, answer.get("usage"))
        writer: StreamWriter | None = None
        counted: Mapping[str, object] | None = None
        async for chunk in self._translator.stream(ask.model, wanted.parameters):
            writer = writer or StreamWriter(exchange.seen.model or ask.model, usage=wanted.usage)
            counted = usage(chunk.get("usage")) or counted
            if data := writer.chunk(chunk):
                await self._room[ask.id].acquire()
                self.say(Piece(ask.id, data))
        if writer is not None and exchange.fault is None and exchange.seen.complete:
            self.say(Piece(ask.id, writer.end(counted)))
        return _done(ask.id, counted)


def _why(error: BaseException, exchange: Exchange) -> AttemptFault | None:
    """What an error means that is of neither the vendor's answer nor litellm's own making."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, AttemptFault):
            return cause
        if type(cause).__module__.startswith("google.auth"):
            refused = type(cause).__name__ != "TransportError"
            return AttemptFault(
                "the token endpoint does not accept the credentials"
                if refused
                else "the token endpoint cannot be reached",
                FailureKind.UNAUTHORIZED if refused else FailureKind.REFUSED,
            )
        cause = cause.__cause__ or cause.__context__
    if exchange.answered:
        # The vendor said 200, and what followed is nothing that litellm can read.
        return AttemptFault("the answer is not the API's shape", FailureKind.MALFORMED)
    return None


def _done(id: int, counted: object) -> Done:
    told = usage(counted) if isinstance(counted, dict) else None
    if told is None:
        return Done(id)
    prompt = told.get("prompt_tokens_details", {})
    completion = told.get("completion_tokens_details", {})
    return Done(
        id=id,
        prompt=told["prompt_tokens"],
        completion=told["completion_tokens"],
        cached=prompt.get("cached_tokens", 0),
        reasoning=completion.get("reasoning_tokens", 0),
        stored=prompt.get("cache_write_tokens", 0),
    )


async def _serve(talk: socket.socket, isolation: Mapping[str, bool], started: float) -> None:
    reader, writer = await asyncio.open_unix_connection(sock=talk)
    decoder = request_decoder()
    process: Process | None = None
    while data := await reader.read(READ):
        for request in decoder.feed(data):
            if process is not None:
                process.handle(request)
            elif isinstance(request, Begin):
                process = Process(writer, Translator(request))
                seconds = time.monotonic() - started
                process.say(Hello(os.getpid(), seconds=seconds, **isolation))


def _end_with(talk: socket.socket) -> None:
    """End the process, whatever its loop does, when its serving process has."""
    gone = select.poll()
    gone.register(talk, select.POLLHUP)
    gone.poll()
    os._exit(0)


def serve(talk: int, dial: int, isolation: Mapping[str, bool], started: float) -> int:
    """0 when the serving process has ended; ``started`` is when this one has, by its own clock."""
    socket_to_serving = socket.socket(fileno=talk)
    dialler = Dialler(socket.socket(fileno=dial))
    take_over(dialler)
    threading.Thread(target=_end_with, args=(socket_to_serving,), daemon=True).start()
    with asyncio.Runner(loop_factory=lambda: Loop(dialler)) as runner:
        runner.run(_serve(socket_to_serving, isolation, started))
    return 0
