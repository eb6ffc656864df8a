"""``offline: true``: what is cloud is left out, not looked up, not dialled, and all say so."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.running import POLICY, RunningGateway, configuration
from tests.simulators.vendor import VendorSimulator

MODELS = """\
  qwen: {targets: [openai/gpt-4o, lab/qwen3-32b, local/smollm2]}
  forwarded: {targets: [lab/gpt-oss:120b-cloud]}
"""


@pytest.fixture(scope="module")
def vendor() -> Iterator[VendorSimulator]:
    with VendorSimulator() as simulator:
        yield simulator


@pytest.fixture(scope="module")
def lab() -> Iterator[VendorSimulator]:
    with VendorSimulator() as simulator:
        yield simulator.list_models("ollama", "qwen3-32b", "gpt-oss:120b-cloud")


@pytest.fixture(scope="module")
def gateway(
    tmp_path_factory: pytest.TempPathFactory, vendor: VendorSimulator, lab: VendorSimulator
) -> Iterator[RunningGateway]:
    """Its cloud channel has a key and a vendor that would answer; it is told by a flag."""
    line = f'{{vendor: self, kind: openai, base_url: "{lab.url}", locality: sovereign}}'
    text = configuration(vendor.url, models=MODELS)
    text = text.replace("channels:\n", f"channels:\n  lab: {line}\n")
    folder, policy = tmp_path_factory.mktemp("gateway"), f"{POLICY}  ollama: allow\n"
    with RunningGateway(folder, text, policy=policy, flags=("--offline",)) as running:
        yield running


def test_what_is_local_or_sovereign_answers(
    gateway: RunningGateway, vendor: VendorSimulator, lab: VendorSimulator
) -> None:
    """With a reason of its own; the cloud channel is never dialled, whatever is asked."""
    until = time.monotonic() + 10
    while not lab.listed:
        assert time.monotonic() < until
        time.sleep(0.02)
    for model, served in (("gpt-4o", "local/smollm2"), ("qwen", "lab/qwen3-32b")):
        status, _, headers = gateway.ask(model)
        assert status == 200
        assert headers["x-gateway-served-by"] == served
        assert headers["x-gateway-failover"] == "offline"
    assert vendor.connections == []


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["only-cloud", "forwarded"])
def test_with_nothing_left_the_answer_says_that_it_is_offline(
    gateway: RunningGateway, lab: VendorSimulator, model: str, stream: bool
) -> None:
    """Also for what a server of our own would forward off site: no request reaches it."""
    before = len(lab.requests)
    status, body, headers = gateway.ask(model, stream=stream)
    assert (status, body["error"]["code"]) == (503, "offline")
    assert (
        "offline: true leaves out what is neither local nor sovereign" in body["error"]["message"]
    )
    assert "retry-after" not in headers
    assert len(lab.requests) == before


def test_a_target_that_policy_denies_is_denied_as_ever(gateway: RunningGateway) -> None:
    """The ban is the reason that an app hears, where it would hold online as well."""
    extra = gateway.policies / "20-ban.yaml"
    extra.write_text("version: 1\nrules: [{id: b, match: {vendor: [openai]}, verdict: deny}]\n")
    try:
        until = time.monotonic() + 5
        while (answer := gateway.ask("only-cloud"))[0] != 451:
            assert time.monotonic() < until
            time.sleep(0.05)
        assert "denied by rule b" in answer[1]["error"]["message"]
    finally:
        extra.unlink()


def test_operators_are_told(gateway: RunningGateway) -> None:
    """By readiness, by status and at the start."""
    assert gateway.get("/readyz")[1]["offline"] is True
    assert "offline: cloud channels are left out" in gateway.run("status").stdout
    assert "offline: nothing is dialled" in gateway.output.read_text()
    _, explained = gateway.get("/admin/explain?model=qwen")
    assert [row["left_out"] for row in explained["targets"]] == ["offline", "", ""]


def test_a_file_of_the_configuration_says_it_for_every_command(
    gateway: RunningGateway, tmp_path: Path
) -> None:
    """``explain`` plans without the cloud, and no model's file is fetched."""
    config = tmp_path / "gateway.yaml"
    config.write_text(f"offline: true\n{gateway.config.read_text()}")
    other = RunningGateway(tmp_path, config.read_text())
    done = other.run("policy", "explain", "--model", "gpt-4o", "--format", "json")
    assert json.loads(done.stdout)["plan"] == ["local/smollm2"], done.stderr
    url = "http://127.0.0.1:9/m.gguf"
    done = other.run("models", "add", url, "--id", "m", "--trust-first", policy=False)
    assert done.returncode != 0
    assert "offline: true forbids" in done.stderr
