"""A gateway whose first choice is of another API: through its own command line and real sockets."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from anthropic import Anthropic

from tests.end_to_end.running import ROOT, RunningGateway
from tests.simulators.anthropic_api import KEY, AnthropicVendor
from tests.simulators.vendor import VendorSimulator

pytestmark = pytest.mark.alone

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
FURTHER = """\
channels:
  openai: {{vendor: openai, kind: openai, base_url: "{first}", api_key: "${{VENDOR_KEY}}"}}
  claude: {{vendor: anthropic, kind: litellm, provider: anthropic, {at}}}
  native: {{vendor: anthropic, kind: anthropic, {at}}}
models:
  translated: {{targets: [claude/claude-sonnet-4-5]}}
  goes-on: {{targets: [openai/gpt-4o, claude/claude-sonnet-4-5]}}
  two-dialects: {{targets: [native/claude-sonnet-4-5, local/smollm2]}}
local:
  manifests: {root}/models
  models:
    smollm2: {{manifest: smollm2-135m-instruct, context: 2048, slots: 2, threads: 2}}
translate: {{python: {python}}}
state: {{dir: state}}
"""
BOTH = """\
version: 1
default: deny
vendors: {anthropic: allow, openai: allow}
"""
QUESTION: Any = [{"role": "user", "content": "Paris?"}]
SAID = "Paris is the capital of France."
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


@pytest.fixture(scope="module")
def first() -> Iterator[VendorSimulator]:
    with VendorSimulator() as simulator:
        yield simulator


@pytest.fixture(scope="module")
def claude() -> Iterator[AnthropicVendor]:
    with AnthropicVendor() as simulator:
        yield simulator


@pytest.fixture(scope="module")
def both(
    tmp_path_factory: pytest.TempPathFactory, first: VendorSimulator, claude: AnthropicVendor
) -> Iterator[RunningGateway]:
    """A vendor that is asked first, and the same other one by two kinds of channels."""
    at = f'base_url: "{claude.url}", api_key: "${{VENDOR_KEY}}"'
    config = FURTHER.format(first=first.url, at=at, root=ROOT, python=PYTHON)
    folder = tmp_path_factory.mktemp("both")
    with RunningGateway(folder, config, policy=BOTH, key=KEY) as running:
        yield running


@pytest.fixture
def anthropic_sdk(both: RunningGateway) -> Iterator[Anthropic]:
    with Anthropic(base_url=both.url, api_key="k", max_retries=0, timeout=60) as client:
        yield client


def test_callers_of_the_other_dialect(anthropic_sdk: Anthropic, claude: AnthropicVendor) -> None:
    """Asked in one dialect, told on in a second, and by a vendor that speaks the first: all that a
    message has is still there.
    """
    claude.behave("answer")
    message = anthropic_sdk.messages.create(
        model="translated", max_tokens=20, system="Be brief.", messages=QUESTION
    )
    assert [block.type for block in message.content] == ["text"]
    assert message.content[0].type == "text"
    assert message.content[0].text == SAID
    assert (message.model, message.stop_reason) == ("translated", "end_turn")
    usage = message.usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens) == (9, 4, 5)
    asked = claude.requests[-1].json
    assert asked["max_tokens"] == 20
    assert "Be brief." in json.dumps(asked["system"])


def test_a_tool_in_the_other_dialect(anthropic_sdk: Anthropic, claude: AnthropicVendor) -> None:
    """Streamed, by the SDK's own helper."""
    claude.behave("tool")
    tool: Any = {"name": "get_weather", "input_schema": {"type": "object", "properties": {}}}
    with anthropic_sdk.messages.stream(
        model="translated", max_tokens=20, messages=QUESTION, tools=[tool]
    ) as stream:
        message = stream.get_final_message()
    text, call = message.content
    assert (text.type, call.type) == ("text", "tool_use")
    assert call.type == "tool_use"
    assert (call.name, call.input) == ("get_weather", {"city": "Paris"})
    assert message.stop_reason == "tool_use"
    assert (message.usage.input_tokens, message.usage.cache_read_input_tokens) == (9, 4)


def test_what_has_no_word_in_the_channels_api(
    both: RunningGateway, claude: AnthropicVendor
) -> None:
    """A channel that is relayed to callers of its dialect is translated to for all others: there it
    is asked for nothing that the translation would drop.
    """
    claude.behave("answer")
    before = len(claude.requests)
    status, body, headers = both.ask(
        "two-dialects", response_format={"type": "json_object"}, max_tokens=200
    )
    assert (status, headers["x-gateway-served-by"]) == (200, "local/smollm2")
    assert headers["x-gateway-failover"] == "incapable"
    assert isinstance(json.loads(body["choices"][0]["message"]["content"]), dict)
    assert len(claude.requests) == before
    status, _, headers = both.ask("two-dialects")
    assert (status, headers["x-gateway-served-by"]) == (200, "native/claude-sonnet-4-5")


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
def test_it_goes_on_with_anothers_answer(
    both: RunningGateway,
    anthropic_sdk: Anthropic,
    first: VendorSimulator,
    claude: AnthropicVendor,
    dialect: str,
) -> None:
    """What the app has of it is told to the API that is translated, as the assistant's turn."""
    first.behave("break_off")
    claude.behave("answer")
    if dialect == "openai":
        stream = both.sdk.chat.completions.create(
            model="goes-on", messages=QUESTION, stream=True, stream_options={"include_usage": True}
        )
        chunks = list(stream)
        said = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        assert len({chunk.id for chunk in chunks}) == 1
        assert chunks[-1].usage is not None
    else:
        with anthropic_sdk.messages.stream(
            model="goes-on", max_tokens=20, messages=QUESTION
        ) as events:
            said = events.get_final_text()
    assert said == "vendor answer" + SAID
    *_, turn = claude.requests[-1].json["messages"]
    assert turn["role"] == "assistant"
    assert "vendor answer" in json.dumps(turn["content"])


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
