"""Events of an answer: what every backend yields, whatever is behind it.

An attempt is ``Started``, then any number of ``Delta``, ``Reasoned`` and ``Called``, or of
``Embedded``, or of ``Relayed``, at most one ``Usage``, and ends in exactly one of ``Finished`` and
``Failed``. ``Failed`` may come at any time, first included. Where several answers were asked for,
``choice`` counts them from 0.

None has a subclass: where each event of each answer passes, it is told apart by ``type(event) is``.
To ask ``isinstance`` of what it is not takes four times as long, as their metaclass is asked too.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Self, TypeAlias

import msgspec


class FailureKind(StrEnum):
    """Failures told apart, as the failover table needs them."""

    REFUSED = "refused"
    """The connection could not be made: refused, reset, no route, no name."""
    TLS = "tls"
    CONNECT_TIMEOUT = "connect_timeout"
    SERVER_ERROR = "server_error"
    """5xx."""
    MALFORMED = "malformed"
    """An empty body, not JSON, not HTTP, or not the API's shape."""
    TRUNCATED = "truncated"
    """The stream or body ended before its terminator."""
    STREAM_ERROR = "stream_error"
    """The vendor sent an error event within a stream."""
    FIRST_TOKEN_TIMEOUT = "first_token_timeout"  # noqa: S105 - a token of text
    IDLE_TIMEOUT = "idle_timeout"
    RATE_LIMITED = "rate_limited"
    """429."""
    UNAUTHORIZED = "unauthorized"
    """401 or 403: a wrong or revoked key."""
    VENDOR_BLOCKED = "vendor_blocked"
    """451, or a body that says that the account or region is blocked."""
    REQUEST_FAULT = "request_fault"
    """400, 404, 413, 422: the request itself is at fault."""
    CONTEXT_OVERFLOW = "context_overflow"
    """The prompt is too long for this target; one with a longer context may do."""
    INCAPABLE = "incapable"
    """This target's model cannot do such a thing; another may."""
    STALE_CONNECTION = "stale_connection"
    """A kept-alive connection turned out to be closed before a byte of the answer came."""
    EGRESS_REFUSED = "egress_refused"
    """The egress guard does not let this connection be made."""
    ANSWERED_BY_DENIED = "answered_by_denied"
    """The model named in the answer resolves to a vendor that policy denies."""
    POLICY_CUT = "policy_cut"
    """Policy came to deny the target while it answered, and says ``in_flight: cut``."""
    BUSY = "busy"
    """The local queue is full."""
    WORKER_LOST = "worker_lost"
    """The local model's process died or is not up."""


class FinishReason(StrEnum):
    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"


class Started(msgspec.Struct, frozen=True):
    """The target has begun to answer. ``model`` is what it calls itself, ``provider`` to whom it
    says that it sent the request on, where it says so. ``id`` and ``created`` are the answer's own
    where its bytes are relayed; ``media`` is the type of those bytes where it is not the usual one
    of the API.
    """

    model: str | None = None
    provider: str | None = None
    id: str | None = None
    created: int | None = None
    media: str | None = None


class Likely(msgspec.Struct, frozen=True):
    """A token that could have been, with its logarithm of probability."""

    token: bytes
    logprob: float


class Scored(msgspec.Struct, frozen=True):
    """A chosen token's score, and the likeliest ones in its place, likeliest first."""

    token: bytes
    logprob: float
    top: tuple[Likely, ...] = ()


class Delta(msgspec.Struct, frozen=True):
    """A piece of the assistant's text: never empty, never half a character. ``scores`` are those of
    the tokens since the last piece, where they were asked for.
    """

    text: str
    choice: int = 0
    scores: tuple[Scored, ...] = ()


class Reasoned(msgspec.Struct, frozen=True):
    """A piece of what the model thinks before it answers."""

    text: str
    choice: int = 0


class Called(msgspec.Struct, frozen=True):
    """A piece of a call of a function: ``index`` counts the calls of a choice. The first piece has
    ``id`` and ``name``; ``arguments`` is the next part of the JSON text.
    """

    index: int
    arguments: str = ""
    id: str | None = None
    name: str | None = None
    choice: int = 0


class Relayed(msgspec.Struct, frozen=True):
    """A piece of the answer's bytes, already in the caller's dialect. ``text`` is what the
    assistant says in it, which came in ``pieces`` pieces, about as many as tokens; ``binding`` says
    that it also holds what no other target could go on from: a part of a call, a refusal, audio.
    ``block`` is the content block that is open behind it, in dialects that have such.
    """

    data: bytes
    text: str = ""
    pieces: int = 0
    binding: bool = False
    block: int | None = None


class Embedded(msgspec.Struct, frozen=True):
    """The vectors of the next inputs, in their order. Each is of length 1 and stands as 32-bit
    floats, little endian.
    """

    vectors: tuple[bytes, ...]


MOST_TOKENS = 10**12
"""More are never told of one answer."""


class Usage(msgspec.Struct, frozen=True):
    """Token counts. Of the prompt's, ``cached`` were not computed again, and ``stored`` were kept
    for other prompts at a price, by vendors that say so; of the completion's, ``reasoning`` are of
    thoughts.
    """

    prompt: int
    completion: int
    cached: int = 0
    reasoning: int = 0
    stored: int = 0

    @property
    def total(self) -> int:
        return self.prompt + self.completion

    def bounded(self) -> Self:
        """With counts that can be: a target may tell anything, and budgets go by it."""
        if (
            0 <= self.prompt <= MOST_TOKENS
            and 0 <= self.completion <= MOST_TOKENS
            and 0 <= self.cached <= MOST_TOKENS
            and 0 <= self.reasoning <= MOST_TOKENS
            and 0 <= self.stored <= MOST_TOKENS
        ):
            return self
        counts = (self.prompt, self.completion, self.cached, self.reasoning, self.stored)
        return type(self)(*(max(0, min(count, MOST_TOKENS)) for count in counts))


class Failed(msgspec.Struct, frozen=True):
    """One attempt failed. ``retry_after`` is in seconds; ``code`` and ``param`` are those of the
    vendor's error envelope where ``kind`` is ``REQUEST_FAULT``. ``message`` holds no address, key
    or prompt.
    """

    kind: FailureKind
    message: str
    status: int | None = None
    retry_after: float | None = None
    code: str | None = None
    param: str | None = None


class Finished(msgspec.Struct, frozen=True):
    """``reasons`` has one for each choice. ``flaw`` is what the target did wrong all the same, once
    the answer was complete: the app has it whole, and the target is counted as failed. ``stop`` is
    the text that was asked for as an end and ended the first choice, where the target tells it.
    """

    reasons: tuple[FinishReason, ...] = ()
    flaw: Failed | None = None
    stop: str | None = None


class Continued(msgspec.Struct, frozen=True):
    """From here another target goes on with the same answer, in ``Delta``, ``Reasoned`` and
    ``Called``. Only the engine yields it. ``id`` and ``created`` are those that the app has seen,
    ``block`` the content block that it has open; ``None`` where they are our own, or none. That
    block is of text where the assistant has ``said`` something, and of thinking where not.
    """

    id: str | None = None
    created: int | None = None
    block: int | None = None
    said: bool = True


Piece: TypeAlias = Delta | Reasoned | Called
"""What an answer is made of."""

Event: TypeAlias = (
    Started | Delta | Reasoned | Called | Relayed | Embedded | Usage | Finished | Failed
)
