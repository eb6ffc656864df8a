"""The main job: a banned vendor's model is asked for, and a local GGUF model answers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from openai.types.chat import ChatCompletionMessageParam

from tests.end_to_end.running import KEY, RunningGateway, configuration
from tests.simulators.vendor import VendorSimulator
from tests.waiting import until

QUESTION = "In which country is the city of Paris?"
# What so small a model makes of it differs between builds of llama.cpp, but not its subject.
MESSAGES: list[ChatCompletionMessageParam] = [
    {"role": "system", "content": "You are a helpful assistant. Answer in one short sentence."},
    {"role": "user", "content": QUESTION},
]


@pytest.fixture(scope="module")
def vendor() -> Iterator[VendorSimulator]:
    with VendorSimulator() as simulator:
        yield simulator


@pytest.fixture(scope="module")
def gateway(
    tmp_path_factory: pytest.TempPathFactory, vendor: VendorSimulator
) -> Iterator[RunningGateway]:
    folder = tmp_path_factory.mktemp("gateway")
    with RunningGateway(folder, configuration(vendor.url)) as running:
        yield running


@pytest.fixture(autouse=True)
def as_it_was(gateway: RunningGateway, vendor: VendorSimulator) -> Iterator[None]:
    """Each test begins with a vendor that answers and no ban."""
    vendor.behave("answer")
    policy = gateway.revisions()
    yield
    (gateway.policies / "90-toggles.yaml").unlink(missing_ok=True)
    gateway.back_to(policy)


def test_the_sdk_gets_a_real_answer_without_any_account(gateway: RunningGateway) -> None:
    """A channel without its key is no error: the local model answers, and says why."""
    answer = gateway.sdk.chat.completions.with_raw_response.create(
        model="claude-sonnet-4-5", messages=MESSAGES, temperature=0, max_tokens=32
    )
    parsed = answer.parse()
    assert re.search("Paris|France", parsed.choices[0].message.content or "")
    assert parsed.model == "claude-sonnet-4-5"
    assert parsed.usage is not None
    assert parsed.usage.completion_tokens > 0
    assert answer.headers["x-gateway-served-by"] == "local/smollm2"
    assert answer.headers["x-gateway-locality"] == "local"
    assert answer.headers["x-gateway-failover"] == "no_credentials"
    assert len(answer.headers["x-gateway-policy"]) == 64


def test_the_sdk_streams_from_the_local_model(gateway: RunningGateway) -> None:
    """One role, text in pieces, one finish, and the usage that was asked for."""
    stream = gateway.sdk.chat.completions.create(
        model="claude-sonnet-4-5",
        messages=MESSAGES,
        temperature=0,
        max_tokens=32,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    text = [c.choices[0].delta.content or "" for c in chunks if c.choices]
    assert re.search("Paris|France", "".join(text))
    assert len([piece for piece in text if piece]) > 1
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens > 0


def test_an_allowed_vendor_serves_with_its_own_key(
    gateway: RunningGateway, vendor: VendorSimulator
) -> None:
    """The app's own key never travels; the model's name is what the app asked for."""
    status, body, headers = gateway.ask()
    assert (status, body["model"]) == (200, "gpt-4o")
    assert "vendor answer" in body["choices"][0]["message"]["content"]
    assert headers["x-gateway-served-by"] == "openai/gpt-4o"
    assert "x-gateway-failover" not in headers
    assert vendor.requests[-1].headers["authorization"] == f"Bearer {KEY}"


def test_a_ban_moves_the_next_request_and_an_unban_brings_it_back(
    gateway: RunningGateway, vendor: VendorSimulator
) -> None:
    """Within a second, without a restart, and the vendor sees not one more connection."""
    assert gateway.ask()[2]["x-gateway-served-by"] == "openai/gpt-4o"
    banned = gateway.run("ban", "openai", "--reason", "drill")
    assert banned.returncode == 0, banned.stderr
    assert "in force after" in banned.stdout
    connections, requests = len(vendor.connections), len(vendor.requests)
    for stream in (False, True):
        answer = gateway.sdk.chat.completions.with_raw_response.create(
            model="gpt-4o",
            messages=MESSAGES,
            max_tokens=8,
            stream=stream,
        )
        assert answer.headers["x-gateway-served-by"] == "local/smollm2"
        assert answer.headers["x-gateway-failover"] == "policy"
    assert (len(vendor.connections), len(vendor.requests)) == (connections, requests)
    until(lambda: vendor.open == 0)
    lifted = gateway.run("unban", "openai")
    assert lifted.returncode == 0, lifted.stderr
    assert gateway.ask()[2]["x-gateway-served-by"] == "openai/gpt-4o"


def test_with_nothing_left_the_answer_names_vendor_rule_and_reason(
    gateway: RunningGateway,
) -> None:
    """451, and the words that an app's log needs."""
    gateway.run(
        "ban", "openai", "--reason", "directive 12", "--reference", "https://example.org/12"
    )
    status, body, _ = gateway.ask("only-cloud")
    assert status == 451
    assert body["error"]["type"] == "policy_denied"
    assert body["error"]["code"] == "vendor_blocked"
    for word in ("openai", "ban-openai", "directive 12", "https://example.org/12"):
        assert word in body["error"]["message"]


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ("500", "server_error"),
        ("429", "rate_limited"),
        ("451", "vendor_blocked"),
        ("html", "malformed"),
        ("break_off", "truncated"),
    ],
)
def test_a_failing_vendor_is_answered_for_by_the_local_model(
    tmp_path: Path, vendor: VendorSimulator, behaviour: str, reason: str
) -> None:
    """Each way of failing has a reason of its own, and no request is lost."""
    vendor.behave(behaviour)
    with RunningGateway(tmp_path, configuration(vendor.url)) as gateway:
        status, _, headers = gateway.ask()
        assert (status, headers["x-gateway-failover"]) == (200, reason)
        assert headers["x-gateway-served-by"] == "local/smollm2"


