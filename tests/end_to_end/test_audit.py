"""The audit log of a whole gateway: what it holds, and what it does when it cannot be written."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from gateway.audit.content import generate, private_key, unseal
from gateway.audit.prompts import prompt_hmac
from tests.audit.disks import fill, small_disk
from tests.audit.verifier import verified
from tests.end_to_end.running import POLICY, RunningGateway, configuration, replaced
from tests.waiting import until

CLOSED = "version: 1\ndefault: deny\n"


def log_of(gateway: RunningGateway) -> Path:
    return gateway.folder / "state" / "audit"


def named(gateway: RunningGateway, event: str) -> list[dict[str, Any]]:
    return [line for line in gateway.events() if line["event"] == event]


def test_killed_under_load_it_verifies_and_the_next_start_tells(tmp_path: Path) -> None:
    """Two serving processes and the main one go at once; what is missing was asked in the end."""
    answered: list[str] = []
    with RunningGateway(tmp_path, configuration(), flags=("--workers", "2")) as gateway:
        client = gateway.sdk

        def ask(number: int) -> None:
            try:
                with client.chat.completions.create(
                    model="gpt-4o",
                    stream=True,
                    max_tokens=8,
                    messages=[{"role": "user", "content": f"Say {number}."}],
                ) as stream:
                    for _ in stream:
                        pass
                answered.append(stream.response.headers["x-gateway-request-id"])
            except openai.APIError:
                return

        with ThreadPoolExecutor(16) as pool:
            asked = [pool.submit(ask, number) for number in range(400)]
            until(lambda: len({line["id"] for line in gateway.records()} & set(answered)) > 10)
            children = _children(gateway.pid)
            gateway.kill()
            for child in children:
                _kill(child)
            until(lambda: not any(map(_alive, children)))
            for one in asked:
                one.cancel()
        before = len(verified(log_of(gateway)) if _whole(log_of(gateway)) else gateway.records())
        gateway.start()
        lines = verified(log_of(gateway))
        assert len(lines) > before
        ended = [line["subject"] for line in named(gateway, "audit.unclean_end")]
        assert sorted(ended) == ["main", "serving", "serving"]
        written = {line["id"] for line in gateway.records()}
        # Of 16 at a time, what was answered within the last batch.
        assert len(set(answered) - written) <= 32
        assert len(set(answered) & written) > 10
    assert verified(log_of(gateway))[-2]["event"] == "gateway.stopped"


def _whole(folder: Path) -> bool:
    return all(file.read_bytes()[-1:] == b"\n" for file in folder.glob("audit-*.jsonl"))


def _children(pid: int) -> list[int]:
    found = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, check=True
    )
    return [int(word) for word in found.stdout.split()]


def _kill(pid: int) -> None:
    try:
        os.kill(pid, 9)
    except ProcessLookupError:
        return


def _alive(pid: int) -> bool:
    """Also where nobody takes note of an orphan's end."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_what_happens_stands_between_the_requests(tmp_path: Path) -> None:
    """One chain of all processes: starts, policies with their files, configurations, models."""
    with RunningGateway(tmp_path, configuration()) as gateway:
        assert gateway.ask()[0] == 200
        loaded = named(gateway, "policy.loaded")[0]["subject"]
        replaced(gateway.policies / "10-vendors.yaml", POLICY.replace("openai: allow", ""))
        until(lambda: named(gateway, "policy.changed"))
        replaced(gateway.policies / "20-more.yaml", "version: 1\nvendors: {openai: perhaps}\n")
        until(lambda: named(gateway, "policy.refused"))
        (gateway.policies / "20-more.yaml").unlink()
        replaced(gateway.config, "models: 5\n")
        until(lambda: named(gateway, "configuration.refused"))
        replaced(gateway.config, configuration(models="  one: {targets: [local/smollm2]}"))
        until(lambda: named(gateway, "configuration.changed"))
        (changed,) = named(gateway, "policy.changed")
        assert changed["detail"] == {"old": loaded, "files": "policies/10-vendors.yaml"}
        assert changed["subject"] != loaded
        (refused,) = named(gateway, "policy.refused")
        assert refused["subject"] == changed["subject"]
        assert "expected 'allow', 'risky' or 'deny'" in refused["reason"]
        (model,) = named(gateway, "model.loaded")
        assert (model["subject"], model["detail"]["memory"] > 10_000_000) == ("smollm2", True)
        os.kill(model["detail"]["pid"], 9)
        until(lambda: len(named(gateway, "model.loaded")) == 2)
        assert named(gateway, "model.crashed")[0]["subject"] == "smollm2"
        log = log_of(gateway)
        assert gateway.stop() == 0
        assert not list((log / "running").iterdir())
    told = [(line.get("event", line["kind"]), line.get("subject")) for line in verified(log)]
    assert told[0] == ("gateway.started", "main")
    assert told.index(("gateway.started", "serving")) < told.index(("request", None))
    assert ("model.unloaded", "smollm2") in told
    assert told[-2:] == [("gateway.stopped", "main"), ("checkpoint", None)]


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A state folder whose log is on a disk of 256 kB."""
    with small_disk(tmp_path / "state" / "audit", "256k") as folder:
        yield folder


def test_a_full_disk_refuses_where_it_is_to(tmp_path: Path, small: Path) -> None:
    """In both dialects, and it is over by itself; whoever was refused has a record of it."""
    text = configuration(extra="audit: {on_failure: refuse}")
    with RunningGateway(tmp_path, text) as gateway:
        assert gateway.ask()[0] == 200
        filler = fill(small)
        until(lambda: gateway.ask()[0] == 503)
        status, body, headers = gateway.ask()
        assert (status, headers["retry-after"]) == (503, "5")
        assert body["error"]["code"] == "audit_unavailable"
        assert body["error"]["message"].startswith("This gateway answers nothing that it cannot")
        client = anthropic.Anthropic(base_url=gateway.url, api_key="unused", max_retries=0)
        with pytest.raises(anthropic.APIStatusError) as refused:
            client.messages.create(
                model="gpt-4o", max_tokens=4, messages=[{"role": "user", "content": "Hello"}]
            )
        assert refused.value.status_code == 529
        status, ready = gateway.get("/readyz")
        assert (status, ready["status"]) == (200, "degraded")
        assert ready["audit"]["problem"] == "No space left on device"
        assert ready["audit"]["waiting"] > 0
        filler.unlink()
        until(lambda: gateway.ask()[0] == 200)
        assert gateway.get("/readyz")[1]["audit"]["problem"] is None
        until(lambda: gateway.records()[-1]["outcome"] == "served")
        outcomes = [line["outcome"] for line in gateway.records()]
        assert outcomes.count("audit_unavailable") >= 3
    assert verified(small)[-2]["event"] == "gateway.stopped"


def test_a_full_disk_costs_nothing_where_it_is_to_go_on(tmp_path: Path, small: Path) -> None:
    with RunningGateway(tmp_path, configuration()) as gateway:
        filler = fill(small)
        ids = []
        for _ in range(12):
            status, _, headers = gateway.ask()
            assert status == 200
            ids.append(headers["x-gateway-request-id"])
        until(lambda: gateway.get("/readyz")[1]["audit"]["waiting"] > 0)
        assert gateway.get("/readyz")[1]["status"] == "degraded"
        filler.unlink()
        until(lambda: gateway.get("/readyz")[1]["status"] == "ready")
        assert [line["id"] for line in gateway.records()] == ids
    verified(small)


def test_words_stand_in_no_file_but_sealed_where_that_is_wanted(tmp_path: Path) -> None:
    pem, public = generate()
    key = "0123456789abcdef" * 2
    (tmp_path / "hmac").write_text(key)
    text = configuration(
        extra=f"""
