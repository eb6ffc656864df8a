"""The readiness score of a real gateway with the real model: /metrics, /admin, the console and the
command line all tell the same.
"""

from __future__ import annotations

import json
import re
import time
import urllib.request
from collections.abc import Callable, Iterator
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.scoring import EVERY
from tests.end_to_end.running import POLICY, RunningGateway, configuration
from tests.simulators.vendor import VendorSimulator

WITHIN = 4 * EVERY
MEASURED = {
    "smollm2": {
        "prompt_rate": 1000.0,
        "answer_rate": 100.0,
        "slots": 4,
        "sha256": "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        "measured": "2026-06-01T12:00:00Z",
        "cores": 2,
    }
}
IMAGE = "data:image/webp;base64,UklGRg=="


def until(gateway: RunningGateway, right: Callable[[Any], bool], query: str = "") -> Any:
    """What /admin/readiness says as soon as it is right: it is reckoned again and again."""
    end = time.monotonic() + WITHIN
    while True:
        status, found = gateway.get(f"/admin/readiness{query}")
        if status == 200 and right(found):
            return found
        assert time.monotonic() < end, found
        time.sleep(0.2)


def metrics(gateway: RunningGateway) -> dict[tuple[str, ...], float]:
    with urllib.request.urlopen(f"{gateway.url}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("gateway_readiness")
    }


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """With two serving processes. Eight requests hung on OpenAI, of which local could have taken
    six: one needs an image of another kind, one is for a model without a local target.
    """
    folder = tmp_path_factory.mktemp("readiness")
    (folder / "state").mkdir()
    (folder / "state" / "capacity.json").write_text(json.dumps(MEASURED))
    with VendorSimulator() as vendor:
        config = configuration(vendor.url, extra="server: {workers: 2}")
        with RunningGateway(folder, config) as started:
            for _ in range(6):
                assert started.ask()[0] == 200
            assert started.ask("only-cloud")[0] == 200
            picture = {"type": "image_url", "image_url": {"url": IMAGE}}
            seen = [{"role": "user", "content": [picture]}]
            assert started.ask(messages=seen)[0] == 200
            yield started


def test_all_tell_the_same(gateway: RunningGateway) -> None:
    found = until(gateway, lambda now: now["requests"] == 8)
    one, everything = found["vendors"][0], found["all"]
    assert [row["vendor"] for row in found["vendors"]] == ["openai", "anthropic"]
    assert (one["requests"], one["capability"]["local"], one["denied"]) == (8, 0.75, False)
    assert (one["capacity"], one["score"], one["unmeasured"]) == (1, 0.75, [])
    rows = sorted((row["model"], row["why"], row["requests"]) for row in one["missing"])
    assert rows == [("gpt-4o", "capability", 1), ("only-cloud", "no local target", 1)]
    assert {**everything, "vendor": "openai", "targets": one["targets"]} == one
    now = metrics(gateway)
    for vendor in ("openai", "(all)"):
        assert now["gateway_readiness_dependent_requests", vendor] == 8
        shares = [
            now["gateway_readiness_ratio", by, vendor] for by in ("capability", "capacity", "both")
        ]
        assert shares == [0.75, 1.0, 0.75]
    assert now["gateway_readiness_dependent_requests", "anthropic"] == 0
    assert ("gateway_readiness_ratio", "both", "anthropic") not in now
    assert abs(now["gateway_readiness_reckoned_timestamp_seconds",] - time.time()) < WITHIN
    told = gateway.run("readiness", "--format", "json")
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout)["vendors"] == found["vendors"]
    page = _console(gateway)
    panel = page[page.index('id="readiness-title"') : page.index('id="decisions-title"')]
    assert "of 8 requests since" in panel
    assert "<b>75 %</b>" in panel
    assert "1 for only-cloud have no local target" in panel


def _console(gateway: RunningGateway) -> str:
    made = gateway.run("operators", "create", "Nadia", "--role", "viewer", policy=False)
    written = re.search(r"sgo_\w{10}_\S{43}", made.stdout)
    assert written is not None, made.stderr
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    body = f"key={written[0]}".encode()
    headers = {"origin": gateway.url}
    login = urllib.request.Request(f"{gateway.url}/console/login", data=body, headers=headers)
    with opener.open(login, timeout=10) as answer:
        page: str = answer.read().decode()
    return page


def test_one_vendor_is_told_of_alone_and_an_unknown_one_is_not_there(
    gateway: RunningGateway,
) -> None:
    found = until(gateway, lambda now: now["requests"] == 8, "?vendor=openai")
    assert [row["vendor"] for row in found["vendors"]] == ["openai"]
    status, answer = gateway.get("/admin/readiness?vendor=opanai")
    assert (status, "there are openai, anthropic" in answer["error"]["message"]) == (404, True)
    text = gateway.run("readiness", "--vendor", "openai").stdout
    assert "1  only-cloud, no app: no local target" in text


def test_the_command_says_no_where_a_score_is_too_low(gateway: RunningGateway) -> None:
    until(gateway, lambda now: now["requests"] == 8)
    for least, code in (("0.75", 0), ("0.76", 1)):
        done = gateway.run("readiness", "--at-least", least)
        assert (done.returncode, "openai" in done.stderr) == (code, bool(code)), done.stderr


def test_a_ban_and_another_configuration_are_seen(gateway: RunningGateway) -> None:
    """The policy in force says what is denied already; the configuration, what is there."""
    before = until(gateway, lambda now: now["requests"] == 8)
    assert gateway.run("ban", "openai", "--reason", "a test").returncode == 0
    found = until(gateway, lambda now: now["policy"] != before["policy"])
    assert found["vendors"][0]["denied"]
    assert found["vendors"][0]["score"] == 0.75
    assert gateway.run("unban", "openai").returncode == 0
    text = gateway.config.read_text()
    gateway.config.write_text(text.replace("[openai/gpt-4o]", "[openai/gpt-4o, local/smollm2]"))
    found = until(gateway, lambda now: now["vendors"][0]["score"] == 0.875)
    assert [row["why"] for row in found["vendors"][0]["missing"]] == ["capability"]
    gateway.config.write_text(text)
    until(gateway, lambda now: now["vendors"][0]["score"] == 0.75)


def test_without_a_gateway_the_files_tell_it(tmp_path: Path) -> None:
    """The same code; and capacity that nobody measured is not assumed."""
    with VendorSimulator() as vendor:
        running = RunningGateway(tmp_path, configuration(vendor.url), policy=POLICY)
        with running:
            assert running.ask()[0] == 200
            while not running.records():
                time.sleep(0.05)
        done = running.run("readiness", "--format", "json")
        one = json.loads(done.stdout)["vendors"][0]
        assert (one["vendor"], one["requests"], one["capability"]["local"]) == ("openai", 1, 1.0)
        assert (one["score"], one["unmeasured"]) == (None, ["local/smollm2"])
        low = running.run("readiness", "--at-least", "0.5")
        assert (low.returncode, "or not known: openai" in low.stderr) == (1, True)
        (tmp_path / "state" / "capacity.json").write_text(json.dumps(MEASURED))
        assert running.run("readiness", "--at-least", "1").returncode == 0
