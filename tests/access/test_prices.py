"""What tokens cost, and how many a request could use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.access.account import Ask
from gateway.access.estimate import A_CHAT, A_TURN, AN_IMAGE, TOOLS, USUAL_ANSWER, ask
from gateway.access.prices import FREE, MILLION, Price, Prices, Served, dearest, price, shipped
from gateway.config.prices import prices
from gateway.config.settings import load_settings
from gateway.config.shipped import load_catalog, load_prices
from gateway.domain.call import (
    Api,
    Call,
    Chat,
    Completion,
    Counting,
    Embedding,
    Image,
    Message,
    Passing,
    Tool,
    Tools,
)
from gateway.domain.events import Usage
from gateway.domain.identity import ChannelFacts, Locality
from gateway.errors import DocumentError
from gateway.vendors.resolve import resolve

TABLE = shipped(load_prices())
CONFIG = "local: {models: {smollm2: {manifest: smollm2-135m-instruct}}}\n"
counts = st.integers(0, 10**7)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "gateway.yaml"
    file.write_text(CONFIG)
    return file


def served(target: str, vendor: str = "openai", model: str = "gpt-4o") -> Served:
    return Served(target, vendor, model, Locality.CLOUD)


def test_every_shipped_row_can_be_met_and_says_where_it_comes_from() -> None:
    """Its channel is a vendor of the catalog, and its model is called so by what resolves ids."""
    catalog = load_catalog()
    kinds = {"amazon": "bedrock", "google": "vertex_ai"}
    for source in load_prices()["list"]:
        assert source["source"].startswith("https://")
        assert source["read"]
        assert source["retrieved"]
        channel = source["channel"]
        assert catalog.canonical(channel) == channel
        for row in source["prices"]:
            assert 0 < row["input"] < 1000
            facts = ChannelFacts("x", channel, "openai", provider=kinds.get(channel))
            # Azure's ids are deployments, whose models an operator names.
            if channel != "microsoft":
                assert resolve(row["model"], facts, catalog).model == row["model"]
    assert len(TABLE) > 60


def test_a_row_is_exact() -> None:
    assert TABLE["openai", "gpt-5-nano"] == (Price(50_000, 400_000, 5_000, 50_000),)
    assert TABLE["anthropic", "claude-sonnet-4-5"] == (
        Price(3_000_000, 15_000_000, 300_000, 3_750_000),
    )


def test_what_an_attempt_costs() -> None:
    """Three parts of a prompt and an answer, each at its price, and all rounded up together."""
    row = price({"input": 3, "cached": 0.3, "stored": 3.75, "output": 15, "request": 0.01})
    usage = Usage(prompt=1000, completion=10, cached=600, stored=100)
    assert row.cost(usage) == 300 * 3 + 600 * 3 // 10 + 375 + 150 + 10_000
    assert price({"input": 0.05, "output": 0.4}).cost(Usage(1, 0)) == 1


@given(counts, counts, counts, counts, st.lists(st.floats(0, 1000), min_size=4, max_size=4))
def test_a_cost_is_never_too_low_and_by_less_than_a_millionth_too_high(
    prompt: int, completion: int, cached: int, stored: int, amounts: list[float]
) -> None:
    row = price(dict(zip(("input", "output", "cached", "stored"), amounts, strict=True)))
    usage = Usage(prompt, completion, cached=cached, stored=stored)
    cached = min(cached, prompt)
    stored = min(stored, prompt - cached)
    parts = (
        (prompt - cached - stored) * row.input
        + cached * row.cached
        + stored * row.stored
        + completion * row.output
    )
    assert 0 <= row.cost(usage) * MILLION - parts < MILLION


def test_a_longer_prompt_has_the_dearer_price() -> None:
    told = Prices(TABLE)
    gemini = served("google/gemini-2.5-pro", "google", "gemini-2.5-pro")
    assert told.cost(gemini, Usage(200_000, 0)) == (250_000, True)
    assert told.cost(gemini, Usage(200_001, 0)) == (500_003, True)


def test_the_operators_word_comes_first_and_the_more_exact_before_the_others(
    config: Path,
) -> None:
    found = written(
        config,
        """
