"""``gateway doctor``, as an operator calls it, on real files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.cli.main import root
from gateway.readiness.templates import PROBES
from tests.local.gguf_files import small_model

ROOT = Path(__file__).resolve().parents[2]
CONFIG = """\
channels:
  openai: {vendor: openai, kind: openai, base_url: "https://vendor.test/v1", api_key: "${NO_KEY}"}
  lab: {vendor: self, kind: openai, base_url: "http://10.0.0.5:8000/v1", locality: sovereign}
  near: {vendor: self, kind: openai, base_url: "http://127.0.0.1:8000/v1", locality: sovereign}
models:
  gpt-4o: {targets: [openai/gpt-4o, local/tiny]}
  cloudy: {targets: [openai/gpt-4o, lab/qwen3-32b]}
  own: {targets: [local/tiny]}
local:
  manifests: models
  models: {tiny: {manifest: tiny, context: 512, slots: 2, gpu_layers: 0}}
state: {dir: state}
"""
TURNS = {"a conversation", "the result of a function"}
MANIFEST = """\
id: tiny
file: {path: tiny.gguf}
sha256: %s
developer: alibaba
model: qwen3-tiny
licence: Apache-2.0
context: 4096
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A configuration in which nothing is wrong, and three things are worth a warning."""
    (tmp_path / "gateway.yaml").write_text(CONFIG)
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "10.yaml").write_text("version: 1\nvendors: {openai: allow}\n")
    (tmp_path / "models").mkdir()
    put(tmp_path, small_model())
    return tmp_path


def put(checkout: Path, data: bytes) -> None:
    """The model's file, and a manifest that pins it."""
    (checkout / "models" / "tiny.gguf").write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    (checkout / "models" / "tiny.yaml").write_text(MANIFEST % digest)


def run(checkout: Path, *arguments: str) -> Result:
    return CliRunner().invoke(
        root, ["doctor", "--config", str(checkout / "gateway.yaml"), *arguments]
    )


def found(checkout: Path, code: int) -> dict[tuple[str, str], dict[str, Any]]:
    """The findings by check and subject, where it ends with that code."""
    result = run(checkout, "--format", "json")
    assert result.exit_code == code, result.output
    told = json.loads(result.output)
    errors = [row for row in told["findings"] if row["level"] == "error"]
    assert (told["errors"], bool(errors)) == (len(errors), code == 1)
    assert all(row["advice"] for row in told["findings"])
    return {(row["check"], row["subject"]): row for row in told["findings"]}


def test_a_good_configuration_has_warnings_only(checkout: Path) -> None:
    """What is missing in each chain, what a key and a wire are like; nothing of what is well."""
    rows = found(checkout, 0)
    levels = {key: row["level"] for key, row in rows.items()}
    assert levels == {
        ("chains", "cloudy"): "warning",
        ("gaps", "gpt-4o"): "warning",
        ("credentials", "channel openai"): "info",
        ("encryption", "channel lab"): "info",
    }
    assert "local/tiny lacks" in rows["gaps", "gpt-4o"]["message"]
    assert "images" in rows["gaps", "gpt-4o"]["message"]
    assert "lab/qwen3-32b" in rows["chains", "cloudy"]["message"]


def test_offline_says_what_is_shut_and_whom_nobody_serves(checkout: Path) -> None:
    """A model of cloud targets alone is wrong then; one with a server of our own is not."""
    config = checkout / "gateway.yaml"
    models = "models:\n  far: {targets: [openai/gpt-4o, openai/o3]}\n"
    config.write_text("offline: true\n" + CONFIG.replace("models:\n", models, 1))
    rows = found(checkout, 1)
    shut = {subject: row for (check, subject), row in rows.items() if check == "offline"}
    assert {subject: row["level"] for subject, row in shut.items()} == {
        "offline": "info",
        "far": "error",
    }
    assert shut["offline"]["message"].endswith("not dialled: openai")


def test_it_prints_each_with_what_to_do(checkout: Path) -> None:
    """And the numbers at the end."""
    output = run(checkout).output
    assert "warning cloudy: it has no local target" in output
    assert "        put a local target at the end of models.cloudy.targets\n" in output
    assert output.endswith("0 errors, 2 warnings\n")


def test_the_shipped_configuration_has_nothing_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the real model, its real template, and no key."""
    monkeypatch.setenv("GATEWAY_STATE__DIR", str(tmp_path))
    result = CliRunner().invoke(
        root, ["doctor", "--config", str(ROOT / "configs" / "gateway.yaml"), "--format", "json"]
    )
    assert result.exit_code == 0, result.output
    told = json.loads(result.output)
    assert {row["check"] for row in told["findings"]} == {"gaps", "credentials"}


def test_an_altered_file_is_wrong(checkout: Path) -> None:
    """One byte is enough."""
    path = checkout / "models" / "tiny.gguf"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    row = found(checkout, 1)["files", "local/tiny"]
    assert "expected sha256" in row["message"]


def test_a_broken_header_is_wrong(checkout: Path) -> None:
    """Though it is the file that the manifest pins."""
    put(checkout, small_model()[:200])
    assert "truncated" in found(checkout, 1)["files", "local/tiny"]["message"]


def test_a_file_that_names_another_maker_is_wrong(checkout: Path) -> None:
    """As `gateway serve` would say at its start."""
    put(checkout, small_model(name="Llama-3.2-1B"))
    assert "meta" in found(checkout, 1)["files", "local/tiny"]["message"]


def test_every_missing_file_is_named(checkout: Path) -> None:
    """Not only the first."""
    config = checkout / "gateway.yaml"
    config.write_text(config.read_text().replace("{tiny: {", "{other: {manifest: other}, tiny: {"))
    (checkout / "models" / "tiny.gguf").unlink()
    rows = found(checkout, 1)
    assert set(rows) == {("files", "local/tiny"), ("files", "local/other")}
    assert "there is no manifest" in rows["files", "local/other"]["message"]


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
    checkout: Path, template: str, shapes: set[str]
) -> None:
    """By the kind of messages: whatever shape they are brought into."""
    put(checkout, small_model(template=template))
    result = run(checkout, "--format", "json")
    rows = [r for r in json.loads(result.output)["findings"] if r["check"] == "templates"]
    assert result.exit_code == bool(shapes), result.output
    assert {row["message"].partition(":")[0] for row in rows} == {
        f"its chat template does not take {shape}" for shape in shapes
    }


def test_documents_that_do_not_load_are_wrong(checkout: Path) -> None:
    """With the position of each mistake."""
    policy = checkout / "policies" / "10.yaml"
    policy.write_text("version: 1\nvendors: {opnai: allow}\n")
    (row,) = (r for r in found(checkout, 1).values() if r["check"] == "policy")
    assert f"{policy}:2:11" in row["message"]
    (checkout / "gateway.yaml").write_text("modles: {}\n")
    ((check, _), row), *rest = found(checkout, 1).items()
    assert (check, rest) == ("configuration", [])
    assert "models" in row["message"]
