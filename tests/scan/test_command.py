"""``gateway scan``, as a person and a CI call it, on real files."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner, Result

from gateway.cli.main import root
from tests.scan.corpus import findings

SCHEMAS = Path(__file__).parent / "schemas"
POLICY = """\
version: 1
default: deny
vendors: {openai: allow, anthropic: deny, amazon: allow, google: risky}
"""
APP = """\
import boto3
from openai import OpenAI
client = OpenAI()
runtime = boto3.client("bedrock-runtime")
runtime.converse(modelId="us.anthropic.claude-sonnet-4-5-20250929-v1:0")
"""
LATER = (datetime.now(UTC) + timedelta(days=90)).date().isoformat()


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A policy, and a program that asks OpenAI directly and Anthropic through Amazon."""
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "10.yaml").write_text(POLICY)
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "app.py").write_text(APP)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words: str) -> Result:
    return CliRunner().invoke(root, ["scan", *words, "--jobs", "1"])


def told(*words: str) -> dict[str, Any]:
    result = run("src", "--format", "json", *words)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def said(report: dict[str, Any]) -> dict[str, tuple[str, str | None]]:
    return {
        f"{one['signal']} {one['value']}": (one["said"], one["rule"]) for one in report["findings"]
    }


def test_without_a_policy_it_says_only_who_it_is(tree: Path) -> None:
    report = told()

    assert {one["said"] for one in report["findings"]} == {None}
    model = next(one for one in report["findings"] if one["signal"] == "model")
    assert (model["channel"], model["developer"], model["model"], model["reach"]) == (
        "amazon",
        "anthropic",
        "claude-sonnet-4-5",
        "channel",
    )
    assert (model["path"], model["line"]) == ("src/app.py", 5)


def test_the_policy_judges_every_party_and_clears_nobody_who_is_not_known(tree: Path) -> None:
    assert said(told("--policy", "policies")) == {
        "package openai": ("allow", "openai"),
        "client OpenAI": ("allow", "openai"),
        "client client": ("undetermined", None),
        "model us.anthropic.claude-sonnet-4-5-20250929-v1:0": ("deny", "anthropic"),
    }


def test_a_rule_that_allows_the_unknown_by_name_is_obeyed(tree: Path) -> None:
    (tree / "policies" / "20.yaml").write_text("version: 1\nvendors: {unknown: allow}\n")

    assert said(told("--policy", "policies"))["client client"] == ("allow", "amazon")


def test_a_denied_channel_is_denied_whoever_made_the_model(tree: Path) -> None:
    (tree / "policies" / "10.yaml").write_text(POLICY.replace("amazon: allow", "amazon: deny"))

    assert said(told("--policy", "policies"))["client client"] == ("deny", "amazon")


@pytest.mark.parametrize(
    ("threshold", "text", "code"),
    [
        ("deny", "import openai\n", 0),
        ("deny", "import litellm\n", 0),
        ("deny", "import anthropic\n", 1),
        ("undetermined", "import litellm\n", 1),
        ("undetermined", "import google.genai\n", 0),
        ("risky", "import google.genai\n", 1),
        ("risky", "import litellm\n", 1),
        ("risky", "import openai\n", 0),
    ],
)
def test_exit_codes(tree: Path, threshold: str, text: str, code: int) -> None:
    (tree / "src" / "app.py").write_text(text)

    assert run("src", "--policy", "policies", "--fail-on", threshold).exit_code == code


def test_fail_on_needs_something_to_judge_by(tree: Path) -> None:
    result = run("src", "--fail-on", "deny")

    assert result.exit_code == 2
    assert "--fail-on needs --policy" in result.output


def test_what_a_ban_would_reach_and_what_it_may(tree: Path) -> None:
    report = told("--vendor", "anthropic")

    assert said(report) == {
        "client client": ("undetermined", None),
        "model us.anthropic.claude-sonnet-4-5-20250929-v1:0": ("deny", "ban"),
    }
    assert run("src", "--vendor", "anthropic", "--fail-on", "deny").exit_code == 1
    assert run("src", "--vendor", "cohere", "--fail-on", "deny").exit_code == 0
    assert run("src", "--vendor", "cohere", "--fail-on", "undetermined").exit_code == 1