prices:
  models:
    openai/*: {input: 9}
    openai/gpt-4*: {input: 8}
    openai/gpt-4o: {input: 7, output: 1}
    local/small: {output: 2}
  local: {input: 1}
  sovereign: {input: 3, output: 3}
  unknown: {input: 100, output: 100}
""",
    )
    usage = Usage(MILLION, 0)
    home = Served("local/other", "self", "x", Locality.LOCAL)
    lab = Served("lab/other", "self", "x", Locality.SOVEREIGN)
    assert found.cost(served("openai/gpt-4o"), usage) == (7 * MILLION, True)
    assert found.cost(served("openai/gpt-4.1"), usage) == (8 * MILLION, True)
    assert found.cost(served("openai/o3"), usage) == (9 * MILLION, True)
    assert found.cost(served("azure/prod", "microsoft"), usage) == (2_500_000, True)
    assert found.cost(home, usage) == (MILLION, True)
    assert found.cost(structs.replace(home, target="local/small"), usage) == (0, True)
    assert found.cost(lab, usage) == (3 * MILLION, True)
    assert found.cost(served("x/y", "together"), usage) == (100 * MILLION, False)
    assert (
        found.most(found.tariffs([home, lab, served("openai/gpt-4o")]), MILLION, 0) == 7 * MILLION
    )


def test_what_is_our_own_costs_nothing_where_nothing_is_said(config: Path) -> None:
    home = Served("local/other", "self", "x", Locality.LOCAL)
    assert written(config, "").tariff(home) == FREE


def test_an_unknown_price_is_the_dearest_that_is_known(config: Path) -> None:
    """So that no budget is passed by a model that nobody has priced; the app is told no cost."""
    found = written(config, "prices: {models: {x/dear: {input: 70, output: 300}}}")
    unknown = served("y/z", "together", "nobody")
    assert found.cost(unknown, Usage(MILLION, 0)) == (70 * MILLION, False)
    assert found.cost(unknown, Usage(0, MILLION)) == (300 * MILLION, False)
    assert found.unknown == dearest([found.unknown, *(p for row in TABLE.values() for p in row)])


def test_a_fine_tune_has_not_the_price_of_what_it_is_of() -> None:
    assert Prices(TABLE).tariff(served("openai/gpt-4o")) is not None
    assert Prices(TABLE).tariff(served("openai/ft:gpt-4o-2024-08-06:us::x")) is None


def test_shipped_prices_are_of_no_other_currency_than_theirs(config: Path) -> None:
    found = written(config, "prices: {currency: EUR, unknown: {input: 9, output: 9}}")
    assert found.currency == "EUR"
    assert found.cost(served("openai/gpt-4o"), Usage(MILLION, 0)) == (9 * MILLION, False)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("prices: {currency: EUR}", "another currency needs unknown"),
        ("prices: {models: {gpt-4o: {input: 1}}}", "expected a target as <channel>/<model id>"),
        ("prices: {models: {a/b: {input: -1}}}", "greater than or equal to 0"),
        ("prices: {local: {inputs: 1}}", "did you mean 'input'?"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(config: Path, text: str, said: str) -> None:
    with pytest.raises(DocumentError) as raised:
        written(config, text)
    assert said in raised.value.message
    assert str(config) in raised.value.message


def test_what_a_chat_could_use() -> None:
    chat = Chat((Message("user", "a" * 300),), max_tokens=50, choices=2)
    prompt = A_CHAT + A_TURN + 100
    assert ask(call(chat)) == Ask(prompt, 100)
    assert ask(call(structs.replace(chat, max_tokens=None))) == Ask(
        prompt, 2 * USUAL_ANSWER, open=True
    )
    assert ask(call(Counting(chat))) == Ask(0, 0)
    seen = structs.replace(chat, messages=(Message("user", "", images=(Image("data:,", 0),)),))
    assert ask(call(seen)).prompt == A_CHAT + A_TURN + AN_IMAGE
    tools = Tools((Tool("f", "d", "x" * 28),))
    assert ask(call(structs.replace(chat, tools=tools))).prompt == prompt + TOOLS + 10


def test_what_other_calls_could_use() -> None:
    assert ask(call(Embedding(("abc", (1, 2, 3, 4))))) == Ask(5, 0)
    assert ask(call(Completion(("abc", "漢字"), max_tokens=7, choices=3))) == Ask(3, 42)
    assert ask(call(Passing())) == Ask(20, 0)
    assert ask(call(Passing(boundary="b"))) == Ask(1, 0)
    assert ask(call(Embedding(("\ud800",)))) == Ask(1, 0)


def call(task: Any) -> Call:
    return Call("1", Api.CHAT, "m", False, b"x" * 60, task, 0.0, 1.0)


def written(config: Path, text: str) -> Prices:
    config.write_text(f"{config.read_text()}{text}\n")
    return prices(load_settings(config, {}, {}).prices)
