"""``prices``: what tokens cost, where the operator says it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from gateway.access.prices import Price, Prices, dearest, price, shipped
from gateway.config.schema import Closed, Number, Text
from gateway.config.shipped import load_prices
from gateway.domain.identity import Locality

Amount = Annotated[Number, Field(ge=0, le=1_000_000)]


def _target(value: str) -> str:
    if "/" not in value.strip("/"):
        raise PydanticCustomError(
            "target", "expected a target as <channel>/<model id>, or a pattern of such"
        )
    return value


class PriceSection(Closed):
    """Amounts for a million tokens; ``request`` is for each one, however many tokens it has."""

    input: Amount = 0
    output: Amount = 0
    cached: Amount | None = None
    stored: Amount | None = None
    request: Amount = 0

    @property
    def price(self) -> Price:
        return price(self.model_dump(exclude_none=True))


class PricesSection(Closed):
    """``models`` are prices by the id of a target, or a pattern of ids; ``local`` and ``sovereign``
    what our own tokens cost. ``unknown`` is what a budget counts where nobody knows a price.
    """

    currency: Text = "USD"
    models: Mapping[Annotated[Text, AfterValidator(_target)], PriceSection] = Field(
        default_factory=dict
    )
    local: PriceSection = PriceSection()
    sovereign: PriceSection = PriceSection()
    unknown: PriceSection | None = None

    @model_validator(mode="after")
    def _converted(self) -> Self:
        if self.currency != "USD" and self.unknown is None:
            raise PydanticCustomError(
                "unknown",
                "the prices that come with the gateway are in USD: another currency needs unknown, "
                "for what is not under models",
            )
        return self


def prices(section: PricesSection) -> Prices:
    """The prices in force. Of another currency than theirs, those that are shipped say nothing."""
    document = load_prices()
    table = shipped(document) if section.currency == document["currency"] else {}
    # The more a pattern says, the earlier it is asked.
    names = sorted(section.models, key=lambda name: (-len(name), name))
    targets = {name: section.models[name].price for name in names}
    known = [*targets.values(), *(price for tariff in table.values() for price in tariff)]
    return Prices(
        table=table,
        targets=targets,
        home={Locality.LOCAL: section.local.price, Locality.SOVEREIGN: section.sovereign.price},
        unknown=dearest(known) if section.unknown is None else section.unknown.price,
        currency=section.currency,
    )
