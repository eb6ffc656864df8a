"""``gateway policy explain``, as an operator calls it: real files, the real command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.cli.main import root

MODELS = Path(__file__).resolve().parents[2] / "models"
CONFIG = """\
channels:
  anthropic: {{vendor: anthropic, kind: openai, base_url: "https://a.example", api_key: "${{K}}"}}
  bedrock: {{vendor: amazon, kind: openai, base_url: "https://b.example/v1", api_key: "${{K}}"}}
  vertex: {{vendor: google, kind: openai, base_url: "https://c.example/v1", api_key: "${{K}}"}}
  openrouter: {{vendor: openrouter, kind: openai, base_url: "https://d.example", api_key: "${{K}}"}}
  databricks: {{vendor: databricks, kind: openai, base_url: "https://e.example", api_key: "${{K}}"}}
  azure:
    vendor: microsoft
    kind: openai
    base_url: https://f.example
    api_key: "${{K}}"
    deployments: {{prod: {{developer: anthropic, model: claude-sonnet-4-5}}}}
models:
  claude-sonnet-4-5:
    targets:
      - anthropic/claude-sonnet-4-5-20250929
      - bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0
      - vertex/claude-sonnet-4-5@20250929
      - openrouter/anthropic/claude-sonnet-4.5
      - databricks/databricks-claude-sonnet-4-5
      - azure/prod
      - local/smollm2
local:
  manifests: {models}
  models: {{smollm2: {{manifest: smollm2-135m-instruct}}}}
"""
DENIED = """\
version: 1
default: allow
vendors:
  anthropic: deny
"""


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a configuration and a policy that denies one vendor; all keys are set."""
    monkeypatch.setenv("K", "planted")
    (tmp_path / "policies").mkdir()
    (tmp_path / "gateway.yaml").write_text(CONFIG.format(models=MODELS))
    (tmp_path / "policies" / "10.yaml").write_text(DENIED)
    return tmp_path


def asked(house: Path, *arguments: str) -> Result:
    config = str(house / "gateway.yaml")
    return CliRunner().invoke(root, ["policy", "explain", "--config", config, *arguments])


def explained(house: Path, *arguments: str) -> Any:
    result = asked(house, "--format", "json", *arguments)
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def test_one_line_bans_claude_through_every_channel(house: Path) -> None:
    """Six channels, one model, one reason; what is left is our own machine."""
    answer = explained(house, "--model", "claude-sonnet-4-5")
    *cloud, local = answer["targets"]
    assert [target["channel"] for target in cloud] == [
        "anthropic",
        "amazon",
        "google",
        "openrouter",
        "databricks",
        "microsoft",
    ]
    for target in cloud:
        assert (target["developer"], target["model"]) == ("anthropic", "claude-sonnet-4-5")
        assert (target["verdict"], target["rule"], target["matched"]) == (
            "deny",
            "anthropic",
            ["anthropic"],
        )
        assert target["left_out"] == "policy"
    assert (local["verdict"], local["rule"], local["reason"]) == ("allow", "default", "our own")
    assert (answer["plan"], answer["outcome"]) == (["local/smollm2"], "local")


