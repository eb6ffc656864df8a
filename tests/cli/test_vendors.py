"""``gateway vendors``, as an operator calls it: real files, the real commands."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.cli.main import root

ROOT = Path(__file__).resolve().parents[2]
LISTS = ROOT / "tests" / "designations" / "lists"
CONFIG = """\
channels:
  cloud: {{vendor: mistral, kind: openai, base_url: "https://a.example", api_key: "${{K}}"}}
  azure:
    vendor: microsoft
    kind: openai
    base_url: https://f.example
    api_key: "${{K}}"
    deployments: {{prod: {{developer: openai, model: gpt-4o}}}}
models:
  any: {{targets: [cloud/mistral-large-latest, local/smollm2]}}
local:
  manifests: {models}
  models: {{smollm2: {{manifest: smollm2-135m-instruct}}}}
state: {{dir: state}}
"""
FACTS = """\
version: 1
designations:
  - id: example-1
    vendor: mistral
    authority: Example Ministry
    statute: 1 Example Code 2
    scope: [federal, defense]
    status: stayed
    announced: 2026-02-27
    effective: 2026-03-05
    phase_out_until: 2026-09-01
    source_url: https://example.org/1
    retrieved: 2026-04-02
    note: not verified
    history:
      - {on: 2026-02-27, status: announced, source_url: https://example.org/1}
      - {on: 2026-03-05, status: in_force, source_url: https://example.org/2, note: a letter}
      - {on: 2026-04-01, status: stayed, source_url: https://example.org/3}
  - id: example-2
    vendor: cohere
    authority: Example Ministry
    scope: [federal]
    status: in_force
    effective: 2026-03-05
    source_url: https://example.org/1
    retrieved: 2026-04-02
"""


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A folder with a configuration, a policy and two designations."""
    (tmp_path / "gateway.yaml").write_text(CONFIG.format(models=ROOT / "models"))
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "10.yaml").write_text("version: 1\nvendors: {mistral: allow}\n")
    (tmp_path / "designations").mkdir()
    (tmp_path / "designations" / "facts.yaml").write_text(FACTS)
    return tmp_path


def asked(house: Path, *arguments: str) -> Result:
    config = ("--config", str(house / "gateway.yaml"))
    return CliRunner().invoke(root, ["vendors", *arguments, *config])


def answer(house: Path, *arguments: str) -> Any:
    result = asked(house, *arguments, "--format", "json")
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def test_resolve_prints_what_the_specification_gives(house: Path) -> None:
    """The keys in their order, lists as lists, and ``unknown`` where nothing is known."""
    ids = ("bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0", "openrouter/auto", "azure/prod")
    claude, router, deployment = answer(house, "resolve", *ids)
    assert list(claude) == [
        "id",
        "channel",
        "developer",
        "model",
        "lineage",
        "locality",
        "source",
    ]
    assert (claude["id"], claude["channel"], claude["developer"]) == (ids[0], "amazon", "anthropic")
    assert (claude["model"], claude["lineage"]) == ("claude-sonnet-4-5", [])
    assert claude["locality"] == "cloud"
    assert "family claude" in claude["source"]
    assert (router["channel"], router["developer"]) == ("openrouter", "unknown")
    assert (deployment["developer"], deployment["model"]) == ("openai", "gpt-4o")
    assert deployment["source"] == "deployment prod of channel azure"


def test_resolve_takes_a_channel_of_the_configuration(house: Path) -> None:
    """The id is then the model's alone, slashes and all."""
    (found,) = answer(house, "resolve", "--channel", "cloud", "mistral-large-latest")
    assert (found["id"], found["channel"]) == ("mistral-large-latest", "mistral")
    assert found["developer"] == "mistral"
    (local,) = answer(house, "resolve", "local/smollm2")
    assert (local["channel"], local["locality"]) == ("self", "local")
    assert local["source"] == "models/smollm2-135m-instruct.yaml"


def test_resolve_in_words(house: Path) -> None:
    """Who, what, where, and which row says so."""
    text = asked(house, "resolve", "deepseek/DeepSeek-R1-Distill-Llama-70B").output
    assert "channel deepseek, developer deepseek" in text
    assert "lineage meta" in text
    assert "by catalog " in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("resolve",), "Missing argument 'ID...'"),
        (("resolve", "--channel", "clod", "x"), "did you mean 'cloud'?"),
        (("show", "mistral", "--at", "yesterday"), "is not a date like 2026-03-05"),
        (("import", "--format", "xlsx", "x"), "'xlsx' is not one of"),
        (("import", "--format", "generic", "none.csv"), "'none.csv' does not exist"),
        (
            ("import", "--format", "generic", str(LISTS / "generic.csv"), "--published", "May"),
            "'May' is not a date like 2026-03-05",
        ),
    ],
)
def test_a_wrong_question_is_usage(house: Path, arguments: tuple[str, ...], message: str) -> None:
    """Exit code 2, and what was expected."""
    result = asked(house, *arguments)
    assert result.exit_code == 2
    assert message in result.output


def test_list_has_every_vendor_of_the_catalog(house: Path) -> None:
    """Sorted by id, each with its row."""
    rows = answer(house, "list")
    ids = [row["id"] for row in rows]
    assert len(ids) >= 40
    assert ids == sorted(ids)
    mistral = next(row for row in rows if row["id"] == "mistral")
    assert (mistral["home"], mistral["channels"]) == ("FR", ["cloud"])
    text = asked(house, "list").output
    assert "mistral       FR  Mistral AI (" in text
    assert f"{len(rows)} vendors, catalog " in text


