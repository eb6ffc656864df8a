"""Real files in a temporary folder."""

from __future__ import annotations

from pathlib import Path

import pytest

CONFIG = """\
channels:
  openai:
    vendor: openai
    kind: openai
    base_url: https://api.openai.com/v1
    api_key: ${OPENAI_API_KEY}
models:
  gpt-4o: {targets: [openai/gpt-4o, local/smollm2]}
  "gpt-*": {targets: [local/smollm2]}
  "*": {targets: [local/smollm2]}
local:
  models:
    smollm2: {manifest: smollm2-135m-instruct}
"""

POLICY = """\
version: 1
default: deny
vendors:
  openai: allow
  anthropic: deny
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration file that loads."""
    file = tmp_path / "conf" / "gateway.yaml"
    file.parent.mkdir()
    file.write_text(CONFIG)
    return file


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    """A policy folder that loads."""
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "10-vendors.yaml").write_text(POLICY)
    return folder
