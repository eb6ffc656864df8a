"""What the relay must know of a dialect: how a request is put to a target that speaks it, and what
the bytes of its answers say. One ``Speech`` a dialect; no I/O.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

from gateway.domain.call import Call
from gateway.domain.events import FinishReason, Piece, Usage
from gateway.domain.target import Target
from gateway.wire.sent import Sent

if TYPE_CHECKING:
    from gateway.wire.likeness import Likeness


class AnswerFailed(Exception):
    """A whole answer that says that the vendor failed. The message holds nothing of it."""


class Answer(msgspec.Struct, frozen=True):
    """A whole answer: ``data`` is what the app gets, ``model`` what the vendor says it is,
    ``provider`` to whom a router says that it went, ``text`` what the assistant says in it.
    ``pieces`` say the same where it was to be ``typed``; ``stop`` as in ``Finished``.
    """

    data: bytes
    model: str | None
    provider: str | None
    usage: Usage | None
    reasons: tuple[FinishReason, ...]
    text: str
    pieces: tuple[Piece, ...] = ()
    stop: str | None = None


class Chunk(msgspec.Struct, frozen=True, gc=False):
    """One event of a stream. ``data`` are the bytes to relay, empty for an error or what is
    malformed; ``choices`` are the answers that it is about, ``content`` whether it holds
    anything of them beyond their opening; ``text`` is what the assistant says in it, ``unspoken``
    the one string that it adds where that is no text, but a thought or a part of a call; ``block``
    is the content block that is open behind it, where the dialect has such. ``pieces`` say the same
    where it was to be ``typed``.

    ``binding`` says that it holds what no other target could go on from, ``closing`` that it only
    tells that something has ended: it is held back until more comes, or the end.
    ``reason`` is why a choice ended, with the choice's number; ``stop`` as in ``Finished``.
    """

    data: bytes = b""
    text: str = ""
    unspoken: str = ""
    pieces: tuple[Piece, ...] = ()
    choices: tuple[int, ...] = ()
    content: bool = False
    binding: bool = False
    closing: bool = False
    block: int | None = None
    usage: Usage | None = None
    reason: tuple[int, FinishReason] | None = None
    stop: str | None = None
    model: str | None = None
    provider: str | None = None
    id: str | None = None
    created: int | None = None
    done: bool = False
    error: bool = False
    malformed: bool = False


class VendorError(msgspec.Struct, frozen=True):
    """A vendor's error envelope, as far as it has one."""

    message: str | None = None
    type: str | None = None
    code: str | None = None
    param: str | None = None


class StreamReader(Protocol):
    """Reads one stream. ``terminator`` is what ends one that is complete, empty where the end of
    its body does.
    """

    terminator: bytes

    @property
    def likeness(self) -> Likeness | None:
        """What events that say the like have in common, where that is known."""
        ...

    def read(self, payload: bytes) -> Chunk:
        """Read the data of one event."""
        ...


class Speech(Protocol):
    """A dialect, as a target speaks it. ``typed`` is for answers whose bytes are not relayed: the
    app speaks another dialect, or has the beginning of the answer already.
    """

    def request(self, call: Call, target: Target) -> Sent:
        """The body to send. Raises ``ValueError`` for what is no JSON object, and
        ``CapabilityMissing`` where it cannot be said to that target.
        """
        ...

    def answer(self, body: bytes, asked: str, *, typed: bool) -> Answer:
        """Read and rewrite a whole answer for an app that asked for ``asked``. Raises
        ``ValueError`` where it is not the API's shape, and ``AnswerFailed``.
        """
        ...

    def error(self, body: bytes) -> VendorError:
        """A vendor's error envelope; an empty one where the body is something else."""
        ...

    def reader(self, asked: str, *, typed: bool) -> StreamReader:
        """For one stream of an answer to an app that asked for ``asked``."""
        ...
