"""How serving processes reach the supervisor of the local models, which is in the main process: a
Unix socket for the gateway's own user, a request a connection.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TypeAlias, TypeVar

import msgspec

from gateway.errors import GatewayError, ModelFileError, NotThere, StateError
from gateway.local.commands import Commands
from gateway.local.keeper import ModelState
from gateway.local.spawning import listen, socket_folder
from gateway.local.supervisor import Supervisor
from gateway.processes.frames import FrameDecoder, ProtocolError, frame

READ = 1 << 16
WITHIN = 600.0
"""Seconds for an answer: the files of a model may have to be hashed before."""


class Tell(msgspec.Struct, frozen=True, tag="tell"):
    """How are the models?"""


class Load(msgspec.Struct, frozen=True, tag="load"):
    name: str


class Unload(msgspec.Struct, frozen=True, tag="unload"):
    name: str
    cut: bool


class Told(msgspec.Struct, frozen=True):
    """One model, in the words of ``ModelStatus``."""

    name: str
    state: ModelState
    detail: str
    pid: int | None
    restarts: int
    needs: int
    active: int
    waiting: int
    tokens_per_second: float


class Models(msgspec.Struct, frozen=True, tag="models"):
    models: tuple[Told, ...]


class Fault(msgspec.Struct, frozen=True, tag="fault"):
    """What was asked for was not done. ``there`` says whether there is such a model at all."""

    message: str
    there: bool


Command: TypeAlias = Tell | Load | Unload
Outcome: TypeAlias = Models | Fault
_T = TypeVar("_T")


class ControlServer:
    """Takes commands from ``start`` to ``stop``, on the event loop of the ``supervisor``."""

    def __init__(self, supervisor: Supervisor, commands: Commands, run_dir: Path) -> None:
        self._supervisor = supervisor
        self._commands = commands
        self._run_dir = run_dir
        self._server: asyncio.Server | None = None
        self.path = Path()

    async def start(self) -> None:
        """Raises StartupError where the socket cannot be made."""
        self.path = socket_folder(self._run_dir, ["control"]) / "control.sock"
        self._server = await asyncio.start_unix_server(self._serve, sock=listen(self.path))

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self.path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            command = await _received(reader, msgspec.msgpack.Decoder(Command))
            writer.write(frame(await self._done(command)))
            await writer.drain()
        except (ProtocolError, ConnectionError):
            pass  # whoever asked has gone, or was none of ours
        finally:
            writer.close()

    async def _done(self, command: Command) -> Outcome:
        try:
            match command:
                case Load():
                    await self._commands.load(command.name)
                case Unload():
                    await self._commands.unload(command.name, cut=command.cut)
                case Tell():
                    pass
        except GatewayError as error:
            return Fault(error.message, there=not isinstance(error, NotThere))
        return Models(
            tuple(
                Told(
                    one.name,
                    one.state,
                    one.detail,
                    one.pid,
                    one.restarts,
                    one.needs,
                    one.active,
                    one.waiting,
                    one.tokens_per_second,
                )
                for one in self._supervisor.status()
            )
        )


async def command(path: Path, asked: Command) -> tuple[Told, ...]:
    """Ask the supervisor behind a socket; how all models are afterwards. Raises ``NotThere``,
    ModelFileError where a model cannot be loaded, StateError where nobody answers.
    """
    try:
        async with asyncio.timeout(WITHIN):
            reader, writer = await asyncio.open_unix_connection(path)
            try:
                writer.write(frame(asked))
                outcome = await _received(reader, msgspec.msgpack.Decoder(Outcome))
            finally:
                writer.close()
    except (OSError, ProtocolError, TimeoutError) as error:
        raise StateError(f"the supervisor of the local models does not answer: {error}") from None
    if isinstance(outcome, Models):
        return outcome.models
    if outcome.there:
        raise ModelFileError(outcome.message)
    raise NotThere(outcome.message, code="unknown_model")


async def _received(reader: asyncio.StreamReader, decoder: msgspec.msgpack.Decoder[_T]) -> _T:
    """The one message of the peer. Raises ProtocolError where it ends before."""
    frames = FrameDecoder(decoder)
    while data := await reader.read(READ):
        for message in frames.feed(data):
            return message
    raise ProtocolError("the connection ended before a message")
