"""Limits, budgets and prices, as apps on the official SDKs meet them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from openai.types.chat import ChatCompletionUserMessageParam

from gateway.access.account import Used
from gateway.access.balances import Balance, balances
from gateway.access.layout import FILE
from tests.end_to_end.keyed import known
from tests.end_to_end.running import RunningGateway, configuration
from tests.waiting import until

PRICES = """
prices:
  models:
    local/smollm2: {input: 1000, output: 5000}
"""
SHORT: Any = {
    "type": "json_schema",
    "json_schema": {"name": "yes", "schema": {"type": "boolean"}, "strict": True},
}
"""A form in which no answer is long, whatever the model likes to say."""
HELLO = [ChatCompletionUserMessageParam(role="user", content="Say hello.")]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """Two processes that serve, and every local token has its price."""
    folder = tmp_path_factory.mktemp("limits")
    flags = ("--workers", "2")
    text = configuration(extra=PRICES)
    with RunningGateway(folder, text, flags=flags, policy=LOCAL_ONLY) as running:
        yield running


LOCAL_ONLY = "version: 1\ndefault: deny\nvendors: {huggingface: allow, self: allow}\n"


def key(gateway: RunningGateway, *limits: str) -> tuple[str, str]:
    """A new key, in force, and its id."""
    made = gateway.run("keys", "create", "app", *limits, "--format", "json", policy=False)
    assert made.returncode == 0, made.stderr
    told = json.loads(made.stdout)
    known(gateway, told["key"])
    return told["key"], told["id"]


def sdk(gateway: RunningGateway, key: str, **options: Any) -> openai.OpenAI:
    client = openai.OpenAI(
        base_url=f"{gateway.url}/v1", api_key=key, timeout=60, **{"max_retries": 0, **options}
    )
    return gateway.heard(client)


def balance(gateway: RunningGateway, id: str) -> Balance:
    return balances(gateway.folder / "state" / FILE, [id], datetime.now(UTC))[id]


def settled(gateway: RunningGateway, id: str) -> Used:
    """What was used, once all requests have ended, which is right behind their answers."""
    found = until(lambda: None if (now := balance(gateway, id)).running else now)
    assert found.reserved == 0
    return found.months[0].used


def refused(app: openai.OpenAI, most: int) -> openai.RateLimitError:
    """What is said to the first of up to so many requests that is too much."""
    for _ in range(most):
        try:
            app.chat.completions.create(model="gpt-4o", messages=HELLO, max_tokens=4)
        except openai.RateLimitError as error:
            return error
    raise AssertionError("all were served")


def test_two_processes_share_the_requests_of_a_minute(gateway: RunningGateway) -> None:
    """Each request on a connection of its own, so that both processes are asked."""
    written, _ = key(gateway, "--requests-per-minute", "4")
    left = []
    for _ in range(4):
        with closing(sdk(gateway, written)) as app:
            raw = app.chat.completions.with_raw_response.create(
                model="gpt-4o", messages=HELLO, max_tokens=2
            )
            assert raw.headers["x-ratelimit-limit-requests"] == "4"
            assert raw.headers["x-ratelimit-reset-requests"].endswith("s")
            assert "x-ratelimit-limit-tokens" not in raw.headers
            left.append(int(raw.headers["x-ratelimit-remaining-requests"]))
    assert left == [3, 2, 1, 0]
    with closing(sdk(gateway, written)) as app, pytest.raises(openai.RateLimitError) as raised:
        app.chat.completions.create(model="gpt-4o", messages=HELLO, max_tokens=2)
    error = raised.value
    assert (error.code, error.type) == ("rate_limit_exceeded", "requests")
    assert "may make 4 a minute" in error.message
    assert 1 <= int(error.response.headers["retry-after"]) <= 15
    assert error.response.headers["x-should-retry"] == "true"
    assert error.response.headers["x-ratelimit-remaining-requests"] == "0"
    record = gateway.last_record()
    assert (record["outcome"], record["status"]) == ("rate_limit_exceeded", 429)


def test_an_sdk_that_is_told_to_wait_is_served_in_the_end(gateway: RunningGateway) -> None:
    written, _ = key(gateway, "--requests-per-minute", "120")
    with closing(sdk(gateway, written)) as app:
        for _ in range(200):
            try:
                app.chat.completions.create(model="unknown", messages=HELLO)
            except openai.NotFoundError:
                continue
            except openai.RateLimitError:
                break
    with closing(sdk(gateway, written, max_retries=2)) as app:
        answer = app.chat.completions.create(model="gpt-4o", messages=HELLO, max_tokens=2)
    assert answer.choices[0].finish_reason


def test_tokens_are_reserved_before_and_settled_after(gateway: RunningGateway) -> None:
    written, id = key(gateway, "--tokens-per-minute", "1000")
    with closing(sdk(gateway, written)) as app:
        raw = app.chat.completions.with_raw_response.create(
            model="gpt-4o", messages=HELLO, max_tokens=800, response_format=SHORT
        )
        usage = raw.parse().usage
        assert usage is not None
        assert raw.headers["x-ratelimit-limit-tokens"] == "1000"
        reserved = 1000 - int(raw.headers["x-ratelimit-remaining-tokens"])
        assert 800 < reserved < 850
        # It took far less, and all the rest is there again.
        assert settled(gateway, id).tokens == usage.total_tokens < 300
        with pytest.raises(openai.RateLimitError) as raised:
            app.chat.completions.create(model="gpt-4o", messages=HELLO, max_tokens=1000)
        assert raised.value.type == "tokens"
        assert "too large" in raised.value.message
        assert "retry-after" not in raised.value.response.headers
        assert raised.value.response.headers["x-should-retry"] == "false"


def test_a_stream_that_its_app_leaves_is_settled(gateway: RunningGateway) -> None:
    written, id = key(gateway, "--tokens-per-minute", "100000", "--concurrent", "1")
    with closing(sdk(gateway, written)) as app:
        stream = app.chat.completions.create(
            model="gpt-4o",
            messages=[{"role": "user", "content": "Count from one to three hundred."}],
            max_tokens=1500,
            stream=True,
            extra_body={"ignore_eos": True},
        )
        for number, _ in enumerate(stream):
            if number == 5:
                break
        assert balance(gateway, id).running == 1
        with pytest.raises(openai.RateLimitError) as raised:
            app.chat.completions.create(model="gpt-4o", messages=HELLO, max_tokens=2)
        assert "at one time" in raised.value.message
        assert raised.value.response.headers["retry-after"] == "1"
        stream.close()
        assert 5 < settled(gateway, id).tokens < 1500
        app.chat.completions.create(model="gpt-4o", messages=HELLO, max_tokens=2)


def test_a_budget_is_used_up_by_what_local_tokens_cost(gateway: RunningGateway) -> None:
    """By the price that is configured: a thousand for a million of a prompt, five of an answer."""
    written, id = key(gateway, "--budget", "0.2")
    with closing(sdk(gateway, written)) as app:
        answer = app.chat.completions.create(model="gpt-4o", messages=HELLO, max_tokens=4)
        usage = answer.usage
        assert usage is not None
        cost = usage.prompt_tokens * 1000 + usage.completion_tokens * 5000
        assert gateway.last_record()["cost"] == cost
        assert settled(gateway, id).cost == cost
        error = refused(app, 20)
        assert error.code == error.type == "insufficient_quota"
        assert "0.2 USD" in error.message
        assert "retry-after" not in error.response.headers
        assert error.response.headers["x-should-retry"] == "false"
    spent = settled(gateway, id)
    assert spent.cost <= 200_000
    assert gateway.last_record()["outcome"] == "insufficient_quota"
    listed = json.loads(gateway.run("keys", "list", "--format", "json", policy=False).stdout)
    used = next(one["used"] for one in listed if one["id"] == id)
    assert (used["tokens"], used["cost"], used["running"]) == (spent.tokens, spent.cost, 0)
    (line,) = (x for x in gateway.run("keys", "list", policy=False).stdout.split("\n") if id in x)
    assert f"{spent.cost / 1_000_000:.2f} of 0.20" in line


def test_the_anthropic_dialect_has_its_own_headers_beside(gateway: RunningGateway) -> None:
    written, _ = key(gateway, "--requests-per-minute", "1", "--tokens-per-minute", "5000")
    with closing(anthropic.Anthropic(base_url=gateway.url, api_key=written, max_retries=0)) as app:
        raw = app.messages.with_raw_response.create(
            model="gpt-4o",
            max_tokens=3,
            messages=[{"role": "user", "content": "Say hello."}],
        )
        assert raw.headers["anthropic-ratelimit-requests-limit"] == "1"
        assert raw.headers["anthropic-ratelimit-requests-remaining"] == "0"
        assert raw.headers["anthropic-ratelimit-tokens-limit"] == "5000"
        assert raw.headers["x-ratelimit-limit-tokens"] == "5000"
        reset = datetime.fromisoformat(raw.headers["anthropic-ratelimit-requests-reset"])
        assert timedelta(0) < reset - datetime.now(UTC) <= timedelta(seconds=61)
        with pytest.raises(anthropic.RateLimitError) as raised:
            app.messages.create(
                model="gpt-4o",
                max_tokens=3,
                messages=[{"role": "user", "content": "Say hello."}],
            )
    body: Any = raised.value.body
    assert body["error"]["type"] == "rate_limit_error"
    assert int(raised.value.response.headers["retry-after"]) > 30


def test_what_fails_gives_its_tokens_back(gateway: RunningGateway) -> None:
    written, id = key(gateway, "--tokens-per-minute", "1000", "--budget", "100")
    with closing(sdk(gateway, written)) as app:
        for model, kind in (("unknown", openai.NotFoundError), ("only-cloud", openai.APIError)):
            for _ in range(3):
                with pytest.raises(kind) as raised:
                    app.chat.completions.create(model=model, messages=HELLO, max_tokens=900)
                response = getattr(raised.value, "response")  # noqa: B009 - of APIStatusError
                assert response.headers["x-ratelimit-limit-tokens"] == "1000"
    assert settled(gateway, id) == Used(requests=6)


def test_a_body_that_cannot_be_read_is_told_what_is_left_too(gateway: RunningGateway) -> None:
    written, _ = key(gateway, "--requests-per-minute", "7")
    status, _, headers = gateway.post(b"{", authorization=f"Bearer {written}")
    assert status == 400
    assert headers["x-ratelimit-remaining-requests"] == "7"


def test_counting_tokens_uses_none(gateway: RunningGateway) -> None:
    written, id = key(gateway, "--tokens-per-minute", "10", "--budget", "0.000001")
    with closing(anthropic.Anthropic(base_url=gateway.url, api_key=written, max_retries=0)) as app:
        told = app.messages.count_tokens(
            model="gpt-4o", messages=[{"role": "user", "content": "Hello " * 50}]
        )
    assert told.input_tokens > 10
    assert settled(gateway, id).tokens == 0
    assert gateway.last_record()["cost"] == 0


def test_no_more_at_once_than_may_in_all_processes(gateway: RunningGateway) -> None:
    written, id = key(gateway, "--concurrent", "2")
    outcomes: list[str] = []

    def ask() -> None:
        with closing(sdk(gateway, written)) as app:
            try:
                app.chat.completions.create(
                    model="gpt-4o",
                    messages=HELLO,
                    max_tokens=200,
                    extra_body={"ignore_eos": True},
                )
                outcomes.append("served")
            except openai.RateLimitError:
                outcomes.append("refused")

    asking = [threading.Thread(target=ask) for _ in range(8)]
    for each in asking:
        each.start()
    for each in asking:
        each.join()
    assert outcomes.count("served") >= 2
    assert outcomes.count("refused") >= 1
    assert settled(gateway, id).requests == outcomes.count("served")


def test_spending_outlives_a_gateway_that_is_killed(tmp_path: Path) -> None:
    with RunningGateway(tmp_path, configuration(extra=PRICES), policy=LOCAL_ONLY) as gateway:
        written, id = key(gateway, "--budget", "0.2")
        with closing(sdk(gateway, written)) as app:
            app.chat.completions.create(model="gpt-4o", messages=HELLO, max_tokens=4)
        before = settled(gateway, id)
        assert before.cost > 0
        gateway.kill()
        gateway.start()
        with closing(sdk(gateway, written)) as app:
            assert refused(app, 10).code == "insufficient_quota"
        assert settled(gateway, id).cost > before.cost


def test_a_key_that_is_rotated_keeps_its_account(gateway: RunningGateway) -> None:
    """Both are good for a while, and neither has more for it."""
    written, id = key(gateway, "--requests-per-minute", "1")
    rotated = gateway.run("keys", "rotate", id, "--format", "json", policy=False)
    heir = json.loads(rotated.stdout)["key"]
    known(gateway, heir)
    with closing(sdk(gateway, written)) as app:
        app.chat.completions.create(model="gpt-4o", messages=HELLO, max_tokens=2)
    with closing(sdk(gateway, heir)) as app:
        assert refused(app, 1).code == "rate_limit_exceeded"
