"""Limits and budgets on the way of a request: whether it comes in, what its app is told of what is
left, and what it has used when it ends.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Protocol, Self

import msgspec

from gateway.access.account import Ask, Refusal, Rooms, Used, Why
from gateway.access.bucket import left, wait
from gateway.access.callers import Caller
from gateway.access.estimate import ask
from gateway.access.keys import Key, Limits
from gateway.access.ledger import Held
from gateway.access.prices import MILLION, Prices, Served, Tariff
from gateway.audit.record import AttemptRecord, Record
from gateway.domain.call import Call, Counting, Dialect
from gateway.domain.events import Usage
from gateway.engine.routes import Route
from gateway.errors import (
    BudgetSpent,
    GatewayError,
    ModelNotFound,
    RateLimited,
    StateError,
    Unavailable,
)

_NO_ROOMS = Rooms()
_ANTHROPIC = Dialect.ANTHROPIC
_MOST_ROUTES = 4096
"""Routes of which it is remembered what they cost: more than a configuration has."""


class Ledger(Protocol):
    """The accounts of all keys. Raises ``StateError`` where one more cannot be kept."""

    def admit(self, key: str, limits: Limits, ask: Ask) -> tuple[Refusal | Held, Rooms]: ...

    def settle(self, held: Held, used: Used) -> None: ...

    def rooms(self, key: str, limits: Limits) -> Rooms: ...


class Admission(msgspec.Struct, eq=False):
    """One request that came in, or did not: then there is a ``refusal``."""

    quotas: Quotas
    call: Call
    asked: Ask
    held: Held | None
    rooms: Rooms
    refusal: GatewayError | None = None
    record: Record | None = None

    def headers(self) -> bytes:
        """What the app is told of what is left, in lines as they are sent."""
        return told(self.rooms, self.call.api.dialect)

    def settling(self, record: Record) -> Self:
        """A context around the request: what it used is counted, whatever becomes of it. Raises
        what it was refused for.
        """
        self.record = record
        return self

    def __enter__(self) -> None:
        if self.refusal is not None:
            raise self.refusal

    def __exit__(self, *_: object) -> None:
        record = self.record
        if record is None:
            return
        used, known = self._used(record)
        record.cost = used.cost if known else None
        if self.held is not None:
            self.quotas.ledger.settle(self.held, used)

    def _used(self, record: Record) -> tuple[Used, bool]:
        """What a request used, and whether that is what it cost: a price may not be known."""
        tokens, cost, known = 0, 0, True
        if type(self.call.asked) is not Counting:
            prices = self.quotas.prices()
            for attempt in record.attempts:
                usage = usage_of(attempt, self.asked.prompt)
                if usage is not None:
                    price, priced = prices.cost(_served(record, attempt.target), usage)
                    tokens += usage.prompt + usage.completion
                    cost += price
                    known = known and priced
        return Used(1, tokens, cost), known


class Quotas:
    """``prices`` are those in force, ``route`` tells who could answer for a model; raises
    ``ModelNotFound``.
    """

    def __init__(
        self,
        ledger: Ledger,
        prices: Callable[[], Prices],
        route: Callable[[str], Route],
    ) -> None:
        self.ledger = ledger
        self.prices = prices
        self._route = route
        self._tariffs: dict[int, tuple[Route, Prices, frozenset[Tariff | None]]] = {}

    def admit(self, caller: Caller, call: Call) -> Admission:
        """Reserve what a call could use. Who has no key has no limits."""
        asked = ask(call)
        key = caller.key
        if key is None:
            return Admission(self, call, asked, None, _NO_ROOMS)
        if key.limits.budget is not None:
            asked = Ask(asked.prompt, asked.answer, self._most(call, asked), asked.open)
        try:
            answer, rooms = self.ledger.admit(key.accounted, key.limits, asked)
        except StateError as error:
            return Admission(self, call, asked, None, _NO_ROOMS, _uncounted(error))
        if isinstance(answer, Refusal):
            refusal = _refused(answer, key, self.prices().currency)
            return Admission(self, call, asked, None, rooms, refusal)
        return Admission(self, call, asked, answer, rooms)

    def headers(self, caller: Caller, dialect: Dialect) -> bytes:
        """What is told of what is left, where a request has not come so far as to be admitted."""
        key = caller.key
        if key is None or (key.limits.requests_per_minute, key.limits.tokens_per_minute) == (
            None,
            None,
        ):
            return b""
        try:
            return told(self.ledger.rooms(key.accounted, key.limits), dialect)
        except StateError:
            return b""

    def _most(self, call: Call, asked: Ask) -> int:
        """What a call would cost at the dearest of the targets that it may be served by."""
        if type(call.asked) is Counting:
            return 0
        try:
            route = self._route(call.model)
        except ModelNotFound:
            # Told by who looks for it.
            return 0
        prices = self.prices()
        return prices.most(self._priced(route, prices), asked.prompt, asked.answer)

    def _priced(self, route: Route, prices: Prices) -> frozenset[Tariff | None]:
        """What the targets of a route cost: once for each configuration."""
        found = self._tariffs.get(id(route))
        if found is None or found[0] is not route or found[1] is not prices:
            if len(self._tariffs) >= _MOST_ROUTES:
                self._tariffs.clear()
            tariffs = prices.tariffs(
                Served(one.id, one.identity.channel, one.identity.model, one.locality)
                for one in route.targets
            )
            found = self._tariffs[id(route)] = route, prices, tariffs
        return found[2]


def _served(record: Record, name: str) -> Served:
    """What was behind an attempt on a target of that name."""
    for one in record.targets:
        if one.target == name:
            return Served(name, one.channel, one.model, one.locality)
    raise KeyError(name)


def usage_of(attempt: AttemptRecord, prompt: int) -> Usage | None:
    """What an attempt used, as far as it is known; ``None`` where it served nothing. ``prompt`` is
    an estimate of the tokens that were sent.
    """
    if attempt.prompt_tokens is not None:
        return Usage(
            attempt.prompt_tokens,
            attempt.completion_tokens or 0,
            cached=attempt.cached_tokens or 0,
            stored=attempt.stored_tokens or 0,
        )
    if attempt.first_content_us is None and attempt.outcome not in ("served", "cancelled"):
        return None
    # It was sent the prompt and began, or would have: what came is counted, what was sent guessed.
    return Usage(prompt, attempt.seen_tokens)


def told(rooms: Rooms, dialect: Dialect) -> bytes:
    """The headers that tell what is left, in lines as they are sent: OpenAI's in both dialects, and
    Anthropic's in its own. Sources: https://platform.openai.com/docs/guides/rate-limits,
    https://platform.claude.com/docs/en/api/rate-limits.
    """
    limits, found = rooms.limits, b""
    for limit, level, ours, theirs in (
        (limits.requests_per_minute, rooms.requests, _REQUESTS, _THEIR_REQUESTS),
        (limits.tokens_per_minute, rooms.tokens, _TOKENS, _THEIR_TOKENS),
    ):
        if limit is not None:
            # When all of it is there again, in microseconds from now.
            reset, remaining = wait(level, limit, limit), left(level)
            found += ours % (limit, remaining, _span(-(-reset // 1000)))
            if dialect is _ANTHROPIC:
                found += theirs % (limit, remaining, _instant(reset))
    return found


_OURS = (
    b"x-ratelimit-limit-%b: %%d\r\nx-ratelimit-remaining-%b: %%d\r\nx-ratelimit-reset-%b: %%b\r\n"
)
_THEIRS = b"".join(
    b"anthropic-ratelimit-%%b-%b: %%%%%b\r\n" % part
    for part in ((b"limit", b"d"), (b"remaining", b"d"), (b"reset", b"b"))
)
_REQUESTS, _TOKENS = (_OURS % (name, name, name) for name in (b"requests", b"tokens"))
_THEIR_REQUESTS, _THEIR_TOKENS = (_THEIRS % (name, name, name) for name in (b"requests", b"tokens"))


@lru_cache(maxsize=1024)
def _span(millis: int) -> bytes:
    """A time as OpenAI writes it: 20ms, 1.5s, 6m0s."""
    if millis < 1000:
        return b"%dms" % millis if millis > 0 else b"0s"
    minutes, rest = divmod(millis, 60_000)
    seconds = f"{rest / 1000:g}s".encode()
    return b"%dm%b" % (minutes, seconds) if minutes else seconds


def _instant(reset: int) -> bytes:
    """The time in so many microseconds (RFC 3339), in whole seconds and never too early."""
    return _written(-(-(time.time_ns() + reset * 1000) // 1_000_000_000))


@lru_cache(maxsize=64)
def _written(second: int) -> bytes:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ").encode()


def _waited(micros: int) -> str:
    """A time for people; never less than it is."""
    return _span(-(-micros // 1000)).decode()


def _refused(refusal: Refusal, key: Key, currency: str) -> GatewayError:
    limit, wanted = refusal.limit, refusal.wanted
    wait = refusal.wait / 1_000_000
    match refusal.why:
        case Why.TOO_LARGE:
            return RateLimited(
                f"Request too large for this key ({key.id}): with its prompt and the answer that "
                f"it asks for it could use {wanted} tokens, and the key may use {limit} a minute. "
                "Send less, or ask for a shorter answer.",
                unit="tokens",
            )
        case Why.BUDGET:
            return BudgetSpent(
                f"The budget of this key ({key.id}) is used up, or this request could cost more "
                f"({_amount(wanted)} {currency}) than is left of {_amount(limit)} {currency} for "
                "the month (UTC). Ask the operator of this gateway for more.",
            )
        case Why.CONCURRENT:
            return RateLimited(
                f"This key ({key.id}) may have {limit} requests at one time, and has. Wait until "
                "one has ended.",
                unit="requests",
                retry_after=wait,
            )
        case Why.REQUESTS:
            return RateLimited(
                f"Rate limit reached for requests: this key ({key.id}) may make {limit} a minute. "
                f"Try again in {_waited(refusal.wait)}.",
                unit="requests",
                retry_after=wait,
            )
        case Why.TOKENS:
            return RateLimited(
                f"Rate limit reached for tokens: this key ({key.id}) may use {limit} a minute, and "
                f"this request could use {wanted}. Try again in {_waited(refusal.wait)}.",
                unit="tokens",
                retry_after=wait,
            )


def _amount(millionths: int) -> str:
    return f"{millionths / MILLION:.6f}".rstrip("0").rstrip(".")


def _uncounted(error: StateError) -> GatewayError:
    """Where a key's use cannot be counted, it cannot be used: a limit must not be open to whoever
    fills a disk.
    """
    return Unavailable(
        "What this key uses cannot be counted at the moment: the operator of this gateway can see "
        "why in its log.",
        code="limits_unavailable",
    )
