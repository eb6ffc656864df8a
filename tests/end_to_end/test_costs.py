"""What requests cost: by who really served them, and by what is known of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionUserMessageParam

from gateway.access.account import Used
from gateway.access.balances import balances
from gateway.access.estimate import A_CHAT, A_TURN, BYTES_A_TOKEN
from gateway.access.layout import FILE
from tests.end_to_end.keyed import known
from tests.end_to_end.running import RunningGateway, configuration
from tests.simulators.vendor import VendorSimulator
from tests.waiting import until

WORDS = "In which country is the city of Paris?"
QUESTION = [ChatCompletionUserMessageParam(role="user", content=WORDS)]
MODELS = """\
  unpriced: {targets: [other/meta-llama/Llama-3.3-70B-Instruct-Turbo]}
  drawing: {targets: [openai/gpt-image-1]}
"""
OTHER = """\
  other: {{vendor: together, kind: openai, base_url: "{url}", api_key: "${{VENDOR_KEY}}"}}
models:
"""
PRICES = """
prices:
  models:
    local/smollm2: {input: 1, output: 2}
    openai/gpt-image-1: {request: 0.04}
  unknown: {input: 50, output: 100}
"""
POLICY = "version: 1\ndefault: allow\n"


@pytest.fixture(scope="module")
def vendor() -> Iterator[VendorSimulator]:
    with VendorSimulator() as running:
        yield running


@pytest.fixture(scope="module")
def gateway(
    tmp_path_factory: pytest.TempPathFactory, vendor: VendorSimulator
) -> Iterator[RunningGateway]:
    text = configuration(vendor.url, models=MODELS, extra=PRICES)
    text = text.replace("models:\n", OTHER.format(url=vendor.url), 1)
    with RunningGateway(tmp_path_factory.mktemp("gateway"), text, policy=POLICY) as running:
        yield running


@pytest.fixture
def account(gateway: RunningGateway, vendor: VendorSimulator) -> Account:
    vendor.behave("answer")
    return Account(gateway)


class Account:
    """A key of its own, and what it used."""

    def __init__(self, gateway: RunningGateway) -> None:
        made = gateway.run(
            "keys", "create", "app", "--budget", "1", "--format", "json", policy=False
        )
        told = json.loads(made.stdout)
        self._gateway, self._id = gateway, told["id"]
        known(gateway, told["key"])
        app = openai.OpenAI(
            base_url=f"{gateway.url}/v1", api_key=told["key"], timeout=60, max_retries=0
        )
        self.app = gateway.heard(app)

    def used(self) -> Used:
        """Once its requests have ended, which is right behind their answers."""
        state = self._gateway.folder / "state" / FILE

        def settled() -> Used | None:
            balance = balances(state, [self._id], datetime.now(UTC))[self._id]
            return None if balance.running else balance.months[0].used

        return until(settled)


def test_a_vendors_answer_costs_what_the_shipped_table_says(
    gateway: RunningGateway, account: Account
) -> None:
    """Two and a half dollars for a million, half of that for what was cached, ten for an answer."""
    answer = account.app.chat.completions.create(model="gpt-4o", messages=QUESTION)
    usage = answer.usage
    assert usage is not None
    assert usage.prompt_tokens_details is not None
    cached = usage.prompt_tokens_details.cached_tokens
    assert cached
    parts = (usage.prompt_tokens - cached) * 250 + cached * 125 + usage.completion_tokens * 1000
    cost = -(-parts // 100)
    record = gateway.last_record()
    assert record["served_by"] == "openai/gpt-4o"
    assert record["cost"] == cost > 0
    assert account.used() == Used(1, usage.total_tokens, cost)


def test_an_answer_that_two_have_given_costs_what_both_do(
    gateway: RunningGateway, account: Account, vendor: VendorSimulator
) -> None:
    """Of the first it is known what it was sent, about, and how many tokens came."""
    vendor.behave("break_off")
    stream = account.app.chat.completions.create(
        model="gpt-4o", messages=QUESTION, stream=True, max_tokens=20
    )
    assert list(stream)
    record = gateway.last_record()
    first, second = record["attempts"]
    assert (first["target"], second["target"]) == ("openai/gpt-4o", "local/smollm2")
    assert first["seen_tokens"] > 0
    prompt = -(-len(WORDS) // BYTES_A_TOKEN) + A_CHAT + A_TURN
    vendors = -(-(prompt * 2_500_000 + first["seen_tokens"] * 10_000_000) // 1_000_000)
    local = second["prompt_tokens"] + 2 * second["completion_tokens"]
    assert record["cost"] == vendors + local
    tokens = prompt + first["seen_tokens"] + second["prompt_tokens"] + second["completion_tokens"]
    assert account.used() == Used(1, tokens, vendors + local)


def test_what_failed_before_it_began_costs_nothing(
    gateway: RunningGateway, account: Account, vendor: VendorSimulator
) -> None:
    vendor.behave(500)
    account.app.chat.completions.create(model="gpt-4o", messages=QUESTION, max_tokens=4)
    record = gateway.last_record()
    assert record["served_by"] == "local/smollm2"
    assert record["cost"] == record["prompt_tokens"] + 2 * record["completion_tokens"]
    assert account.used().cost == record["cost"]


def test_what_nobody_has_priced_counts_for_a_budget_and_is_told_no_cost(
    gateway: RunningGateway, account: Account
) -> None:
    answer = account.app.chat.completions.create(model="unpriced", messages=QUESTION, max_tokens=9)
    usage = answer.usage
    assert usage is not None
    assert gateway.last_record().get("cost") is None
    assert account.used().cost == 50 * usage.prompt_tokens + 100 * usage.completion_tokens


def test_what_is_not_counted_in_tokens_has_a_price_for_each(
    gateway: RunningGateway, account: Account
) -> None:
    account.app.images.generate(model="drawing", prompt="A cat.")
    assert gateway.last_record()["cost"] == 40_000
    for _ in range(24):
        account.app.images.generate(model="drawing", prompt="A cat.")
    with pytest.raises(openai.RateLimitError) as raised:
        account.app.images.generate(model="drawing", prompt="A cat.")
    assert raised.value.code == "insufficient_quota"
    assert account.used() == Used(25, account.used().tokens, 1_000_000)


def test_prices_that_change_hold_within_a_second(
    gateway: RunningGateway, account: Account, vendor: VendorSimulator
) -> None:
    text = gateway.config.read_text()
    try:
        gateway.configured(text.replace("prices:\n  models:\n", DEARER))
        answer = account.app.chat.completions.create(model="gpt-4o", messages=QUESTION)
        assert answer.usage is not None
        assert gateway.last_record()["cost"] == 7 * answer.usage.total_tokens
    finally:
        gateway.configured(text)


DEARER = "prices:\n  models:\n    openai/gpt-4o: {input: 7, output: 7}\n"


def test_requests_without_a_key_have_their_cost_too(tmp_path: Any, vendor: VendorSimulator) -> None:
    vendor.behave("answer")
    with (
        RunningGateway(tmp_path, configuration(vendor.url)) as gateway,
        closing(gateway.sdk) as app,
    ):
        raw = app.chat.completions.with_raw_response.create(model="gpt-4o", messages=QUESTION)
        assert not [name for name in raw.headers if "ratelimit" in name]
        assert gateway.last_record()["cost"] > 0