def test_the_object_is_the_specification_s(house: Path) -> None:
    """Every key of the specification is there, with the request as it was asked."""
    answer = explained(
        house,
        *("--model", "bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        *("--team", "red", "--data-class", "cui", "--tag", "b", "--tag", "a"),
        *("--at", "2026-03-05"),
    )
    assert answer["at"] == "2026-03-05T00:00:00+00:00"
    assert set(answer["policy"]) == {"revision", "mode"}
    assert answer["request"] == {
        "model": "bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "team": "red",
        "app": None,
        "environment": None,
        "data_class": "cui",
        "tags": ["a", "b"],
        "said": {},
    }
    (target,) = answer["targets"]
    named = "target channel developer model lineage locality jurisdiction verdict handling rule"
    assert {*named.split(), "reason", "waiver", "matched"} <= set(target)
    assert (answer["plan"], answer["outcome"]) == ([], "denied")


def test_what_a_request_says_of_itself_is_explained(house: Path) -> None:
    """It makes the decision stricter, and never milder; what it says is told apart."""
    (house / "policies" / "20.yaml").write_text(
        """\
version: 1
rules:
  - {id: cui, match: {vendor: [amazon]}, when: {data_class: [cui]}, verdict: deny}
  - {id: red, match: {vendor: [google]}, when: {team: [red]}, verdict: deny}
"""
    )
    nova, gemini = "bedrock/amazon.nova-pro-v1:0", "vertex/gemini-2.5-pro"
    assert explained(house, "--model", nova)["outcome"] == "cloud"
    answer = explained(house, "--model", nova, "--says", "data-class=cui", "--says", "tags=a,b")
    assert (answer["outcome"], answer["targets"][0]["rule"]) == ("denied", "cui")
    assert answer["request"]["said"] == {"data_class": "cui", "tags": ["a", "b"]}
    assert answer["request"]["data_class"] is None
    away = ("--team", "red", "--says", "team=blue")
    assert explained(house, "--model", gemini, *away)["outcome"] == "denied"
    text = asked(house, "--model", gemini, *away).output
    assert f"{gemini} for team red, saying team blue at " in text
    for wrong in ("data_class", "colour=red", "team="):
        assert asked(house, "--model", gemini, "--says", wrong).exit_code == 2


def test_the_text_says_where_each_rule_is_written(house: Path) -> None:
    """Deciding rule, what else matched, shadows, the waiver and the share of a drain."""
    (house / "policies" / "20.yaml").write_text(
        """\
version: 1
rules:
  - {id: leave-amazon, match: {vendor: [amazon]}, verdict: risky, handling: drain,
     drain: {from: 2026-03-01, until: 2026-03-11}, reason: a wind-down}
  - {id: watch, match: {locality: [cloud]}, verdict: deny, mode: shadow}
  - {id: no-google, match: {vendor: [google]}, verdict: deny, waivable: true,
     reference: "https://example.org/7"}
waivers:
  - {id: W-7, rule: no-google, vendor: google, owner: o, approver: a, reason: r,
     granted: 2026-03-01, expires: 2026-03-04}
"""
    )
    at = ("--at", "2026-03-03T12:00:00Z")
    text = asked(house, "--model", "bedrock/amazon.nova-pro-v1:0", *at).output
    file = house / "policies" / "20.yaml"
    assert f"risky, drain by rule leave-amazon ({file}:3): a wind-down" in text
    assert "drained: 75% of requests are still sent here" in text
    assert f"in shadow: deny by rule watch ({file}:5)" in text
    text = asked(house, "--model", "vertex/gemini-2.5-pro", *at).output
    assert f"allow by rule no-google ({file}:6): waiver W-7" in text
    assert "lifted by waiver W-7" in text
    text = asked(house, "--model", "vertex/gemini-2.5-pro", "--at", "2026-03-04").output
    assert "see https://example.org/7" in text
    assert "plan: nothing (denied)" in text


def test_a_ban_is_not_hidden_behind_a_channel_that_nobody_allowed(house: Path) -> None:
    """The first rule by id is reported, and the reason names the ban all the same."""
    (house / "policies" / "10.yaml").write_text(
        'version: 1\nrules: [{id: no-xai, match: {vendor: [xai]}, verdict: deny, reason: "why"}]\n'
    )
    (target,) = explained(house, "--model", "openrouter/x-ai/grok-4")["targets"]
    assert (target["rule"], target["matched"]) == ("default", ["no-xai"])
    assert target["reason"] == "no rule names openrouter; xai is denied by rule no-xai (why)"


def test_colours_are_for_terminals_only(house: Path) -> None:
    """No escape sequence goes into a pipe."""
    assert "\x1b" not in asked(house, "--model", "claude-sonnet-4-5").output


def test_a_model_that_is_not_configured_is_said_so(house: Path) -> None:
    result = asked(house, "--model", "gpt-9")
    assert result.exception is not None
    assert "'gpt-9' is not configured" in str(result.exception)


def test_any_api_can_be_asked_about(house: Path) -> None:
    """Who has not got it is left out, and says what is lacking; a word that is none is refused."""
    config = house / "gateway.yaml"
    reranks = '"https://c.example/v1", apis: [rerank], api_key'
    config.write_text(config.read_text().replace('"https://c.example/v1", api_key', reranks))
    (house / "policies" / "10.yaml").write_text("version: 1\ndefault: allow\n")
    plain = explained(house, "--model", "claude-sonnet-4-5", "--api", "chat/completions")
    assert len(plain["plan"]) == 7
    answer = explained(house, "--model", "claude-sonnet-4-5", "--api", "rerank")
    assert answer["plan"] == ["vertex/claude-sonnet-4-5@20250929"]
    left_out = {target["left_out"] for target in answer["targets"] if target["channel"] != "google"}
    assert left_out == {"capability"}
    wrong = asked(house, "--model", "claude-sonnet-4-5", "--api", "rank")
    assert wrong.exit_code == 2
    assert "rerank" in wrong.output
    both = asked(house, "--model", "claude-sonnet-4-5", "--api", "rerank", "--live")
    assert both.exit_code == 2
    assert "without --api" in both.output
