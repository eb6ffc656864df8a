"""What the batcher is given and what it says: jobs, and the events of their answers."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from gateway.domain.call import Sampling
from gateway.domain.events import Scored
from gateway.local.guide import Guide
from gateway.local.pictures import Picture
from gateway.local.protocol import Reason, RefusalKind
from gateway.local.reader import Piece, PlainReader, Reader


@dataclass(frozen=True, slots=True)
class Job:
    """One answer that is wanted, its prompt in tokens; ``pictures`` are the images in it, each with
    its place, where the prompt has their marks. ``key`` is the caller's and comes back in every
    event. ``guide`` holds the answer to a grammar, ``reader`` tells its parts, ``likely`` is how
    many likely tokens are told beside each. What is said begins with ``echo``. ``app`` is who asks;
    by ``until`` (monotonic seconds) the answer is of no more use; ``suspect`` and
    ``spare`` as in ``Generate``. One that ``follows`` another of its request waits where that does.
    """

    key: Hashable
    prompt: Sequence[int]
    sampling: Sampling = field(default_factory=Sampling)
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    guide: Guide | None = None
    reader: Reader = field(default_factory=PlainReader)
    likely: int | None = None
    echo: str = ""
    app: str = ""
    until: float = math.inf
    suspect: bool = False
    spare: bool = False
    follows: bool = False
    pictures: tuple[tuple[int, Picture], ...] = ()

    @property
    def repeatable(self) -> bool:
        return self.sampling.seed is not None

    @property
    def known(self) -> int:
        """How many tokens need not be computed where they were before: not the last one, or the
        image that it is of, since from it comes the answer's first.
        """
        last = len(self.prompt) - 1
        return next((at for at, one in self.pictures if at <= last < at + one.size), last)

    def piece(self, start: int, most: int) -> tuple[Sequence[int], Picture | None]:
        """What of the prompt is computed next: an image as a whole, or ``most`` tokens at most up
        to the next.
        """
        for at, picture in self.pictures:
            if at == start:
                return self.prompt[at : at + picture.size], picture
            if at > start:
                return self.prompt[start : min(start + most, at)], None
        return self.prompt[start : start + most], None


@dataclass(frozen=True, slots=True)
class EmbedJob:
    """Vectors that are wanted, of texts in tokens: none is empty, none too long for the model.
    The rest as in ``Job`` and ``Embedding``.
    """

    key: Hashable
    inputs: tuple[Sequence[int], ...]
    dimensions: int | None = None
    app: str = ""
    until: float = math.inf


@dataclass(frozen=True, slots=True)
class Admitted:
    """``cached`` tokens of the prompt need not be computed again."""

    key: Hashable
    prompt_tokens: int
    cached: int = 0


@dataclass(frozen=True, slots=True)
class Said:
    """``scores`` are those of the tokens since the last piece, where they were asked for."""

    key: Hashable
    piece: Piece
    scores: tuple[Scored, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """Vectors of the next inputs, as in ``Embedded``."""

    key: Hashable
    vectors: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Ended:
    """``stop`` is the stop string that ended it, if one did; ``reasoning`` counts the tokens of its
    thoughts.
    """

    key: Hashable
    reason: Reason
    prompt_tokens: int
    completion_tokens: int
    cached: int = 0
    stop: str | None = None
    reasoning: int = 0


@dataclass(frozen=True, slots=True)
class Declined:
    """``retry_after`` is in seconds; ``param`` is what of the request to correct."""

    key: Hashable
    kind: RefusalKind
    message: str
    retry_after: float | None = None
    param: str | None = None


Event: TypeAlias = Admitted | Said | Found | Ended | Declined


def overflow(key: Hashable, size: str, context: int) -> Declined:
    """``size`` says how many tokens the prompt has."""
    return Declined(key, RefusalKind.CONTEXT_OVERFLOW, too_long(size, context))


def too_long(size: str, context: int) -> str:
    """What is said of a prompt of that size."""
    return (
        f"the prompt has {size} tokens, but this model's context is {context} tokens and must "
        "hold the answer too"
    )
