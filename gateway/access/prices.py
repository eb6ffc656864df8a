"""What tokens cost: a table, and how a request is priced by it. In millionths of a currency, which
are whole numbers; what is left over is rounded up, once for each attempt.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from gateway.domain.events import Usage
from gateway.domain.identity import Locality

MILLION = 1_000_000
_MOST_REMEMBERED = 1024
"""Targets whose prices are remembered: of a pattern's models there are as many as apps ask for."""
_FINE_TUNED = "ft:"
"""What OpenAI's own ids of others' fine-tunes begin with: they cost more than what they are of."""


@dataclass(frozen=True, slots=True)
class Price:
    """For a million tokens, in millionths of the currency: of a prompt, of what of it was
    ``cached`` or was ``stored`` for other prompts, and of the answer; and for each ``request``. It
    is for prompts longer than ``above``.
    """

    input: int = 0
    output: int = 0
    cached: int = 0
    stored: int = 0
    request: int = 0
    above: int = 0

    def cost(self, usage: Usage) -> int:
        """Of one attempt, in millionths."""
        plain, cached, stored = usage.prompt, usage.cached, usage.stored
        if not cached and not stored:
            return self.most(plain, usage.completion)
        cached = min(cached, plain)
        stored = min(stored, plain - cached)
        plain -= cached + stored
        parts = (
            plain * self.input
            + cached * self.cached
            + stored * self.stored
            + usage.completion * self.output
        )
        return self.request - (-parts // MILLION)

    def most(self, prompt: int, answer: int) -> int:
        """Where nothing of the prompt is cached or stored."""
        return self.request - (-(prompt * self.input + answer * self.output) // MILLION)


Tariff = tuple[Price, ...]
"""The prices of one model, for shorter prompts first."""
FREE: Tariff = (Price(),)


def price(values: Mapping[str, Any]) -> Price:
    """From amounts of the currency for a million tokens. What is cached or stored costs what other
    tokens of a prompt do, where nothing else is said.
    """
    input = _millionths(values["input"])
    return Price(
        input=input,
        output=_millionths(values["output"]),
        cached=_millionths(values["cached"]) if "cached" in values else input,
        stored=_millionths(values["stored"]) if "stored" in values else input,
        request=_millionths(values.get("request", 0)),
        above=int(values.get("above", 0)),
    )


def shipped(document: Mapping[str, Any]) -> dict[tuple[str, str], Tariff]:
    """The table of ``prices.toml``, by the channel's vendor and the canonical name of the model."""
    found: dict[tuple[str, str], list[Price]] = {}
    for source in document["list"]:
        for row in source["prices"]:
            found.setdefault((source["channel"], row["model"]), []).append(price(row))
    return {
        key: tuple(sorted(prices, key=lambda price: price.above)) for key, prices in found.items()
    }


class Served(msgspec.Struct, frozen=True, gc=False):
    """What was behind an attempt, as its record tells: the id of the target, and what it resolves
    to.
    """

    target: str
    vendor: str
    model: str
    locality: Locality


@dataclass(frozen=True, slots=True)
class Prices:
    """``targets`` are the operator's, by the id of a target or a pattern of ids, in the order in
    which patterns are asked; ``home`` is for what is our own, ``table`` for all else. What none of
    them knows costs ``unknown`` to a budget, and nobody is told a cost.
    """

    table: Mapping[tuple[str, str], Tariff] = field(default_factory=dict)
    targets: Mapping[str, Price] = field(default_factory=dict)
    home: Mapping[Locality, Price] = field(default_factory=dict)
    unknown: Price = Price()
    currency: str = "USD"
    _found: dict[Served, Tariff | None] = field(
        default_factory=dict, init=False, compare=False, repr=False
    )

    def tariff(self, served: Served) -> Tariff | None:
        """The prices of a target; ``None`` where nobody has said them."""
        try:
            return self._found[served]
        except KeyError:
            if len(self._found) >= _MOST_REMEMBERED:
                self._found.clear()
            found = self._found[served] = self._looked_up(served)
            return found

    def _looked_up(self, served: Served) -> Tariff | None:
        if served.target in self.targets:
            return (self.targets[served.target],)
        for pattern, price in self.targets.items():
            if fnmatchcase(served.target, pattern):
                return (price,)
        if served.locality is not Locality.CLOUD:
            return (self.home.get(served.locality, Price()),)
        if served.target.partition("/")[2].startswith(_FINE_TUNED):
            return None
        return self.table.get((served.vendor, served.model))

    def cost(self, served: Served, usage: Usage) -> tuple[int, bool]:
        """What an attempt counts for a budget, and whether that is known to be its cost."""
        tariff = self.tariff(served)
        if tariff is None:
            return self.unknown.cost(usage), False
        return _of(tariff, usage.prompt).cost(usage), True

    def tariffs(self, served: Iterable[Served]) -> frozenset[Tariff | None]:
        """The different ones of several targets."""
        return frozenset(map(self.tariff, served))

    def most(self, tariffs: Iterable[Tariff | None], prompt: int, answer: int) -> int:
        """The most that one of several targets would cost: nothing of a prompt is cached."""
        found = 0
        for tariff in tariffs:
            cost = (self.unknown if tariff is None else _of(tariff, prompt)).most(prompt, answer)
            if cost > found:
                found = cost
        return found


def dearest(prices: Iterable[Price]) -> Price:
    """A price of which no part is lower than of any other."""
    rows = tuple(prices)
    parts = ("input", "output", "cached", "stored", "request")
    most = {part: max((getattr(row, part) for row in rows), default=0) for part in parts}
    return Price(**most)


def _of(tariff: Tariff, prompt: int) -> Price:
    """The price for a prompt of so many tokens."""
    if len(tariff) == 1:
        return tariff[0]
    fitting = [price for price in tariff if prompt > price.above or price.above == 0]
    return fitting[-1]


def _millionths(amount: float | int | Decimal) -> int:
    return round(Decimal(str(amount)) * MILLION)
