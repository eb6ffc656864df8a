"""``gateway doctor``, as an operator calls it, on real files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli.main import root
from gateway.readiness.doctor.checks import CHECKS
from gateway.readiness.templates import PROBES
from tests.doctor.checkout import MACHINE, Checkout, skipped
from tests.local.gguf_files import small_model

ROOT = Path(__file__).resolve().parents[2]
TURNS = {"a conversation", "the result of a function"}


def test_a_good_configuration_has_warnings_only(checkout: Checkout) -> None:
    """What is missing in each chain, what a key and a wire are like; nothing of what is well."""
    rows = checkout.found(0)
    levels = {key: row["level"] for key, row in rows.items()}
    assert levels == {
        ("chains", "cloudy"): "warning",
        ("gaps", "gpt-4o"): "warning",
        ("credentials", "channel openai"): "info",
        ("encryption", "channel lab"): "info",
        ("hashes", "local.models"): "info",
        ("hashes", "lab/qwen3-32b"): "info",
        ("egress", "egress"): "info",
        ("operators", "operators"): "info",
    }
    assert "local/tiny lacks" in rows["gaps", "gpt-4o"]["message"]
    assert "images" in rows["gaps", "gpt-4o"]["message"]
    assert "lab/qwen3-32b" in rows["chains", "cloudy"]["message"]


def test_offline_says_what_is_shut_and_whom_nobody_serves(checkout: Checkout) -> None:
    """A model of cloud targets alone is wrong then; one with a server of our own is not."""
    models = "models:\n  far: {targets: [openai/gpt-4o, openai/o3]}\n"
    checkout.configured(("models:\n", models), more="offline: true\n")
    rows = checkout.found(1)
    shut = {subject: row for (check, subject), row in rows.items() if check == "offline"}
    assert {subject: row["level"] for subject, row in shut.items()} == {
        "offline": "info",
        "far": "error",
    }
    assert shut["offline"]["message"].endswith("not dialled: openai")


def test_it_prints_each_with_what_to_do(checkout: Checkout) -> None:
    """And the numbers at the end."""
    output = checkout.run(*skipped(MACHINE)).output
    assert "warning cloudy: it has no local target" in output
    assert "        put a local target at the end of models.cloudy.targets\n" in output
    assert output.endswith("0 errors, 2 warnings\n")


def test_the_shipped_configuration_has_nothing_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the real model, its real template, and no key."""
    monkeypatch.setenv("GATEWAY_STATE__DIR", str(tmp_path))
    monkeypatch.setenv("GATEWAY_SERVER__PORT", "0")
    result = CliRunner().invoke(
        root, ["doctor", "--config", str(ROOT / "configs" / "gateway.yaml"), "--format", "json"]
    )
    assert result.exit_code == 0, result.output
    told = json.loads(result.output)
    said = {row["check"] for row in told["findings"]} - {*MACHINE}
    assert said == {"gaps", "credentials", "hashes", "operators"}


def test_an_altered_file_is_wrong(checkout: Checkout) -> None:
    """One byte is enough."""
    path = checkout.folder / "models" / "tiny.gguf"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    row = checkout.found(1)["files", "local/tiny"]
    assert "expected sha256" in row["message"]


def test_a_broken_header_is_wrong(checkout: Checkout) -> None:
    """Though it is the file that the manifest pins."""
    checkout.model(small_model()[:200])
    assert "truncated" in checkout.found(1)["files", "local/tiny"]["message"]


def test_a_file_that_names_another_maker_is_wrong(checkout: Checkout) -> None:
    """As `gateway serve` would say at its start."""
    checkout.model(small_model(name="Llama-3.2-1B"))
    assert "meta" in checkout.found(1)["files", "local/tiny"]["message"]


def test_every_missing_file_is_named(checkout: Checkout) -> None:
    """Not only the first."""
    checkout.configured(("{tiny: {", "{other: {manifest: other}, tiny: {"))
    (checkout.folder / "models" / "tiny.gguf").unlink()
    rows = checkout.found(1)
    assert set(rows) == {("files", "local/tiny"), ("files", "local/other")}
    assert "there is no manifest" in rows["files", "local/other"]["message"]


def test_what_this_user_may_not_look_at_is_said(checkout: Checkout) -> None:
    """Of what the system says no to, here for its name, whoever asks."""
    checkout.configured(("state: {dir: state}", f"state: {{dir: {'s' * 300}}}"))
    result = checkout.run()
    assert result.exit_code == 1
    assert "sss/audit cannot be looked at: File name too long [configuration]" in result.output
    assert "look as the gateway's own user" in result.output


@pytest.mark.parametrize(
    ("template", "shapes"),
    [
        ("{% if %}", {"anything"}),
        ("{{ raise_exception('no') }}", set(PROBES)),
        ("{{ messages[0].role + 1 if messages|length > 2 }}", TURNS),
        ("{% for m in messages %}{{ m.content }}{% endfor %}", set()),
    ],
)
def test_a_template_that_does_not_take_what_apps_send_is_wrong(
    checkout: Checkout, template: str, shapes: set[str]
) -> None:
    """By the kind of messages: whatever shape they are brought into."""
    checkout.model(small_model(template=template))
    result = checkout.run("--format", "json")
    rows = [r for r in json.loads(result.output)["findings"] if r["check"] == "templates"]
    assert result.exit_code == bool(shapes), result.output
    assert {row["message"].partition(":")[0] for row in rows} == {
        f"its chat template does not take {shape}" for shape in shapes
    }


def test_documents_that_do_not_load_are_wrong(checkout: Checkout) -> None:
    """With the position of each mistake."""
    policy = checkout.folder / "policies" / "10.yaml"
    policy.write_text("version: 1\nvendors: {opnai: allow}\n")
    (row,) = (r for r in checkout.found(1).values() if r["check"] == "policy")
    assert f"{policy}:2:11" in row["message"]
    (checkout.folder / "gateway.yaml").write_text("modles: {}\n")
    ((check, _), row), *rest = checkout.found(1).items()
    assert (check, rest) == ("configuration", [])
    assert "models" in row["message"]


def test_one_check_or_group_can_be_made_or_left_out(checkout: Checkout) -> None:
    """Also together; a word that is none is refused."""
    assert {check for check, _ in checkout.found(0, "--only", "chains")} == {"chains"}
    models = {check for check, _ in checkout.found(0, "--only", "models")}
    assert models == {"chains", "gaps", "hashes"}
    some = checkout.found(0, "--only", "models", "--only", "operators", "--skip", "hashes")
    assert {check for check, _ in some} == {"chains", "gaps", "operators"}
    assert checkout.run("--only", "chians").exit_code == 2


def test_strict_counts_warnings(checkout: Checkout) -> None:
    """For CI: exit code 1 with a warning, 0 with what is merely said."""
    checkout.found(1, "--only", "chains", "--strict")
    checkout.found(0, "--only", "credentials", "--strict")


def test_files_of_models_are_read_for_their_checks_alone(checkout: Checkout) -> None:
    """Hashing takes its time: without those checks nothing is hashed."""
    checkout.found(0, "--skip", "models")
    assert not (checkout.state / "verified-models.json").exists()
    checkout.found(0, "--only", "files")
    assert (checkout.state / "verified-models.json").exists()


def test_every_check_says_what_it_looks_for() -> None:
    """By a word of its own, and one sentence at least."""
    assert len({one.word for one in CHECKS}) == len(CHECKS)
    assert all(one.says.endswith(".") for one in CHECKS)
