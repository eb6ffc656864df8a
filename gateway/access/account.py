"""What a key has used and may use, as a value: whether a request may come in, and what is left.

Tokens and money are reserved before a request is served, by what it could use, and settled by what
it did use.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Self

import msgspec

from gateway.access.bucket import PARTS, Bucket
from gateway.access.keys import Limits

A_SECOND = 1_000_000
"""In microseconds."""


class Why(StrEnum):
    """Why a request does not come in."""

    TOO_LARGE = "too_large"
    BUDGET = "budget"
    CONCURRENT = "concurrent"
    REQUESTS = "requests"
    TOKENS = "tokens"


class Ask(msgspec.Struct, frozen=True):
    """What a request could use: tokens of its prompt and of its answer, and what they would cost at
    most, in millionths. With ``open`` the answer's length was not said, and is a guess.
    """

    prompt: int
    answer: int
    cost: int = 0
    open: bool = False

    def tokens(self, limit: int) -> int:
        """How many are reserved of ``limit`` a minute: a guess is no reason to be too large."""
        whole = self.prompt + self.answer
        return max(self.prompt, min(whole, limit)) if self.open else whole


class Used(msgspec.Struct, frozen=True):
    """What a request, or all of them in a month, did use. ``cost`` in millionths."""

    requests: int = 0
    tokens: int = 0
    cost: int = 0

    def __add__(self, other: Used) -> Used:
        return Used(
            self.requests + other.requests, self.tokens + other.tokens, self.cost + other.cost
        )


class Refusal(msgspec.Struct, frozen=True):
    """``wait`` is in microseconds, 0 where waiting does not help. ``wanted`` of ``limit``, in the
    unit of the limit.
    """

    why: Why
    wait: int
    limit: int
    wanted: int = 1


class Reserved(msgspec.Struct, frozen=True):
    """What an account holds back for one request."""

    tokens: int
    cost: int


class Room(msgspec.Struct, frozen=True):
    """What is left of one rate: ``reset`` is when all of it is there again, in microseconds from
    now.
    """

    limit: int
    left: int
    reset: int


class Rooms(msgspec.Struct, frozen=True):
    """What is left of a key's rates; ``None`` where it has no such limit."""

    requests: Room | None = None
    tokens: Room | None = None


class Account(msgspec.Struct, frozen=True):
    """``running`` requests for which ``reserved`` is held back; ``spent`` is of the month; both in
    millionths. A bucket is of a limit, and is left alone where there is none.
    """

    requests: Bucket = Bucket()
    tokens: Bucket = Bucket()
    running: int = 0
    reserved: int = 0
    spent: int = 0

    def at(self, limits: Limits, now: int) -> Self:
        """The same account at ``now`` (microseconds): what the others ask for is as of then."""
        requests, tokens = self.requests, self.tokens
        if limits.requests_per_minute is not None:
            requests = requests.filled(limits.requests_per_minute, now)
        if limits.tokens_per_minute is not None:
            tokens = tokens.filled(limits.tokens_per_minute, now)
        return type(self)(requests, tokens, self.running, self.reserved, self.spent)

    def admit(self, limits: Limits, ask: Ask) -> Refusal | tuple[Self, Reserved]:
        """The account with a request more, and what is reserved for it. Nothing is taken for one
        that is refused; what cannot come to be is told first.
        """
        tokens = 0 if limits.tokens_per_minute is None else ask.tokens(limits.tokens_per_minute)
        refusal = self._refusal(limits, ask, tokens)
        if refusal is not None:
            return refusal
        account = self._changed(limits, -1, -tokens, 1, ask.cost, 0)
        return account, Reserved(tokens, ask.cost)

    def settle(self, limits: Limits, reserved: Reserved, used: Used) -> Self:
        """A request that was admitted has ended, and has used this much."""
        back = reserved.tokens - used.tokens
        return self._changed(limits, 0, back, -1, -reserved.cost, used.cost)

    def rooms(self, limits: Limits) -> Rooms:
        return Rooms(
            _room(self.requests, limits.requests_per_minute),
            _room(self.tokens, limits.tokens_per_minute),
        )

    def _refusal(self, limits: Limits, ask: Ask, tokens: int) -> Refusal | None:
        per_minute = limits.tokens_per_minute
        if per_minute is not None and tokens > per_minute:
            return Refusal(Why.TOO_LARGE, 0, per_minute, tokens)
        # What costs nothing passes no budget, however far it was overdrawn.
        wanted = self.spent + self.reserved + ask.cost
        if limits.budget is not None and ask.cost > 0 and wanted > limits.budget:
            return Refusal(Why.BUDGET, 0, limits.budget, ask.cost)
        if limits.concurrent is not None and self.running >= limits.concurrent:
            return Refusal(Why.CONCURRENT, A_SECOND, limits.concurrent)
        found = None
        if limits.requests_per_minute is not None:
            found = _waiting(Why.REQUESTS, self.requests, limits.requests_per_minute, 1)
        if per_minute is not None:
            other = _waiting(Why.TOKENS, self.tokens, per_minute, tokens)
            # Whoever waits for the longer of the two waits once.
            found = other if found is None or (other and other.wait > found.wait) else found
        return found

    def _changed(
        self, limits: Limits, requests: int, tokens: int, running: int, reserved: int, spent: int
    ) -> Self:
        of_requests, of_tokens = self.requests, self.tokens
        if limits.requests_per_minute is not None and requests:
            of_requests = of_requests.changed(limits.requests_per_minute, requests)
        if limits.tokens_per_minute is not None and tokens:
            of_tokens = of_tokens.changed(limits.tokens_per_minute, tokens)
        return type(self)(
            of_requests,
            of_tokens,
            self.running + running,
            self.reserved + reserved,
            self.spent + spent,
        )


def _waiting(why: Why, bucket: Bucket, limit: int, wanted: int) -> Refusal | None:
    if bucket.level >= wanted * PARTS:
        return None
    return Refusal(why, bucket.wait(limit, wanted), limit, wanted)


def _room(bucket: Bucket, limit: int | None) -> Room | None:
    return None if limit is None else Room(limit, bucket.left(), bucket.wait(limit, limit))
