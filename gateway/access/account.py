"""What a key has used and may use, as a value: whether a request may come in, and what is left.

Tokens and money are reserved before a request is served, by what it could use, and settled by what
it did use.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from gateway.access.bucket import LONG_AGO, PARTS, changed, filled, wait
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


class Ask(msgspec.Struct, frozen=True, gc=False):
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
        if whole <= limit or not self.open:
            return whole
        return max(self.prompt, limit)


class Used(msgspec.Struct, frozen=True, gc=False):
    """What a request, or all of them in a month, did use. ``cost`` in millionths."""

    requests: int = 0
    tokens: int = 0
    cost: int = 0

    def __add__(self, other: Used) -> Used:
        return Used(
            self.requests + other.requests, self.tokens + other.tokens, self.cost + other.cost
        )


class Refusal(msgspec.Struct, frozen=True, gc=False):
    """``wait`` is in microseconds, 0 where waiting does not help. ``wanted`` of ``limit``, in the
    unit of the limit.
    """

    why: Why
    wait: int
    limit: int
    wanted: int = 1


class Reserved(msgspec.Struct, frozen=True, gc=False):
    """What an account holds back for one request."""

    tokens: int
    cost: int


class Rooms(msgspec.Struct, frozen=True, gc=False):
    """What is left of a key's rates, as the levels of their buckets: those of requests, of tokens.
    They say nothing where there is no such limit.
    """

    limits: Limits = Limits()
    requests: int = 0
    tokens: int = 0


class Account(msgspec.Struct, frozen=True, gc=False):
    """As of one instant. ``requests`` and ``tokens`` are the levels of its buckets, which say
    nothing where there is no such limit; ``running`` requests for which ``reserved`` is held back;
    ``spent`` is of the month; both in millionths.
    """

    requests: int = 0
    tokens: int = 0
    running: int = 0
    reserved: int = 0
    spent: int = 0

    @staticmethod
    def at(
        limits: Limits,
        now: int,
        buckets: tuple[int, int, int, int] = (0, LONG_AGO, 0, LONG_AGO),
        running: int = 0,
        reserved: int = 0,
        spent: int = 0,
    ) -> Account:
        """At ``now`` (microseconds), of ``buckets`` as they were left: level and instant of that of
        requests, and of tokens.
        """
        requests, since, tokens, at = buckets
        a_minute, of_tokens = limits.requests_per_minute, limits.tokens_per_minute
        if a_minute is not None:
            requests = filled(requests, since, a_minute, now)
        if of_tokens is not None:
            tokens = filled(tokens, at, of_tokens, now)
        return Account(requests, tokens, running, reserved, spent)

    def admit(self, limits: Limits, ask: Ask) -> Refusal | tuple[Account, Reserved]:
        """The account with a request more, and what is reserved for it. Nothing is taken for one
        that is refused; what cannot come to be is told first.
        """
        of_tokens = limits.tokens_per_minute
        tokens = 0 if of_tokens is None else ask.tokens(of_tokens)
        refusal = self._refusal(limits, ask, tokens)
        if refusal is not None:
            return refusal
        requests, level = self.requests, self.tokens
        # There is as much in either bucket, as was seen: none comes to owe anything by this.
        if limits.requests_per_minute is not None:
            requests -= PARTS
        if of_tokens is not None:
            level -= tokens * PARTS
        cost = ask.cost
        account = Account(requests, level, self.running + 1, self.reserved + cost, self.spent)
        return account, Reserved(tokens, cost)

    def settle(self, limits: Limits, reserved: Reserved, used: Used) -> Account:
        """A request that was admitted has ended, and has used this much."""
        tokens = self.tokens
        if limits.tokens_per_minute is not None:
            tokens = changed(tokens, limits.tokens_per_minute, reserved.tokens - used.tokens)
        return Account(
            self.requests,
            tokens,
            self.running - 1,
            self.reserved - reserved.cost,
            self.spent + used.cost,
        )

    def rooms(self, limits: Limits) -> Rooms:
        return Rooms(limits, self.requests, self.tokens)

    def _refusal(self, limits: Limits, ask: Ask, tokens: int) -> Refusal | None:
        per_minute = limits.tokens_per_minute
        if per_minute is not None and tokens > per_minute:
            return Refusal(Why.TOO_LARGE, 0, per_minute, tokens)
        # What costs nothing passes no budget, however far it was overdrawn.
        if ask.cost > 0 and limits.budget is not None:
            wanted = self.spent + self.reserved + ask.cost
            if wanted > limits.budget:
                return Refusal(Why.BUDGET, 0, limits.budget, ask.cost)
        if limits.concurrent is not None and self.running >= limits.concurrent:
            return Refusal(Why.CONCURRENT, A_SECOND, limits.concurrent)
        found = None
        if limits.requests_per_minute is not None and self.requests < PARTS:
            waiting = wait(self.requests, limits.requests_per_minute, 1)
            found = Refusal(Why.REQUESTS, waiting, limits.requests_per_minute)
        if per_minute is not None and self.tokens < tokens * PARTS:
            waiting = wait(self.tokens, per_minute, tokens)
            # Whoever waits for the longer of the two waits once.
            if found is None or waiting > found.wait:
                found = Refusal(Why.TOKENS, waiting, per_minute, tokens)
        return found
