"""``gateway policy keygen | sign | verify``, and the toggles of a policy that must be signed."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli.main import root
from gateway.errors import Refused, SignatureError, StateError

MODELS = Path(__file__).resolve().parents[2] / "models"


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration that wants signatures, and a policy; the key is beside them."""
    monkeypatch.chdir(tmp_path)
    assert run("policy", "keygen", "--out", "policy.key").exit_code == 0
    (tmp_path / "gateway.yaml").write_text(
        f"local: {{manifests: {MODELS}}}\n"
        "state: {dir: var}\n"
        "policy: {require_signature: true, public_keys: [file:policy.key.pub]}\n"
    )
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "10.yaml").write_text("version: 1\nvendors: {openai: allow}\n")
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(root, arguments)


def on(*arguments: str) -> Result:
    return run(*arguments, "--config", "gateway.yaml")


def test_a_policy_is_signed_checked_and_toggled(house: Path) -> None:
    """The way of an operator: refused unsigned, signed, verified, banned with the key."""
    refused = on("policy", "check")
    assert isinstance(refused.exception, SignatureError)
    assert "gateway policy sign --key FILE" in refused.exception.message
    signed = on("policy", "sign", "--key", "policy.key")
    assert signed.exit_code == 0, signed.output
    checked = json.loads(on("policy", "check", "--format", "json").output)
    verified = json.loads(on("policy", "verify", "--format", "json").output)
    assert verified["revision"] == checked["revision"]
    assert f"key {verified['key']} signed revision {verified['revision']}" in signed.output
    unsigned = on("ban", "openai", "--reason", "drill")
    assert isinstance(unsigned.exception, Refused)
    assert "--key FILE" in unsigned.exception.message
    assert on("ban", "openai", "--reason", "drill", "--key", "policy.key").exit_code == 0
    assert on("policy", "verify").exit_code == 0
    assert on("policy", "check").exit_code == 0


def test_the_key_may_come_from_the_environment(
    house: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And is then no value of the configuration."""
    monkeypatch.setenv("GATEWAY_POLICY_KEY", str(house / "policy.key"))
    assert on("policy", "sign").exit_code == 0
    assert on("ban", "openai", "--reason", "drill").exit_code == 0
    assert on("unban", "openai").exit_code == 0


def test_a_private_key_is_its_owners_and_is_never_overwritten(house: Path) -> None:
    """0600, and a second keygen is refused before anything is lost."""
    key = house / "policy.key"
    before = key.read_bytes()
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    again = run("policy", "keygen", "--out", "policy.key")
    assert isinstance(again.exception, StateError)
    assert "File exists" in again.exception.message
    assert key.read_bytes() == before


def test_wanting_a_signature_without_a_key_is_a_mistake_of_the_configuration(house: Path) -> None:
    """Nobody could ever sign for it."""
    config = house / "gateway.yaml"
    config.write_text(config.read_text().replace(", public_keys: [file:policy.key.pub]", ""))
    refused = on("policy", "check")
    assert "require_signature needs at least one of public_keys" in str(refused.exception)