def test_an_unknown_vendor_is_an_error(tree: Path) -> None:
    result = run("src", "--vendor", "antropic")

    assert result.exit_code == 1
    assert "did you mean 'anthropic'" in str(result.exception)


def test_a_baseline_covers_what_was_there_and_not_what_is_new_or_worse(tree: Path) -> None:
    allowed = POLICY.replace("anthropic: deny", "anthropic: allow")
    (tree / "policies" / "10.yaml").write_text(allowed)
    assert run("src", "--policy", "policies", "--write-baseline", "base.json").exit_code == 0
    (tree / "src" / "app.py").write_text("# moved down\n" + APP + "import cohere\n")

    report = told("--policy", "policies", "--baseline", "base.json")
    assert [one["value"] for one in report["findings"]] == ["cohere"]
    assert report["baseline"] == {"known": 4, "gone": 0}

    (tree / "policies" / "10.yaml").write_text(POLICY)
    report = told("--policy", "policies", "--baseline", "base.json")
    assert sorted(one["value"] for one in report["findings"]) == [
        "cohere",
        "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    ]


def test_a_baseline_that_is_none_is_an_error(tree: Path) -> None:
    (tree / "base.json").write_text("{}")

    assert "the baseline cannot be read" in str(run("src", "--baseline", "base.json").exception)


@pytest.mark.parametrize("before", [True, False])
def test_a_suppression_with_a_date_and_a_reason_holds(tree: Path, before: bool) -> None:
    mark = f"# gateway-scan: ignore[anthropic] until {LATER} reason moved off by then"
    text = f"{mark}\nimport anthropic\n" if before else f"import anthropic  {mark}\n"
    (tree / "src" / "app.py").write_text(text)

    report = told("--policy", "policies", "--fail-on", "risky")

    assert report["findings"] == []
    assert [(one["value"], one["until"], one["reason"]) for one in report["suppressed"]] == [
        ("anthropic", LATER, "moved off by then")
    ]
    assert run("src", "--policy", "policies", "--fail-on", "risky").exit_code == 0


@pytest.mark.parametrize(
    ("mark", "why"),
    [
        ("ignore[anthropic] until 2020-01-01 reason old", "it expired on 2020-01-01"),
        (f"ignore[anthropic] until {LATER}", "it gives no reason"),
        ("ignore[anthropic] reason because", "it has no date of its end, like until 2027-01-01"),
        (
            f"ignore[anthropc] until {LATER} reason x",
            "it names a vendor that is not in the catalog",
        ),
        (f"ignore until {LATER} reason x", "it names no vendor"),
    ],
)
def test_a_suppression_that_does_not_hold_is_a_finding_itself(
    tree: Path, mark: str, why: str
) -> None:
    (tree / "src" / "app.py").write_text(f"import anthropic  # gateway-scan: {mark}\n")

    report = told("--policy", "policies")

    assert [(one["signal"], one["said"], one["reason"]) for one in report["findings"]] == [
        ("package", "deny", "anthropic: "),
        ("suppression", "deny", why),
    ]


def test_a_suppression_is_of_its_vendor_and_place_only(tree: Path) -> None:
    mark = f"# gateway-scan: ignore[openai] until {LATER} reason x\n"
    (tree / "src" / "app.py").write_text(mark + "import anthropic\nimport openai\n")

    assert [one["value"] for one in told()["findings"]] == ["anthropic", "openai"]


def test_gitignore_by_option(tree: Path) -> None:
    (tree / "src" / ".gitignore").write_text("*.gen.py\n!keep.gen.py\n/build/\ndata/**/x.py\n")
    for name in ("a.gen.py", "keep.gen.py", "build/b.py", "lib/build/c.py", "data/1/2/x.py"):
        path = tree / "src" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("import cohere\n")

    def seen(*words: str) -> set[str]:
        return {one["path"] for one in told(*words)["findings"] if one["value"] == "cohere"}

    assert len(seen()) == 5
    assert seen("--gitignore") == {"src/keep.gen.py", "src/lib/build/c.py"}
    skipped = {one["path"]: one["reason"] for one in told("--gitignore")["skipped"]}
    assert skipped["src/a.gen.py"] == "ignored by .gitignore"


def schema(name: str) -> Any:
    return json.loads((SCHEMAS / f"{name}.json").read_text())


def test_sarif_is_valid(tree: Path) -> None:
    mark = f"# gateway-scan: ignore[cohere] until {LATER} reason x"
    (tree / "src" / "b b.py").write_text(f"import cohere  {mark}\nimport groq\n")
    (tree / "src" / "bad.json").write_text('{"openai')
    result = run("src", "--policy", "policies", "--format", "sarif")

    document = json.loads(result.stdout)
    checker = jsonschema.Draft7Validator.FORMAT_CHECKER
    jsonschema.Draft7Validator(schema("sarif"), format_checker=checker).validate(document)
    results = document["runs"][0]["results"]
    levels = {one["message"]["text"].split(":")[0]: one["level"] for one in results}
    assert levels["package openai"] == "note"
    assert levels["client client"] == "warning"
    assert levels["model us.anthropic.claude-sonnet-4-5-20250929-v1"] == "error"
    uris = [one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for one in results]
    assert "src/b%20b.py" in uris
    assert [one for one in results if "suppressions" in one]
    (notification,) = document["runs"][0]["invocations"][0]["toolExecutionNotifications"]
    assert notification["message"]["text"].startswith("could not be read: it is not JSON")
    rules = document["runs"][0]["tool"]["driver"]["rules"]
    assert all(rules[one["ruleIndex"]]["id"] == one["ruleId"] for one in results)


def test_cyclonedx_comes_back_in(tree: Path) -> None:
    (tree / "src" / "h.py").write_text('URL = "https://api.mistral.ai/v1"\n')
    document = json.loads(run("src", "--format", "cyclonedx").stdout)

    models = [one for one in document["components"] if one["type"] == "machine-learning-model"]
    assert [(one["name"], one["supplier"]["name"]) for one in models] == [
        ("claude-sonnet-4-5", "Anthropic")
    ]
    assert models[0]["evidence"]["occurrences"] == [{"location": "src/app.py", "line": 5}]
    refs = [one["bom-ref"] for one in [*document["components"], *document["services"]]]
    assert sorted(refs) == sorted(document["dependencies"][0]["dependsOn"])
    again = findings("bom.json", json.dumps(document))
    assert {(one.signal, one.value) for one in again} == {
        ("package", "openai"),
        ("model", "claude-sonnet-4-5"),
        ("host", "api.mistral.ai"),
    }


def test_spdx_comes_back_in(tree: Path) -> None:
    document = json.loads(run("src", "--format", "spdx").stdout)

    assert {one["name"] for one in document["packages"]} == {
        "src",
        "openai",
        "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    }
    assert len({one["SPDXID"] for one in document["packages"]}) == len(document["packages"])
    assert [one.value for one in findings("a.spdx.json", json.dumps(document))] == ["openai"]


def test_markdown_and_text_tell_the_summary_first(tree: Path) -> None:
    (tree / "src" / "\x1b[31mred`|.py").write_text("import groq\n")
    text = run("src", "--policy", "policies").output
    page = run("src", "--policy", "policies", "--format", "markdown").output

    assert text.splitlines()[0] == "5 findings in 2 files"
    assert "amazon (anthropic)" in text
    assert "not determined, and not cleared: the account says which developer's model" in text
    assert "\x1b[31m" not in text + page
    assert "- `src/\ufffd[31mred'|.py:1`" in page
    assert "| amazon (anthropic) | 1 | 1 | 1 channel | deny (anthropic) |" in page


def test_a_finding_is_the_same_on_another_line(tree: Path) -> None:
    first, second = (findings("a.py", "\n" * n + "import openai\n")[0] for n in (0, 5))

    assert first.fingerprint == second.fingerprint
    assert first.line != second.line
