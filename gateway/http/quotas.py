"""Limits and budgets on the way of a request: whether it comes in, what its app is told of what is
left, and what it has used when it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Protocol

from gateway.access.account import Ask, Refusal, Room, Rooms, Used, Why
from gateway.access.callers import Caller
from gateway.access.estimate import ask
from gateway.access.keys import Key, Limits
from gateway.access.ledger import Held
from gateway.access.prices import MILLION, Prices, Served
from gateway.audit.record import AttemptRecord, Record
from gateway.domain.call import Call, Counting, Dialect
from gateway.domain.events import Usage
from gateway.domain.target import Target
from gateway.errors import (
    BudgetSpent,
    GatewayError,
    ModelNotFound,
    RateLimited,
    StateError,
    Unavailable,
)
from gateway.http.exchange import Header

_NO_ROOMS = Rooms()


class Ledger(Protocol):
    """The accounts of all keys. Raises ``StateError`` where one more cannot be kept."""

    def admit(self, key: str, limits: Limits, ask: Ask) -> tuple[Refusal | Held, Rooms]: ...

    def settle(self, held: Held, used: Used) -> None: ...

    def rooms(self, key: str, limits: Limits) -> Rooms: ...


class Admission:
    """One request that came in, or did not: then there is a ``refusal``."""

    def __init__(
        self,
        quotas: Quotas,
        call: Call,
        asked: Ask,
        held: Held | None,
        rooms: Rooms,
        refusal: GatewayError | None = None,
    ) -> None:
        self._quotas = quotas
        self._call = call
        self._asked = asked
        self._held = held
        self._rooms = rooms
        self._refusal = refusal

    def headers(self) -> list[Header]:
        """What the app is told of what is left."""
        return told(self._rooms, self._call.api.dialect)

    @contextmanager
    def settling(self, record: Record) -> Iterator[None]:
        """Around the request: what it used is counted, whatever becomes of it. Raises what it was
        refused for.
        """
        if self._refusal is not None:
            raise self._refusal
        try:
            yield
        finally:
            used, known = self._used(record)
            record.cost = used.cost if known else None
            if self._held is not None:
                self._quotas.ledger.settle(self._held, used)

    def _used(self, record: Record) -> tuple[Used, bool]:
        """What a request used, and whether that is what it cost: a price may not be known."""
        if isinstance(self._call.task, Counting):
            return Used(requests=1), True
        served = {
            target.target: Served(target.target, target.channel, target.model, target.locality)
            for target in record.targets
        }
        prices, used, known = self._quotas.prices(), Used(requests=1), True
        for attempt in record.attempts:
            usage = usage_of(attempt, self._asked.prompt)
            if usage is not None:
                cost, priced = prices.cost(served[attempt.target], usage)
                used += Used(tokens=usage.total, cost=cost)
                known = known and priced
        return used, known


class Quotas:
    """``prices`` are those in force, ``targets`` tells who could answer for a model; raises
    ``ModelNotFound``.
    """

    def __init__(
        self,
        ledger: Ledger,
        prices: Callable[[], Prices],
        targets: Callable[[str], Sequence[Target]],
    ) -> None:
        self.ledger = ledger
        self.prices = prices
        self._targets = targets

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

    def headers(self, caller: Caller, dialect: Dialect) -> list[Header]:
        """What is told of what is left, where a request has not come so far as to be admitted."""
        key = caller.key
        if key is None or (key.limits.requests_per_minute, key.limits.tokens_per_minute) == (
            None,
            None,
        ):
            return []
        try:
            return told(self.ledger.rooms(key.accounted, key.limits), dialect)
        except StateError:
            return []

    def _most(self, call: Call, asked: Ask) -> int:
        """What a call would cost at the dearest of the targets that it may be served by."""
        if isinstance(call.task, Counting):
            return 0
        try:
            targets = self._targets(call.model)
        except ModelNotFound:
            # Told by who looks for it.
            return 0
        return self.prices().most(
            [
                Served(one.id, one.identity.channel, one.identity.model, one.locality)
                for one in targets
            ],
            Usage(asked.prompt, asked.answer),
        )


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


def told(rooms: Rooms, dialect: Dialect) -> list[Header]:
    """The headers that tell what is left: OpenAI's in both dialects, and Anthropic's in its own.
    Sources: https://platform.openai.com/docs/guides/rate-limits,
    https://platform.claude.com/docs/en/api/rate-limits.
    """
    found: list[Header] = []
    for name, room in (("requests", rooms.requests), ("tokens", rooms.tokens)):
        if room is None:
            continue
        found += [
            (f"x-ratelimit-limit-{name}".encode(), b"%d" % room.limit),
            (f"x-ratelimit-remaining-{name}".encode(), b"%d" % room.left),
            (f"x-ratelimit-reset-{name}".encode(), _span(room.reset).encode()),
        ]
        if dialect is Dialect.ANTHROPIC:
            found += [
                (f"anthropic-ratelimit-{name}-limit".encode(), b"%d" % room.limit),
                (f"anthropic-ratelimit-{name}-remaining".encode(), b"%d" % room.left),
                (f"anthropic-ratelimit-{name}-reset".encode(), _instant(room).encode()),
            ]
    return found


def _span(micros: int) -> str:
    """A time as OpenAI writes it: 20ms, 1.5s, 6m0s; never less than it is."""
    millis = -(-micros // 1000)
    if 0 < millis < 1000:
        return f"{millis}ms"
    minutes, rest = divmod(millis, 60_000)
    seconds = f"{rest / 1000:g}s"
    return f"{minutes}m{seconds}" if minutes else seconds


def _instant(room: Room) -> str:
    """When all of it is there again (RFC 3339), in whole seconds and never too early."""
    when = datetime.now(UTC) + timedelta(microseconds=room.reset + 999_999)
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


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
                f"Try again in {_span(refusal.wait)}.",
                unit="requests",
                retry_after=wait,
            )
        case Why.TOKENS:
            return RateLimited(
                f"Rate limit reached for tokens: this key ({key.id}) may use {limit} a minute, and "
                f"this request could use {wanted}. Try again in {_span(refusal.wait)}.",
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
