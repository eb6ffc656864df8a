"""A configuration with all that it names, in a folder of its own, and what is said of it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from gateway.cli.main import root
from gateway.config.settings import load_settings
from gateway.examining.whole import examined
from gateway.readiness.doctor.examined import Examined
from gateway.readiness.doctor.finding import Finding
from tests.local.gguf_files import small_model

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
server: {host: 127.0.0.1, port: 0}
"""
MANIFEST = """\
id: tiny
file: {path: tiny.gguf}
sha256: %s
developer: alibaba
model: qwen3-tiny
licence: Apache-2.0
context: 4096
"""
POLICY = "version: 1\nvendors: {openai: allow}\n"
MACHINE = ("bodies", "descriptors", "python", "space", "swap", "synchronised", "workers")
"""Checks whose answer hangs on what else goes on where the tests run."""
Rows = dict[tuple[str, str], dict[str, Any]]


@dataclass(frozen=True)
class Checkout:
    """``folder`` holds ``gateway.yaml`` and all that it names."""

    folder: Path

    @classmethod
    def made(cls, folder: Path) -> Checkout:
        """One in which nothing is wrong."""
        made = cls(folder)
        # As a folder is where nobody thought of it: what is in it can be come to.
        folder.chmod(0o755)
        for name in ("policies", "models", "designations"):
            (folder / name).mkdir()
        made.configured()
        made.ruled(POLICY)
        made.model(small_model())
        return made

    @property
    def config(self) -> Path:
        return self.folder / "gateway.yaml"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def configured(self, *changes: tuple[str, str], more: str = "") -> None:
        """The configuration with words of it changed, and more behind it."""
        text = CONFIG
        for before, after in changes:
            assert before in text
            text = text.replace(before, after, 1)
        self.config.write_text(text + more)

    def ruled(self, text: str, file: str = "10.yaml") -> Path:
        path = self.folder / "policies" / file
        path.write_text(text)
        return path

    def model(self, data: bytes) -> None:
        """The model's file, and a manifest that pins it."""
        (self.folder / "models" / "tiny.gguf").write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        (self.folder / "models" / "tiny.yaml").write_text(MANIFEST % digest)

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(root, ["doctor", "--config", str(self.config), *arguments])

    def found(self, code: int, *arguments: str) -> Rows:
        """The findings by check and subject, where it ends with that code; what hangs on this
        machine alone is left out.
        """
        result = self.run("--format", "json", *skipped(MACHINE), *arguments)
        assert result.exit_code == code, result.output
        told = json.loads(result.output)
        errors = [row for row in told["findings"] if row["level"] == "error"]
        assert told["errors"] == len(errors)
        assert all(row["advice"] for row in told["findings"])
        return {(row["check"], row["subject"]): row for row in told["findings"]}

    def only(self, check: str, code: int = 0) -> list[tuple[str, str, str]]:
        """What one check says: level, subject and message."""
        result = self.run("--format", "json", "--only", check)
        assert result.exit_code == code, result.output
        rows = json.loads(result.output)["findings"]
        return [(row["level"], row["subject"], row["message"]) for row in rows]

    def examined(self, *groups: str) -> Examined:
        """What checks look at."""
        return examined(load_settings(self.config, {}, os.environ), groups)


def skipped(checks: Iterable[str]) -> list[str]:
    """The options that leave checks out."""
    return [word for check in checks for word in ("--skip", check)]


def said(findings: Collection[Finding]) -> list[tuple[str, str]]:
    return [(finding.level, finding.subject) for finding in findings]


def day(days: float) -> str:
    """So many days from now, as a policy writes it."""
    return (datetime.now(UTC) + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")
