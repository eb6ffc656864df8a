"""Canaries: what a vendor has served is asked of the real local model once more, and nobody but the
records and the metrics is told.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest

from tests.end_to_end.running import RunningGateway, configuration
from tests.end_to_end.test_metrics import scrape
from tests.simulators.anthropic_vendor import AnthropicSimulator
from tests.simulators.vendor import VendorSimulator
from tests.waiting import until

MODELS = """\
  claude: {targets: [claude/claude-real, local/smollm2]}
  behind: {targets: [openai/gpt-4o, claude/claude-real, local/smollm2]}
  only-local: {targets: [local/smollm2]}
"""
CLAUDE = """\
  claude: {{vendor: anthropic, kind: anthropic, base_url: "{url}", api_key: "${{VENDOR_KEY}}"}}
"""
ALL = "readiness: {canary: {share: 1, at_once: 4, max_tokens: 24}}"
QUESTION = [{"role": "user", "content": "In which country is the city of Paris?"}]
PATHS = {
    "gpt-4o": ("/v1/chat/completions", {"messages": QUESTION, "max_tokens": 8}),
    "both": ("/v1/responses", {"input": "In which country is Paris?", "max_output_tokens": 16}),
    "claude": ("/v1/messages", {"messages": QUESTION, "max_tokens": 8}),
}
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 20}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER = {"name": "weather", "description": "The weather in a city.", "parameters": CITY}
NO_WEIGHTS = """\
version: 1
rules:
- {id: no-weights, match: {vendor: [huggingface], roles: [weights]}, verdict: deny}
"""


class Bench(NamedTuple):
    gateway: RunningGateway
    openai: VendorSimulator
    claude: AnthropicSimulator


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("gateway")
    with (
        VendorSimulator() as openai,
        AnthropicSimulator() as claude,
        RunningGateway(folder, written(openai, claude, ALL)) as gateway,
    ):
        yield Bench(gateway, openai, claude)


@pytest.fixture
def bench(running: Bench) -> Iterator[Bench]:
    running.openai.behave("answer")
    running.claude.behave("answer")
    yield running
    settle(running)


def written(openai: VendorSimulator, claude: AnthropicSimulator, extra: str) -> str:
    models = f"{MODELS}  both: {{targets: [openai/gpt-4o, local/smollm2]}}\n"
    text = configuration(openai.url, models=models, extra=extra)
    return text.replace("models:\n", CLAUDE.format(url=claude.url) + "models:\n", 1)


def canaries(gateway: RunningGateway) -> list[dict[str, Any]]:
    return [record for record in gateway.records() if record["origin"] == "canary"]


def canary_of(bench: Bench, id: str) -> dict[str, Any]:
    """The record of the canary that repeats a request."""

    def found() -> dict[str, Any] | None:
        of = [record for record in canaries(bench.gateway) if record["repeats"] == id]
        assert len(of) < 2
        return of[0] if of else None

    return until(found)


def settle(bench: Bench) -> None:
    """Wait for the canaries that are still to come."""
    name = "gateway_requests_in_flight"
    until(lambda: scrape(bench.gateway)[0][name,] == 0)


def raw(gateway: RunningGateway, path: str, body: dict[str, Any]) -> tuple[str, bytes]:
    """The gateway's id of a request, and the bytes of its answer."""
    request = urllib.request.Request(f"{gateway.url}{path}", json.dumps(body).encode())
    request.add_header("content-type", "application/json")
    with urllib.request.urlopen(request, timeout=60) as answer:
        return str(answer.headers["x-gateway-request-id"]), answer.read()


def chat(bench: Bench, model: str = "gpt-4o", **fields: Any) -> str:
    asked = {"model": model, "messages": QUESTION, "max_tokens": 16, "temperature": 0}
    return raw(bench.gateway, "/v1/chat/completions", asked | fields)[0]


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])
@pytest.mark.parametrize("model", PATHS)
def test_an_answer_in_each_api_is_asked_of_local_once_more(
    bench: Bench, model: str, stream: bool
) -> None:
    """By no vendor: its own attempt is the only one that the vendor saw. The record says what it is
    and what it repeats, and nothing of a key or a cost.
    """
    path, asked = PATHS[model]
    before = len(bench.openai.requests) + len(bench.claude.requests)
    id, _ = raw(bench.gateway, path, {"model": model, "stream": stream, **asked})
    record = canary_of(bench, id)
    assert (record["outcome"], record["served_by"]) == ("served", "local/smollm2")
    assert [attempt["target"] for attempt in record["attempts"]] == ["local/smollm2"]
    assert [judged["target"] for judged in record["targets"]] == ["local/smollm2"]
    assert (record["key"], record["cost"], record["status"]) == (None, None, None)
    assert (record["api"], record["model"]) == (path.removeprefix("/v1/"), model)
    assert record["completion_tokens"] > 0
    assert len(bench.openai.requests) + len(bench.claude.requests) == before + 1