audit:
  prompt_hmac: {{key: file:hmac}}
  content: {{dir: sealed, recipient: "{public}"}}
"""
    )
    asked = {
        "model": "gpt-4o",
        "messages": [{"role": "user", "content": "The planted secret 5e1f. Say it."}],
        "max_tokens": 8,
        "stream": True,
    }
    with RunningGateway(tmp_path, text) as gateway:
        with gateway.sdk.chat.completions.create(**asked) as stream:  # type: ignore[call-overload]
            words = "".join(piece.choices[0].delta.content or "" for piece in stream)
        assert gateway.ask()[0] == 200
    first, second = gateway.records()
    assert first["prompt_hmac"] == prompt_hmac(key.encode(), json.dumps(asked).encode())
    assert first["prompt_hmac"] != second["prompt_hmac"]
    (file,) = (tmp_path / "sealed").glob(f"*/{first['id']}.sealed")
    found = unseal(private_key(pem), file.read_bytes())
    assert json.loads(found.request) == asked
    told = [json.loads(x[6:]) for x in found.answer.split(b"\n\n") if x.startswith(b"data: {")]
    assert "".join(x["choices"][0]["delta"].get("content") or "" for x in told) == words
    assert found.answer.endswith(b"data: [DONE]\n\n")
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert b"5e1f" not in path.read_bytes(), path


def test_a_key_that_is_none_is_said_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "no.pem").write_text("no key")
    gateway = RunningGateway(tmp_path, configuration(extra="audit: {signing_key: file:no.pem}"))
    done = gateway.run("serve", "--port", "0")
    assert done.returncode == 1
    assert "no key for the audit log: expected the PEM file of an Ed25519 key" in done.stderr


def test_default_deny_is_a_record_too(tmp_path: Path) -> None:
    with RunningGateway(tmp_path, configuration(), policy=CLOSED) as gateway:
        assert gateway.ask("only-cloud")[0] == 451
        line = gateway.last_record()
    assert (line["outcome"], line["status"]) == ("vendor_blocked", 451)
    assert [(x["target"], x["verdict"], x["rule"]) for x in line["targets"]] == [
        ("openai/gpt-4o", "deny", "default")
    ]
