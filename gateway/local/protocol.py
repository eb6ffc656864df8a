"""What a serving process and a model's worker say to each other over a Unix stream socket.

Each message is one tagged struct in a frame (``gateway.processes.frames``). A worker
sends ``Hello`` first on every connection, once its model is loaded and warmed. Each ``Generate``
and ``Complete`` then gets ``Accepted`` (it has a slot), any number of ``Text``, and ``Done``;
``Embed`` the same with ``Vectors`` instead of ``Text``; ``Count`` gets ``Counted``. ``Refused`` may
come instead, and at any time. ``id`` is the client's, unique on its connection; after ``Cancel`` an
answer may still be on its way and is to be ignored.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

import msgspec

from gateway.domain.call import Chat, Completion, Embedding, Task
from gateway.domain.events import Scored
from gateway.local.abilities import Abilities
from gateway.local.layout import Layout
from gateway.local.reader import PieceKind
from gateway.processes.frames import FrameDecoder, frame


class RefusalKind(StrEnum):
    BUSY = "busy"
    CONTEXT_OVERFLOW = "context_overflow"
    REQUEST = "request"
    """What was asked for cannot be done, whoever asks."""
    INCAPABLE = "incapable"
    """This model cannot do it."""
    FAULT = "fault"


class Reason(StrEnum):
    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"


class Generate(msgspec.Struct, frozen=True, tag="generate"):
    """``app`` is who asks, for a fair turn; ``within`` the seconds in which the answer is of use.
    Of those with ``suspect`` one at a time is begun, until it has said something. A ``spare`` one
    is refused where no slot is free for it at once, and ended where another comes to wait for one.
    """

    id: int
    task: Chat
    app: str = ""
    within: float | None = None
    suspect: bool = False
    spare: bool = False


class Complete(msgspec.Struct, frozen=True, tag="complete"):
    """As ``Generate``."""

    id: int
    task: Completion
    app: str = ""
    within: float | None = None
    suspect: bool = False
    spare: bool = False


class Embed(msgspec.Struct, frozen=True, tag="embed"):
    """As ``Generate``."""

    id: int
    task: Embedding
    app: str = ""
    within: float | None = None


Work: TypeAlias = Generate | Complete | Embed
"""What a model is to do."""


class Count(msgspec.Struct, frozen=True, tag="count"):
    """Asks how many tokens a request's prompts have. It needs no slot, and nothing is computed."""

    work: Work

    @property
    def id(self) -> int:
        return self.work.id


class Cancel(msgspec.Struct, frozen=True, tag="cancel"):
    id: int


class Ping(msgspec.Struct, frozen=True, tag="ping"):
    """Asks for a ``Pong``."""


class Hello(msgspec.Struct, frozen=True, tag="hello"):
    """The model as it was loaded. ``context`` is in tokens for each slot."""

    model: str
    context: int
    slots: int
    pid: int
    layout: Layout
    abilities: Abilities


class Accepted(msgspec.Struct, frozen=True, tag="accepted"):
    """The request has a slot. ``cached`` tokens of the prompt need not be computed again."""

    id: int
    prompt_tokens: int
    cached: int = 0


class Text(msgspec.Struct, frozen=True, tag="text"):
    """A piece of one choice: never empty, never half a character."""

    id: int
    text: str
    kind: PieceKind = PieceKind.CONTENT
    choice: int = 0
    scores: tuple[Scored, ...] = ()


class Vectors(msgspec.Struct, frozen=True, tag="vectors"):
    """Those of the next inputs, as in ``Embedded``."""

    id: int
    vectors: tuple[bytes, ...]


class Counted(msgspec.Struct, frozen=True, tag="counted"):
    id: int
    tokens: int


class Done(msgspec.Struct, frozen=True, tag="done"):
    """``reasons`` has one for each choice; the completion's tokens are those of all, of which
    ``reasoning`` are of thoughts. ``stop`` is the stop string that ended the first choice, if one
    did.
    """

    id: int
    reasons: tuple[Reason, ...]
    prompt_tokens: int
    completion_tokens: int
    cached: int = 0
    stop: str | None = None
    reasoning: int = 0


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """``retry_after`` is in seconds; ``param`` is what of the request to correct."""

    id: int
    kind: RefusalKind
    message: str
    retry_after: float | None = None
    param: str | None = None


class Retire(msgspec.Struct, frozen=True, tag="retire"):
    """Asks a worker to end, if it has nothing to do. Where it has, it answers with a ``Pong``."""


class Tokens(msgspec.Struct, frozen=True):
    """How many a worker has had since it began: of prompts that got a slot, of which ``cached``
    were not computed again, and of answers, those included that nobody waited for to the end.
    """

    prompt: int = 0
    cached: int = 0
    completion: int = 0

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(
            self.prompt + other.prompt,
            self.cached + other.cached,
            self.completion + other.completion,
        )


NO_TOKENS = Tokens()


class Pong(msgspec.Struct, frozen=True, tag="pong"):
    """``stalled`` is for how many seconds the step at work has run; 0 between steps; ``asked`` how
    many requests have come in all.
    """

    waiting: int
    active: int
    tokens_per_second: float
    stalled: float = 0.0
    asked: int = 0
    tokens: Tokens = NO_TOKENS


Request: TypeAlias = Work | Count | Cancel | Ping | Retire
Reply: TypeAlias = Hello | Accepted | Text | Vectors | Counted | Done | Refused | Pong


def work(
    id: int,
    task: Task,
    app: str = "",
    within: float | None = None,
    *,
    suspect: bool = False,
    spare: bool = False,
) -> Work:
    """The message that asks for a task."""
    match task:
        case Chat():
            return Generate(id, task, app, within, suspect, spare)
        case Completion():
            return Complete(id, task, app, within, suspect, spare)
        case Embedding():
            return Embed(id, task, app, within)


def encode(message: Request | Reply) -> bytes:
    """One whole frame. Raises ProtocolError where it would be over ``MAX_FRAME`` bytes."""
    return frame(message)


def request_decoder() -> FrameDecoder[Request]:
    """What a worker reads with."""
    return FrameDecoder(msgspec.msgpack.Decoder(Request))


def reply_decoder() -> FrameDecoder[Reply]:
    """What a serving process reads with."""
    return FrameDecoder(msgspec.msgpack.Decoder(Reply))
