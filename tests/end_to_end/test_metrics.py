"""``/metrics`` of a gateway with two serving processes and the real model, one of them killed."""

from __future__ import annotations

import os
import signal
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.config.presence import RUN, running
from tests.end_to_end.running import RunningGateway, configuration
from tests.waiting import until

NOBODY = "http://127.0.0.1:9/v1"
"""Where no vendor is: each attempt is refused."""
POLICY = """\
version: 1
default: deny
vendors: {openai: allow, anthropic: deny}
rules:
- {id: careful, mode: shadow, match: {vendor: [openai]}, verdict: deny, reason: to be seen}
"""
ASKED = 12

Scrape = dict[tuple[str, ...], float]


def scrape(gateway: RunningGateway) -> tuple[Scrape, Scrape]:
    """All samples of the gateway by name and labels (sorted by their names), and those of them that
    may only grow. On a connection of its own, so that either process may answer.
    """
    with urllib.request.urlopen(f"{gateway.url}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    samples, growing = {}, {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = (sample.name, *(value for _, value in sorted(sample.labels.items())))
            if not sample.name.startswith("gateway_"):
                continue
            samples[key] = sample.value
            if family.type in ("counter", "histogram"):
                growing[key] = sample.value
    return samples, growing


def serving(gateway: RunningGateway) -> list[int]:
    return [presence.pid for presence in running(gateway.folder / "state" / RUN)]


def ask(gateway: RunningGateway, count: int) -> None:
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: gateway.ask(max_tokens=2)[0], range(count)))
    assert answers == [200] * count


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    config = configuration(NOBODY, extra="server: {workers: 2}")
    folder = tmp_path_factory.mktemp("metrics")
    with RunningGateway(folder, config, policy=POLICY) as started:
        yield started


def test_two_processes_are_scraped_as_one(gateway: RunningGateway) -> None:
    """Whichever answers, all requests are there, by who served them and why not the first choice;
    what vendors did wrong; what policy denied or would have.
    """
    ask(gateway, ASKED)
    assert gateway.ask("sk-never-configured")[0] == 404
    assert gateway.ask("claude-sonnet-4-5", max_tokens=2)[0] == 200

    def all_are_there() -> bool:
        now, _ = scrape(gateway)
        served = {key: value for key, value in now.items() if key[0] == "gateway_requests_total"}
        local = ("local", "gpt-4o", "served", "local/smollm2")
        reasons = ("refused", "breaker_open")
        found = [served.get(("gateway_requests_total", why, *local), 0) for why in reasons]
        assert sum(found) == ASKED
        assert served["gateway_requests_total", "", "", "(unknown)", "model_not_found", ""] == 1
        assert not any("sk-never-configured" in word for key in now for word in key)
        assert now["gateway_attempts_total", "served", "local/smollm2"] == ASKED + 1
        assert now["gateway_attempts_total", "refused", "openai/gpt-4o"] >= 1
        assert now["gateway_serving_processes",] == 2
        assert now["gateway_policy_shadowed_total", "careful"] == ASKED
        assert now["gateway_policy_denied_total", "enforce", "anthropic", "anthropic"] == 1
        assert now["gateway_request_duration_seconds_count", "gpt-4o", "local/smollm2"] == ASKED
        assert now["gateway_tokens_total", "completion", "local/smollm2"] == 2 * (ASKED + 1)
        return True

    # What has just ended is counted a moment later; then whoever answers knows of all.
    until(all_are_there)
    for _ in range(6):
        all_are_there()


def test_the_local_model_tells_what_it_computed_and_what_it_need_not(
    gateway: RunningGateway,
) -> None:
    """The same prompt again and again: nearly all of it is in a slot already."""
    computed = ("gateway_local_completion_tokens_total", "smollm2")
    until(lambda: scrape(gateway)[0].get(computed, 0) >= 2 * (ASKED + 1))
    now, _ = scrape(gateway)
    prompt = now["gateway_local_prompt_tokens_total", "smollm2"]
    assert prompt >= now["gateway_tokens_total", "prompt", "local/smollm2"]
    assert prompt / 2 < now["gateway_local_cached_tokens_total", "smollm2"] < prompt
    assert now["gateway_local_slots", "smollm2"] == 4
    assert now["gateway_local_model_state", "smollm2", "ready"] == 1


def test_no_count_goes_backwards_when_a_process_is_killed(gateway: RunningGateway) -> None:
    """What a killed process had counted stays; its successor adds to it."""
    _, before = scrape(gateway)
    killed, *_ = serving(gateway)
    os.kill(killed, signal.SIGKILL)
    end = time.monotonic() + 30
    while True:
        try:
            now, growing = scrape(gateway)
        except OSError:
            continue  # it was the killed one's to answer
        assert all(growing[key] >= value for key, value in before.items())
        before = growing
        if now["gateway_serving_processes",] == 2 and killed not in serving(gateway):
            break
        assert time.monotonic() < end
        time.sleep(0.1)
    ask(gateway, ASKED)
    served = ("gateway_attempts_total", "served", "local/smollm2")
    until(lambda: scrape(gateway)[0][served] == 2 * ASKED + 1)
    for _ in range(6):
        now, growing = scrape(gateway)
        assert all(growing[key] >= value for key, value in before.items())
        assert now[served] == 2 * ASKED + 1


def test_another_start_begins_from_nothing(gateway: RunningGateway, tmp_path: Path) -> None:
    folder = gateway.folder / "state" / "run" / "metrics"
    (first,) = folder.iterdir()
    gateway.stop()
    assert not first.exists()
    gateway.start()
    (second,) = folder.iterdir()
    assert second != first
    assert ("gateway_attempts_total", "served", "local/smollm2") not in scrape(gateway)[0]
