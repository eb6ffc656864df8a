"""``gateway policy simulate`` on the log of a real gateway, with a real model to measure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.running import RunningGateway, configuration
from tests.simulators.vendor import VendorSimulator

BAN = "version: 1\nvendors: {openai: deny}\n"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> RunningGateway:
    """One that has served three requests from its vendor and refused one model, and has ended."""
    folder = tmp_path_factory.mktemp("gateway")
    with VendorSimulator() as vendor:
        running = RunningGateway(folder, configuration(vendor.url))
        with running:
            for model in ("gpt-4o", "gpt-4o", "only-cloud"):
                assert running.ask(model)[0] == 200
    (folder / "ban").mkdir()
    (folder / "ban" / "10.yaml").write_text(BAN)
    return running


def simulate(gateway: RunningGateway, policy: Path, *more: str) -> tuple[int, Any, str]:
    """Exit code, the JSON and standard error."""
    audit = gateway.folder / "state" / "audit"
    words = ("policy", "simulate", str(policy), "--audit", str(audit), "--format", "json", *more)
    done = gateway.run(*words, policy=False)
    return done.returncode, json.loads(done.stdout or "null"), done.stderr


def test_the_policy_in_force_moves_nothing(gateway: RunningGateway) -> None:
    """Every record is decided again as it was."""
    code, answer, error = simulate(gateway, gateway.policies)
    assert code == 0, error
    assert (answer["requests"], answer["moved"]["requests"]) == (3, 0)
    assert (answer["recomputed"], answer["differing"], answer["local"]) == (3, [], [])


def test_a_ban_is_foreseen_and_its_capacity_is_said_not_to_be_measured(
    gateway: RunningGateway,
) -> None:
    """Two of three go to local, one would be denied; nothing is assumed of the machine."""
    code, answer, error = simulate(gateway, gateway.folder / "ban")
    assert code == 0, error
    assert answer["moved"]["requests"] == 3
    assert (answer["denied"]["requests"], answer["denied"]["share"]) == (1, 0.3333)
    (local,) = answer["local"]
    assert (local["target"], local["measured"], local["holds"]) == ("local/smollm2", None, None)
    assert local["busiest"] == {"prompt": 14, "completion": 8}


def test_a_log_with_a_line_that_is_cut_off_is_read_as_far_as_it_goes(
    gateway: RunningGateway, tmp_path: Path
) -> None:
    """And each line that is none of a log is named; events and checkpoints are no requests."""
    (file,) = (gateway.folder / "state" / "audit").glob("*.jsonl")
    log = tmp_path / "audit.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    one, other, *_ = (line for line in lines if b'"kind":"request"' in line)
    log.write_bytes(b"nonsense\n" + lines[0] + one + other[:40])
    words = ("policy", "simulate", str(gateway.policies), "--audit", str(log), "--format", "json")
    done = gateway.run(*words, policy=False)
    answer = json.loads(done.stdout)
    assert (done.returncode, answer["requests"]) == (0, 1)
    assert [(bad["line"], bad["cut"]) for bad in answer["bad_lines"]] == [(1, False), (4, True)]


def test_capacity_is_measured_with_the_real_model_and_kept(gateway: RunningGateway) -> None:
    """It holds for two small answers a minute; a busier log would not be."""
    ban = gateway.folder / "ban"
    code, answer, error = simulate(gateway, ban, "--measure")
    assert code == 0, error
    (local,) = answer["local"]
    assert local["holds"] is True
    assert local["measured"]["prompt"] > local["measured"]["completion"] > 0
    kept = simulate(gateway, ban)[1]["local"][0]["measured"]
    assert kept == local["measured"]
    path = gateway.folder / "state" / "capacity.json"
    slow = json.loads(path.read_text())
    slow["smollm2"]["answer_rate"] = 0.01
    path.write_text(json.dumps(slow))
    code, answer, _ = simulate(gateway, ban)
    assert (code, answer["local"][0]["holds"]) == (1, False)
    text = gateway.run(
        *("policy", "simulate", str(ban), "--audit", str(gateway.folder / "state" / "audit")),
        policy=False,
    ).stdout
    assert "DOES NOT HOLD" in text
    assert "openai/gpt-4o → local/smollm2" in text
