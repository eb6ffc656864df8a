"""``audit:``: what can be said of it, and what it is where nothing is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.audit.rules import Fsync, Rules
from gateway.auditing import audit_sink, rules
from gateway.background import Background
from gateway.config.auditing import AuditSection
from gateway.config.fixed import with_fixed
from gateway.config.settings import Settings, load_settings
from gateway.errors import DocumentError, StateError


def read(config: Path, audit: str, environ: dict[str, str] | None = None) -> Settings:
    config.write_text(f"{config.read_text()}audit: {audit}\n")
    return load_settings(config, {}, environ or {})


def test_what_is_not_said_is_as_the_log_would_have_it(config: Path) -> None:
    """One set of defaults: that of the schema and that of the room are the same."""
    settings = load_settings(config, {}, {})
    assert rules(settings) == Rules()
    assert (settings.audit.on_failure, settings.audit.most_waiting) == ("continue", 10_000)


def test_all_that_can_be_said(config: Path) -> None:
    settings = read(
        config,
        "{on_failure: refuse, most_waiting: 5, fsync: batches, signing_key: file:key.pem, "
        "checkpoints: {every: 7, seconds: 0.5, copy_to: elsewhere/c.jsonl}, "
        "segments: {max_mb: 2, max_age: 60}, keep: {max_age: 86400, max_mb: 100}, "
        "prompt_hmac: {key: '${HMAC}'}, content: {dir: sealed, recipient: file:pub.pem}}",
    )
    assert rules(settings) == Rules(
        checkpoint_lines=7,
        checkpoint_seconds=0.5,
        segment_bytes=2_000_000,
        segment_seconds=60.0,
        keep_seconds=86400.0,
        keep_bytes=100_000_000,
        fsync=Fsync.BATCHES,
        copy_to=config.parent / "elsewhere/c.jsonl",
    )
    assert settings.audit.content is not None
    assert settings.audit.content.dir == config.parent / "sealed"


def test_a_variable_says_it_too(config: Path) -> None:
    variables = {"GATEWAY_AUDIT__ON_FAILURE": "refuse"}
    assert load_settings(config, {}, variables).audit.on_failure == "refuse"


@pytest.mark.parametrize(
    ("audit", "problem"),
    [
        ("{on_failure: stop}", "expected 'continue' or 'refuse'"),
        ("{fsync: always}", "expected 'checkpoints', 'batches' or 'never'"),
        ("{signing_key: '${KEY}'}", "expected file:PATH, of a PEM file"),
        ("{prompt_hmac: {key: in-the-open}}", "a literal key is not allowed"),
        ("{prompt_hmac: {}}", "missing key 'key'"),
        ("{content: {dir: x}}", "missing key 'recipient'"),
        ("{checkpoint: {every: 1}}", "unknown key 'checkpoint'"),
        ("{checkpoints: {every: 0}}", "greater than or equal to 1"),
        ("{segments: {max_mb: 0.5}}", "greater than or equal to 1"),
    ],
)
def test_what_is_refused(config: Path, audit: str, problem: str) -> None:
    with pytest.raises(DocumentError, match=problem):
        read(config, audit)


def test_a_change_takes_a_restart(config: Path) -> None:
    before = load_settings(config, {}, {})
    settings, restart = with_fixed(read(config, "{on_failure: refuse}"), before)
    assert (settings.audit, restart) == (before.audit, ("audit.on_failure",))


@pytest.mark.parametrize("environ", [{}, {"HMAC": "short"}])
def test_a_key_for_prompts_that_could_be_found_by_trying(
    config: Path, environ: dict[str, str]
) -> None:
    settings = read(config, "{prompt_hmac: {key: '${HMAC}'}}")
    with pytest.raises(StateError, match=r"at \$\{HMAC\} is missing or too short: expected at lea"):
        audit_sink(settings, "main", environ, Background())


def test_a_folder_that_cannot_be_written(config: Path) -> None:
    settings = load_settings(config, {}, {})
    settings.state.dir.mkdir(parents=True, exist_ok=True)
    (settings.state.dir / "audit").touch()
    with pytest.raises(StateError, match=r"cannot be written \(File exists\): make the folder"):
        audit_sink(settings, "main", {}, Background())


def test_the_page_tells_the_defaults(config: Path) -> None:
    """Of all that can be said, in one block; what names a file is left out here."""
    page = (Path(__file__).parents[2] / "docs" / "audit.md").read_text()
    block = next(one for one in re.findall(r"```yaml\n(.*?)```", page, re.S) if "on_failure" in one)
    said = [line for line in block.splitlines(keepends=True) if "file:PATH    #" not in line]
    config.write_text(config.read_text() + "".join(said))
    assert load_settings(config, {}, {}).audit == AuditSection()
    assert all(f"{name}:" in block for name in AuditSection.model_fields)
