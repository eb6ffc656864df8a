"""What a serving process and the translator of one channel say to each other.

Over a Unix stream socket, one tagged struct a frame (``gateway.processes.frames``): ``Begin``
first, which ``Hello`` answers once litellm is there. Each ``Ask`` then gets any number of ``Piece``
and ends in one of ``Done``, ``Answered`` and ``Failure``; after ``Cancel`` an answer may still be
on its way and is to be ignored. At most ``WINDOW`` pieces are under way that were not ``Took``.

Over a second one, a socket of sequenced packets, the translator asks for connections: a ``Dial``
with the descriptor of a Unix socket, on which one ``Dialled`` comes, with the connected socket
where it was made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from gateway.domain.events import FailureKind
from gateway.processes.frames import FrameDecoder

WINDOW = 64
MOST_PACKET = 4096


class Begin(msgspec.Struct, frozen=True, tag="begin"):
    """What the translator serves. ``provider`` is litellm's word; ``credentials`` are those of this
    channel by litellm's names, ``parameters`` what belongs to them and is no secret; ``api_base``
    is where the API is, if not where litellm has it; ``authorities`` are PEM certificates that are
    trusted beside the system's; ``agent`` is what it calls itself to vendors, ``connect`` the
    seconds that a handshake may take.
    """

    provider: str
    credentials: Mapping[str, str]
    parameters: Mapping[str, str]
    api_base: str | None
    agent: str
    connect: float
    authorities: str | None = None

    def __repr__(self) -> str:
        return f"Begin({self.provider})"


class Ask(msgspec.Struct, frozen=True, tag="ask"):
    """``body`` is of the OpenAI dialect: a chat completion's, or with ``embeds`` one that asks for
    embeddings; ``model`` is the channel's own id.
    """

    id: int
    model: str
    body: bytes
    embeds: bool = False


class Took(msgspec.Struct, frozen=True, tag="took"):
    """So many pieces were passed on."""

    id: int
    pieces: int


class Cancel(msgspec.Struct, frozen=True, tag="cancel"):
    id: int


class Hello(msgspec.Struct, frozen=True, tag="hello"):
    """The translator is ready; what the kernel let it give up, and how long it took to get here."""

    pid: int
    namespace: bool
    seccomp: bool
    landlock: bool
    seconds: float


class Piece(msgspec.Struct, frozen=True, tag="piece"):
    """Bytes of the answer in the OpenAI dialect: events of a stream, or all of a plain one.
    Vectors are in it as base64.
    """

    id: int
    data: bytes


class Done(msgspec.Struct, frozen=True, tag="done"):
    """The answer is complete. The counts are the vendor's, where it has told them."""

    id: int
    prompt: int | None = None
    completion: int | None = None
    cached: int = 0
    reasoning: int = 0
    stored: int = 0


class Answered(msgspec.Struct, frozen=True, tag="answered"):
    """The vendor's own refusal, as it came: ``headers`` are those that say something of it, in
    lower case.
    """

    id: int
    status: int
    headers: Mapping[str, str]
    body: bytes


class Failure(msgspec.Struct, frozen=True, tag="failure"):
    """There is no answer, or no end of it, and why. ``param`` is what of the request to correct."""

    id: int
    kind: FailureKind
    message: str
    param: str | None = None


class Dial(msgspec.Struct, frozen=True, tag="dial"):
    host: str
    port: int


class Dialled(msgspec.Struct, frozen=True, tag="dialled"):
    """``kind`` and ``message`` say why there is no connection."""

    kind: FailureKind | None = None
    message: str = ""


Request: TypeAlias = Begin | Ask | Took | Cancel
Reply: TypeAlias = Hello | Piece | Done | Answered | Failure


def request_decoder() -> FrameDecoder[Request]:
    """What a translator reads with."""
    return FrameDecoder(msgspec.msgpack.Decoder(Request))


def reply_decoder() -> FrameDecoder[Reply]:
    """What a serving process reads with."""
    return FrameDecoder(msgspec.msgpack.Decoder(Reply))