def test_the_app_gets_the_same_bytes_with_and_without(bench: Bench) -> None:
    """To the last of them, in each API, streamed and plain, but for ids and times."""
    asked = [
        (path, {**body, "model": model, "stream": stream})
        for model, (path, body) in PATHS.items()
        for stream in (False, True)
    ]
    with_ = []
    for path, body in asked:
        id, answer = raw(bench.gateway, path, body)
        canary_of(bench, id)
        with_.append(nameless(id, answer))
    count = len(canaries(bench.gateway))
    configured(bench, "")
    without = [nameless(*raw(bench.gateway, path, body)) for path, body in asked]
    assert with_ == without
    settle(bench)
    assert len(canaries(bench.gateway)) == count
    configured(bench, ALL)


def nameless(id: str, answer: bytes) -> bytes:
    """An answer without the id that the gateway gave it."""
    return answer.replace(id.encode(), b"")


def configured(bench: Bench, extra: str) -> None:
    """Another configuration, once it is in force."""
    text = written(bench.openai, bench.claude, extra)
    changed(bench, "configuration", lambda: bench.gateway.config.write_text(text))


def changed(bench: Bench, what: str, change: Callable[[], object]) -> None:
    """Change a file, and wait until it is in force."""

    def revision() -> str:
        return str(bench.gateway.get("/admin/status")[1][what]["revision"])

    before = revision()
    change()
    until(lambda: revision() != before)


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])
def test_what_the_vendor_did_and_local_did_not_is_in_the_record(bench: Bench, stream: bool) -> None:
    """The vendor calls a function where the local one is not made to, and says little where the
    local one is cut off.
    """
    bench.openai.behave("answer", words=(), tool=("weather", {"city": "Paris"}))
    tools = [{"type": "function", "function": WEATHER}]
    id = chat(bench, stream=stream, tools=tools, tool_choice="none")
    assert canary_of(bench, id)["differs"] == ("finish", "tools")
    bench.openai.behave("answer", words=("France.",))
    assert canary_of(bench, chat(bench, stream=stream, max_tokens=2))["differs"] == ("finish",)


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])
def test_a_call_that_local_makes_too(bench: Bench, stream: bool) -> None:
    """With arguments that its schema allows: the real model is held to that."""
    bench.openai.behave("answer", words=(), tool=("weather", {"city": "Paris"}))
    tools = [{"type": "function", "function": WEATHER}]
    record = canary_of(
        bench, chat(bench, stream=stream, tools=tools, tool_choice="required", max_tokens=100)
    )
    assert record["outcome"] == "served"
    assert record["needs"] == ("tools",)
    assert "tools" not in record["differs"]
    assert "functions" not in record["differs"]


def test_json_that_local_writes_too(bench: Bench) -> None:
    """By the schema where there is room for it; where it is cut off at the app's own limit, it is
    no JSON.
    """
    bench.openai.behave("answer", words=('{"city":', '"Paris"}'))
    form = {"type": "json_schema", "json_schema": {"name": "c", "schema": CITY, "strict": True}}
    whole = canary_of(bench, chat(bench, response_format=form, max_tokens=24))
    assert whole["differs"] == ()
    cut = canary_of(bench, chat(bench, response_format=form, max_tokens=1))
    assert cut["differs"] == ("finish", "format")


def test_what_local_cannot_do_is_told(bench: Bench) -> None:
    """It is asked as the app asked, and fails for that reason."""
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    seen = [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, picture]}]
    record = canary_of(bench, chat(bench, messages=seen))
    assert (record["outcome"], record["attempts"]) == ("unsupported_parameter", [])
    assert (record["needs"], record["differs"]) == (("images",), ("failed",))


def test_no_canary_of_what_local_served_nor_of_what_failed(bench: Bench) -> None:
    """There is nothing to learn of the first, and no answer to the second."""
    before = len(canaries(bench.gateway))
    chat(bench, "only-local")
    bench.openai.behave(400)
    assert bench.gateway.ask("only-cloud")[0] == 400
    assert bench.gateway.ask("gpt-4o")[0] == 400
    bench.openai.behave("answer")
    chat(bench, "only-cloud")
    settle(bench)
    assert len(canaries(bench.gateway)) == before


def test_a_route_of_two_vendors_has_its_canary_at_local(bench: Bench) -> None:
    """Though the second vendor is there and nothing is wrong with it."""
    before = len(bench.claude.connections)
    record = canary_of(bench, chat(bench, "behind"))
    assert [judged["target"] for judged in record["targets"]] == ["local/smollm2"]
    assert len(bench.claude.connections) == before