def test_killing_the_vendor_does_what_a_ban_does(
    gateway: RunningGateway, vendor: VendorSimulator
) -> None:
    """With another reason; a revived vendor serves again."""
    vendor.kill()
    try:
        _, _, headers = gateway.ask()
        assert headers["x-gateway-served-by"] == "local/smollm2"
        assert headers["x-gateway-failover"] == "refused"
    finally:
        vendor.revive()
    assert gateway.ask()[2]["x-gateway-served-by"] == "openai/gpt-4o"


def test_a_vendors_verdict_on_the_request_goes_back(
    gateway: RunningGateway, vendor: VendorSimulator
) -> None:
    """A 400 is the app's to mend: no other target is asked."""
    vendor.behave("400")
    status, body, _ = gateway.ask()
    assert (status, body["error"]["code"]) == (400, "invalid_value")
    assert "temperature" in body["error"]["message"]


def test_every_request_leaves_a_record_without_its_words(gateway: RunningGateway) -> None:
    """Targets, verdicts, attempts and tokens are written down; prompt and key are not."""
    _, _, headers = gateway.ask()
    record = gateway.last_record(headers["x-gateway-request-id"])
    assert record["outcome"] == "served"
    assert record["policy"] == headers["x-gateway-policy"]
    assert [t["verdict"] for t in record["targets"]] == ["allow", "allow"]
    assert [a["outcome"] for a in record["attempts"]] == ["served"]
    assert record["prompt_tokens"] > 0
    everything = "".join(f.read_text() for f in gateway.folder.rglob("*.jsonl"))
    assert QUESTION not in everything
    assert KEY not in everything + gateway.output.read_text()


def test_the_serving_process_has_neither_llama_nor_a_worker_any_key(
    gateway: RunningGateway,
) -> None:
    """llama.cpp is mapped in the model's process only, which knows no vendor's key."""
    gateway.ask("claude-sonnet-4-5")
    children = Path(f"/proc/{gateway.pid}/task").glob("*/children")
    pids = [int(pid) for file in children for pid in file.read_text().split()]
    assert pids
    assert "libllama" not in Path(f"/proc/{gateway.pid}/maps").read_text()
    workers = [pid for pid in pids if "libllama" in Path(f"/proc/{pid}/maps").read_text()]
    assert len(workers) == 1
    assert KEY.encode() not in Path(f"/proc/{workers[0]}/environ").read_bytes()


def test_a_ban_is_confirmed_by_every_serving_process(
    tmp_path: Path, vendor: VendorSimulator
) -> None:
    """Two processes share the port and the one local model; `status` knows both."""
    flags = ("--workers", "2")
    with RunningGateway(tmp_path, configuration(vendor.url), flags=flags) as gateway:
        until(lambda: len(_processes(gateway)) == 2)
        banned = gateway.run("ban", "openai", "--reason", "drill")
        assert "in 2 serving processes" in banned.stdout, banned.stdout + banned.stderr
        revisions = {process["policy"] for process in _processes(gateway)}
        assert len(revisions) == 1
        for _ in range(6):
            assert gateway.ask(max_tokens=1)[2]["x-gateway-failover"] == "policy"


def _processes(gateway: RunningGateway) -> list[dict[str, str]]:
    processes: list[dict[str, str]] = json.loads(gateway.run("status", "--format", "json").stdout)[
        "processes"
    ]
    return processes


def test_an_answer_of_a_banned_model_is_not_delivered(
    gateway: RunningGateway, vendor: VendorSimulator
) -> None:
    """A rule may deny one model and not its vendor: what the answer names is judged again."""
    rule = "{id: no-o3, match: {model: [o3]}, verdict: deny, reason: recalled}"
    extra = gateway.policies / "20-model.yaml"
    with gateway.another_policy():
        extra.write_text(f"version: 1\nrules:\n  - {rule}\n")
    vendor.behave("other_model", model="o3-2025-04-16")
    try:
        assert gateway.ask()[2]["x-gateway-failover"] == "answered_by_denied"
    finally:
        extra.unlink()


def test_the_status_says_how_the_local_model_was_loaded(gateway: RunningGateway) -> None:
    """Where its layers are and what it can do, as soon as it is ready; for people and programs."""
    (model,) = gateway.get("/admin/status")[1]["local_models"]
    loaded = model["loaded"]
    assert (loaded["context"], loaded["slots"]) == (2048, 4)
    assert (loaded["gpu_layers"], loaded["layers"], loaded["devices"]) == (0, 31, {})
    assert loaded["memory"] > 256 << 20
    assert loaded["note"] == ""
    assert loaded["chat"]["roles"] == ["system", "user", "assistant", "tool"]
    assert (loaded["chat"]["tools"], loaded["chat"]["thinks"]) == ("described", "no")
    assert {"tools", "json_schema"} <= set(loaded["capabilities"])
    printed = gateway.run("status").stdout
    assert "4 slots of 2048 tokens, 0 of 31 layers on a GPU" in printed
    assert "roles: system, user, assistant, tool; functions described" in printed