@pytest.mark.parametrize(
    ("at", "status"),
    [
        ("2026-02-26", None),
        ("2026-02-27", "announced"),
        ("2026-03-05T00:00:00Z", "in_force"),
        ("2026-04-01", "stayed"),
    ],
)
def test_show_tells_statuses_as_of_an_instant(house: Path, at: str, status: str | None) -> None:
    """The facts of this vendor alone, each with its history and where it can be read."""
    shown = answer(house, "show", "mistral", "--at", at)
    (fact,) = shown["designations"]
    assert (fact["id"], fact["status"]) == ("example-1", status)
    assert fact["scope"] == ["defense", "federal"]
    assert [change["source_url"][-1] for change in fact["history"]] == ["1", "2", "3"]
    assert fact["source"] == f"{house / 'designations' / 'facts.yaml'}:3"
    assert (fact["phase_out_until"], fact["note"]) == ("2026-09-01", "not verified")


def test_show_has_the_row_its_names_and_its_sources(house: Path) -> None:
    """By an alias too."""
    shown = answer(house, "show", "mistralai")
    assert (shown["id"], shown["jurisdiction"]) == ("mistral", ["FR"])
    assert shown["source"].startswith("https://")
    shown = answer(house, "show", "zai")
    assert shown["designations"] == []
    (identity,) = shown["identities"]
    assert identity["legal_names"] == ["Beijing Zhipu Huazhang Technology Co., Ltd."]
    assert identity["checked"] is True
    assert identity["source"].startswith("https://")


def test_show_in_words(house: Path) -> None:
    """What a person asks for at night: since when, by whom, and where it says so."""
    text = asked(house, "show", "mistral", "--at", "2026-03-10").output
    assert "example-1: in_force on 2026-03-10T00:00:00+00:00" in text
    assert "Example Ministry, 1 Example Code 2" in text
    assert "2026-03-05T00:00:00+00:00 in_force: a letter (https://example.org/2)" in text
    assert f"written in {house / 'designations' / 'facts.yaml'}:3" in text
    assert (
        "example-1: not yet on 2026-01-01"
        in asked(house, "show", "mistral", "--at", "2026-01-01").output
    )
    assert f"no designations in {house / 'designations'}" in asked(house, "show", "groq").output


def test_colours_are_for_terminals_only(house: Path) -> None:
    """A status in colour would be noise in a file."""
    arguments = ["vendors", "show", "cohere", "--config", str(house / "gateway.yaml")]
    assert "\x1b[" not in CliRunner().invoke(root, arguments).output
    assert "\x1b[31m\x1b[1min_force" in CliRunner().invoke(root, arguments, color=True).output


def test_an_unknown_vendor_names_the_nearest(house: Path) -> None:
    """Exit code 1 and no traceback, from the real command."""
    command = [str(Path(sys.executable).with_name("gateway")), "vendors", "show", "mistrl"]
    done = subprocess.run(
        [*command, "--config", str(house / "gateway.yaml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == "error: unknown vendor 'mistrl': did you mean 'mistral'?\n"


def test_facts_that_do_not_load_are_told_with_their_place(house: Path) -> None:
    """``show`` does not answer from half of them."""
    file = house / "designations" / "facts.yaml"
    file.write_text(FACTS.replace("status: stayed\n", "status: stayd\n"))
    result = asked(house, "show", "groq")
    assert result.exit_code == 1
    assert f"{file}:8:13: expected 'announced'" in str(result.exception)


def test_import_prints_both_paths_and_its_warnings_apart(house: Path) -> None:
    """What was written to standard output, what to mind to standard error."""
    file = str(LISTS / "generic.csv")
    result = asked(house, "import", "--format", "generic", file, "--published", "2020-01-01")
    assert result.exit_code == 0
    proposed = house / "designations" / "proposed" / "generic-2020-01-01"
    assert result.stdout.splitlines()[0].startswith("generic of 2020-01-01: 1 rows read, 3 malf")
    assert result.stdout.splitlines()[1:] == [
        f"0 proposed: {proposed}.yaml",
        f"0 in doubt: {proposed}.review.txt",
    ]
    assert "warning: the list is of 2020-01-01," in result.stderr
    assert "warning: 3 rows could not be read (lines 3, 4, 5)" in result.stderr


def test_an_import_that_is_refused_says_why(house: Path) -> None:
    """Exit code 1; the state of the last import is in the state folder."""
    long = house / "long.csv"
    head = "id,name,authority,scope,source_url\n"
    row = "D-1,Example,Ministry,federal,https://example.org/1\n"
    long.write_text(head + row * 9)
    assert asked(house, "import", "--format", "generic", str(long)).exit_code == 0
    assert (house / "state" / "imports" / "generic.json").exists()
    long.write_text(head + row * 4)
    result = asked(house, "import", "--format", "generic", str(long))
    assert result.exit_code == 1
    assert "has 4 rows, the last generic of" in str(result.exception)
    accepted = asked(house, "import", "--format", "generic", str(long), "--accept-shrunk")
    assert accepted.exit_code == 0
