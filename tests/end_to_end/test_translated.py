"""A gateway whose first choice is of another API: through its own command line and real sockets."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.running import ROOT, RunningGateway
from tests.simulators.anthropic_api import KEY, AnthropicVendor

CONFIG = """\
channels:
  claude:
    vendor: anthropic
    kind: litellm
    provider: anthropic
    base_url: "{url}"
    api_key: "${{VENDOR_KEY}}"
  bedrock: {{vendor: amazon, kind: litellm, provider: bedrock, region: us-east-1}}
models:
  claude-sonnet-4-5:
    targets:
      - bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0
      - claude/claude-sonnet-4-5
      - local/smollm2
local:
  manifests: {root}/models
  models:
    smollm2: {{manifest: smollm2-135m-instruct, context: 2048, slots: 2, threads: 2}}
translate: {{python: {python}}}
state: {{dir: state}}
"""
PYTHON = ROOT / ".venv-translate" / "bin" / "python"
POLICY = """\
version: 1
default: deny
vendors: {anthropic: allow, amazon: allow}
"""
BAN = POLICY.replace("anthropic: allow", "anthropic: deny")


@pytest.fixture
def vendor() -> Iterator[AnthropicVendor]:
    with AnthropicVendor() as simulator:
        yield simulator


def gateway(folder: Path, vendor: AnthropicVendor, python: Path = PYTHON) -> RunningGateway:
    config = CONFIG.format(url=vendor.url, root=ROOT, python=python)
    return RunningGateway(folder, config, policy=POLICY, key=KEY)


def test_it_answers_and_a_ban_ends_its_process(tmp_path: Path, vendor: AnthropicVendor) -> None:
    """By the official client, plain and streamed. Under a ban the local model answers, and the
    process of the channel is gone, with every connection that it had.
    """
    with gateway(tmp_path, vendor) as running:
        asked = running.sdk.chat.completions.with_raw_response.create(
            model="claude-sonnet-4-5", messages=[{"role": "user", "content": "Paris?"}]
        )
        assert asked.parse().choices[0].message.content == "Paris is the capital of France."
        assert asked.headers["x-gateway-served-by"] == "claude/claude-sonnet-4-5"
        assert asked.headers["x-gateway-failover"] == "no_credentials"
        stream = running.sdk.chat.completions.create(
            model="claude-sonnet-4-5",
            messages=[{"role": "user", "content": "Paris?"}],
            stream=True,
        )
        said = "".join(c.choices[0].delta.content or "" for c in stream if c.choices)
        assert said == "Paris is the capital of France."
        running.last_record()
        assert running.records()[0]["prompt_tokens"] == 13
        assert len(_translators(running.pid)) == 1
        (running.policies / "10-vendors.yaml").write_text(BAN)
        until = time.monotonic() + 10
        while _translators(running.pid):
            assert time.monotonic() < until
            time.sleep(0.05)
        before = len(vendor.requests)
        status, _, headers = running.ask("claude-sonnet-4-5")
        assert (status, headers["x-gateway-served-by"]) == (200, "local/smollm2")
        assert len(vendor.requests) == before


def test_litellm_is_not_installed(tmp_path: Path, vendor: AnthropicVendor) -> None:
    """The local model answers, the log and the doctor say what to do."""
    with gateway(tmp_path, vendor, tmp_path / "none" / "bin" / "python") as running:
        status, _, headers = running.ask("claude-sonnet-4-5")
        assert (status, headers["x-gateway-served-by"]) == (200, "local/smollm2")
        assert "translate_not_installed" in running.output.read_text()
        told = running.run("doctor").stdout
        assert "channel claude: litellm is not installed" in told
        assert "make translate" in told


def _translators(pid: int) -> list[int]:
    """The translators that a gateway and its processes have started."""
    found = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            command = Path(f"/proc/{name}/cmdline").read_bytes()
            parent = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
        if b"gateway.upstream.translate.boot" in command and _below(int(parent), pid):
            found.append(int(name))
    return found


def _below(pid: int, ancestor: int) -> bool:
    while pid > 1:
        if pid == ancestor:
            return True
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            return False
    return False
