"""A canary has the only slot of the real local model, and an app comes: by whichever process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.end_to_end.running import RunningGateway, configuration
from tests.end_to_end.test_canaries import Bench, canary_of, chat
from tests.end_to_end.test_metrics import scrape
from tests.simulators.anthropic_vendor import AnthropicSimulator
from tests.simulators.vendor import VendorSimulator
from tests.waiting import until

EXTRA = """\
server: {workers: 2}
readiness: {canary: {share: 1, max_tokens: 1900}}
"""
LONG: dict[str, Any] = {"ignore_eos": True, "max_tokens": 1900}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("gateway")
    with VendorSimulator() as openai, AnthropicSimulator() as claude:
        models = "  only-local: {targets: [local/smollm2]}"
        text = configuration(openai.url, models=models, extra=EXTRA)
        with RunningGateway(folder, text.replace("slots: 4", "slots: 1")) as gateway:
            yield Bench(gateway, openai, claude)


@pytest.mark.parametrize("turn", range(4))
def test_it_gives_its_slot_up(bench: Bench, turn: int) -> None:
    """The app is answered, and would not be before the canary's 1900 tokens were there. The canary
    says that it gave way, and nothing of the model: it is counted as skipped.
    """
    skipped = ("gateway_canaries_skipped_total", "busy")
    # What is scraped is told once a second: else the slot would look taken by who had it before.
    until(lambda: not scrape(bench.gateway)[0].get(("gateway_local_slots_busy", "smollm2")))
    before = scrape(bench.gateway)[0].get(skipped, 0)
    id = chat(bench, **LONG)
    until(lambda: scrape(bench.gateway)[0].get(("gateway_local_slots_busy", "smollm2")))
    status, _, headers = bench.gateway.ask("only-local", max_tokens=2)
    assert (status, headers["x-gateway-served-by"]) == (200, "local/smollm2")
    record = canary_of(bench, id)
    assert [(one["target"], one["outcome"]) for one in record["attempts"]] == [
        ("local/smollm2", "busy")
    ]
    assert (record["outcome"], record["differs"]) == ("broken", ())
    assert (record["completion_tokens"] or 0) < 1900
    until(lambda: scrape(bench.gateway)[0].get(skipped, 0) == before + 1)
    (target,) = bench.gateway.get("/admin/targets")[1][0]["targets"][-1:]
    assert (target["breaker"], target["failures_in_row"]) == ("closed", 0)
