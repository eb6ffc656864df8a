"""Servers of our own behind a running gateway: they come, go, are banned, tell what they have."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.running import RunningGateway, configuration
from tests.simulators.vendor import VendorSimulator
from tests.waiting import until

INTERVAL = 3.0
"""Seconds between two checks, ±20 %; every second of a server that is down."""
AT_ONCE = 1.5
"""Seconds: what takes no longer did not wait for the next check."""
MODELS = """\
  qwen: {targets: [lab/qwen3-32b, local/smollm2]}
  llama: {targets: [lab/llama3.2, local/smollm2]}
"""


def sovereign(models: str, **servers: str) -> str:
    """A configuration with servers of our own at these addresses."""
    text = configuration(models=models)
    lines = "".join(
        f'  {name}: {{vendor: self, kind: openai, base_url: "{url}", locality: sovereign}}\n'
        for name, url in servers.items()
    )
    text = text.replace("channels:\n", f"channels:\n{lines}")
    return text.replace("idle_timeout: 20}", f"idle_timeout: 20, health_interval: {INTERVAL}}}")


def server(gateway: RunningGateway, channel: str = "lab") -> dict[str, Any]:
    """What the gateway tells of one of our own servers."""
    rows: list[dict[str, Any]] = gateway.get("/admin/status")[1]["sovereign"]
    return next(row for row in rows if row["channel"] == channel)


def standing(gateway: RunningGateway, wanted: str) -> Callable[[], bool]:
    return lambda: bool(server(gateway)["standing"] == wanted)


def metric(gateway: RunningGateway, name: str) -> float:
    """A sample by its name and labels, as it is written."""
    with urllib.request.urlopen(f"{gateway.url}/metrics", timeout=10) as answer:
        assert answer.headers["content-type"].startswith("text/plain; version=")
        lines = answer.read().decode().splitlines()
    return next(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} "))


@pytest.fixture(scope="module")
def lab() -> Iterator[VendorSimulator]:
    with VendorSimulator() as simulator:
        simulator.list_models("ollama", "qwen3-32b", "gpt-oss:120b-cloud", "deepseek-r1:latest")
        yield simulator


@pytest.fixture(scope="module")
def gateway(
    tmp_path_factory: pytest.TempPathFactory, lab: VendorSimulator
) -> Iterator[RunningGateway]:
    folder = tmp_path_factory.mktemp("gateway")
    with RunningGateway(folder, sovereign(MODELS, lab=lab.url, spare=lab.url)) as running:
        yield running


@pytest.fixture(autouse=True)
def as_it_was(gateway: RunningGateway, lab: VendorSimulator) -> Iterator[None]:
    lab.behave("answer")
    policy = gateway.revisions()
    yield
    for name in ("20-lab.yaml", "90-toggles.yaml"):
        (gateway.policies / name).unlink(missing_ok=True)
    gateway.back_to(policy)


def test_what_a_server_serves_is_shown_with_who_is_behind_it(gateway: RunningGateway) -> None:
    """Ollama's cloud models are in the cloud, whatever the channel says; nothing of it is told to
    whoever asks for readiness.
    """
    until(standing(gateway, "up"))
    shown = {model["target"]: model for model in server(gateway)["models"]}
    assert shown["lab/qwen3-32b"] == {
        "target": "lab/qwen3-32b",
        "developer": "alibaba",
        "lineage": [],
        "locality": "sovereign",
        "configured": True,
    }
    cloud, other = shown["lab/gpt-oss:120b-cloud"], shown["lab/deepseek-r1:latest"]
    assert (cloud["locality"], cloud["developer"]) == ("cloud", "openai")
    assert (other["locality"], other["configured"]) == ("sovereign", False)
    assert "sovereign" not in gateway.get("/readyz")[1]
    printed = gateway.run("status").stdout
    assert "channel lab: up\n" in printed
    assert "  lab/qwen3-32b: alibaba, sovereign\n" in printed
    assert "  lab/gpt-oss:120b-cloud: openai, cloud, not configured under models\n" in printed
    told = json.loads(gateway.run("status", "--format", "json").stdout)["sovereign"]
    assert [row["channel"] for row in told] == ["lab", "spare"]
    assert told[0]["models"] == server(gateway)["models"]


def test_what_is_known_of_it_is_a_metric(gateway: RunningGateway, lab: VendorSimulator) -> None:
    """The server and its targets, and what a request needed that the local model lacks."""
    until(standing(gateway, "up"))
    assert metric(gateway, 'gateway_sovereign_up{channel="lab"}') == 1
    assert metric(gateway, 'gateway_target_ready{target="lab/qwen3-32b"}') == 1
    assert metric(gateway, 'gateway_target_ready{target="lab/llama3.2"}') == 0
    assert metric(gateway, 'gateway_local_model_ready{model="smollm2"}') == 1
    assert metric(gateway, 'gateway_route_gap{capability="images",model="qwen"}') == 1
    assert metric(gateway, "gateway_policy_degraded") == 0
    unmet = 'gateway_unmet_needs_total{capability="images",model="qwen"}'
    assert metric(gateway, unmet) == 0
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    gateway.ask("qwen", messages=[{"role": "user", "content": [picture]}])
    until(lambda: metric(gateway, unmet) == 1)
    lab.kill()
    try:
        until(lambda: metric(gateway, 'gateway_sovereign_up{channel="lab"}') == 0)
        assert metric(gateway, 'gateway_target_ready{target="lab/qwen3-32b"}') == 0
    finally:
        lab.revive()


def test_a_channel_without_targets_is_asked_too(gateway: RunningGateway) -> None:
    """So that its target ids can be read before anything is configured; nothing is sent there."""
    until(lambda: bool(server(gateway, "spare")["standing"] == "up"))
    assert {model["configured"] for model in server(gateway, "spare")["models"]} == {False}
    assert gateway.ask("spare/qwen3-32b")[0] == 404


def test_a_model_that_the_server_does_not_list_is_answered_for(gateway: RunningGateway) -> None:
    """With a reason of its own; one that it lists is asked for there."""
    until(standing(gateway, "up"))
    _, _, headers = gateway.ask("llama")
    assert headers["x-gateway-served-by"] == "local/smollm2"
    assert headers["x-gateway-failover"] == "not_listed"
    assert gateway.ask("qwen")[2]["x-gateway-served-by"] == "lab/qwen3-32b"


def test_a_banned_server_gets_no_connection_until_the_ban_is_lifted(
    gateway: RunningGateway, lab: VendorSimulator
) -> None:
    """As the server sees it: no check, no request, nothing kept open; then checks go on."""
    until(standing(gateway, "up"))
    rule = "{id: no-lab, match: {channel: [lab, spare]}, verdict: deny, reason: drill}"
    extra = gateway.policies / "20-lab.yaml"
    extra.write_text(f"version: 1\nrules:\n  - {rule}\n")
    until(lambda: "policy" in server(gateway)["detail"], AT_ONCE)
    until(lambda: lab.open == 0)
    seen = (len(lab.connections), len(lab.listed), len(lab.requests))
    _, _, headers = gateway.ask("qwen")
    assert headers["x-gateway-failover"] == "policy"
    time.sleep(1.3 * INTERVAL)
    assert (len(lab.connections), len(lab.listed), len(lab.requests)) == seen
    assert (server(gateway)["standing"], server(gateway)["models"]) == ("unknown", None)
    extra.unlink()
    until(standing(gateway, "up"), AT_ONCE)
    assert len(lab.connections) > seen[0]
    assert gateway.ask("qwen")[2]["x-gateway-served-by"] == "lab/qwen3-32b"


def test_a_ban_of_all_weights_that_a_server_is_configured_for_ends_its_checks(
    gateway: RunningGateway, lab: VendorSimulator
) -> None:
    """A gateway that starts under a ban asks nobody either."""
    banned = [
        gateway.run("ban", vendor, "--reason", "drill", "--roles", "weights")
        for vendor in ("alibaba", "meta")
    ]
    assert [done.returncode for done in banned] == [0, 0], banned[0].stderr + banned[1].stderr
    until(lambda: "policy" in server(gateway)["detail"])
    gateway.stop()
    until(lambda: lab.open == 0)
    seen, before = len(lab.connections), len(lab.listed)
    gateway.start()
    until(lambda: bool(server(gateway, "spare")["standing"] == "up"))
    time.sleep(1.3 * INTERVAL)
    assert server(gateway)["standing"] == "unknown"
    # Only the channel that has no target of theirs.
    assert len(lab.connections) == seen + 1
    assert len(lab.listed) > before


def test_a_gateway_serves_another_as_its_server(tmp_path: Path, lab: VendorSimulator) -> None:
    """Killed, its requests are answered locally from the first one on; up again, it serves."""
    inner = RunningGateway(
        tmp_path / "inner", configuration(models="  smollm2: {targets: [local/smollm2]}")
    )
    models = "  small: {targets: [lab/smollm2, local/smollm2]}"
    text = sovereign(models, lab=f"{inner.url}/v1")
    with inner, RunningGateway(tmp_path / "outer", text) as outer:
        until(standing(outer, "up"))
        assert "lab/smollm2" in {model["target"] for model in server(outer)["models"]}
        assert outer.ask("small")[2]["x-gateway-served-by"] == "lab/smollm2"
        inner.kill()
        reasons = [outer.ask("small")[2]["x-gateway-failover"] for _ in range(4)]
        assert set(reasons) <= {"refused", "not_ready"}
        assert reasons[-1] == "not_ready"
        until(standing(outer, "down"))
        inner.start()
        until(standing(outer, "up"))
        assert outer.ask("small")[2]["x-gateway-served-by"] == "lab/smollm2"