def test_a_ban_on_the_weights_stops_canaries(bench: Bench) -> None:
    """Policy is asked of the canary as of the app; nothing is computed."""
    ban = bench.gateway.policies / "50-weights.yaml"
    changed(bench, "policy", lambda: ban.write_text(NO_WEIGHTS))
    try:
        record = canary_of(bench, chat(bench))
        assert (record["outcome"], record["attempts"]) == ("vendor_blocked", [])
        assert record["targets"][0]["rule"] == "no-weights"
        assert record["differs"] == ("failed",)
    finally:
        changed(bench, "policy", ban.unlink)


def test_where_all_slots_are_taken_a_canary_is_skipped_and_nobody_waits_for_one(
    bench: Bench,
) -> None:
    """Four apps have the four slots for as long as they like."""
    body = {"model": "only-local", "messages": QUESTION, "max_tokens": 1500, "stream": True}
    body |= {"temperature": 1.0, "stop": None, "ignore_eos": True}
    skipped = ("gateway_canaries_skipped_total", "busy")
    before = scrape(bench.gateway)[0].get(skipped, 0)
    streams = [opened(bench.gateway, body) for _ in range(4)]
    try:
        for stream in streams:
            assert stream.readline()
        chat(bench)
        until(lambda: scrape(bench.gateway)[0].get(skipped, 0) > before)
    finally:
        for stream in streams:
            stream.close()


def opened(gateway: RunningGateway, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(
        f"{gateway.url}/v1/chat/completions", json.dumps(body).encode()
    )
    request.add_header("content-type", "application/json")
    return urllib.request.urlopen(request, timeout=60)


def test_metrics_tell_canaries_from_what_apps_asked(bench: Bench) -> None:
    """The vendor's time beside local's; what apps asked is counted as ever, and no more."""
    before = scrape(bench.gateway)[0]
    id = chat(bench, stream=True)
    canary_of(bench, id)
    settle(bench)
    first = "gateway_canary_time_to_first_token_seconds_count"
    once = [
        ("gateway_canaries_total", "gpt-4o", "served", "local/smollm2"),
        (first, "gpt-4o", "local/smollm2"),
        (first, "gpt-4o", "openai/gpt-4o"),
        ("gateway_requests_total", "", "cloud", "gpt-4o", "served", "openai/gpt-4o"),
    ]

    def counted() -> dict[tuple[str, ...], float]:
        now = scrape(bench.gateway)[0]
        grown = {key: value - before.get(key, 0) for key, value in now.items()}
        assert [grown.get(key) for key in once] == [1, 1, 1, 1]
        return grown

    grown = until(counted)  # what has just ended is counted a moment later
    for name in ("gateway_requests_total", "gateway_attempts_total", "gateway_tokens_total"):
        local = [key for key in grown if key[0] == name and "local/smollm2" in key]
        assert sum(grown[key] for key in local) == 0


def test_it_is_known_when_local_answered_last(bench: Bench) -> None:
    """By metrics, by operators, by the command line: and after a restart, before anybody asks."""
    record = canary_of(bench, chat(bench))
    settle(bench)
    name = "gateway_last_local_success_timestamp_seconds"
    told = until(lambda: scrape(bench.gateway)[0].get((name, "local/smollm2")))
    (model,) = bench.gateway.get("/admin/status")[1]["local_models"]
    assert model["last_success"][:16] >= record["at"][:16]
    assert f"answered last: {model['last_success']}" in bench.gateway.run("status").stdout
    bench.gateway.stop()
    bench.gateway.start()
    assert scrape(bench.gateway)[0][name, "local/smollm2"] == told


def test_nothing_of_it_is_counted_as_traffic(bench: Bench) -> None:
    """What operators see of requests are those of apps."""
    before = bench.gateway.get("/admin/traffic?minutes=60")[1]["requests"]
    canary_of(bench, chat(bench))
    assert bench.gateway.get("/admin/traffic?minutes=60")[1]["requests"] == before + 1


def test_a_gateway_that_stops_ends_them(bench: Bench) -> None:
    """One that has just begun is written down as cancelled, or had its end before."""
    body: dict[str, Sequence[Any] | str | int] = {"model": "gpt-4o", "messages": QUESTION}
    with ThreadPoolExecutor(4) as pool:
        ids = [
            one[0]
            for one in pool.map(
                lambda _: raw(bench.gateway, "/v1/chat/completions", dict(body)), range(4)
            )
        ]
    assert bench.gateway.stop() == 0
    ended = {one["repeats"]: one["outcome"] for one in canaries(bench.gateway)}
    assert {ended.get(id, "skipped") for id in ids} <= {
        "served",
        "cancelled",
        "skipped",
        "queue_full",
    }
    bench.gateway.start()
