"""No value of what is scanned reaches an output, a log or an exception."""

# ruff: noqa: E501 - files as they are, one a line

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

SECRETS = {
    "openai": "sk-proj-PLANTEDopenai0123456789abcdefABCDEF",
    "anthropic": "sk-ant-api03-PLANTEDanthropic0123456789abcdef",
    "plain": "PLANTEDhunter2correcthorse",
    "google": "AIzaPLANTEDgoogle0123456789abcdefghijk",
}
FILES = {
    ".env": "OPENAI_API_KEY={openai}\nANTHROPIC_API_KEY='{plain}'\nLLM={anthropic}\nMODEL={plain}\n",
    "app.py": (
        "from openai import OpenAI, AzureOpenAI\n"
        'c = OpenAI(api_key="{openai}", base_url="https://user:{plain}@api.openai.com/v1?key={google}")\n'
        'AzureOpenAI(azure_deployment="x").chat.completions.create(model="{anthropic}")\n'
        'HEADERS = {{"x-api-key": "{anthropic}", "Authorization": "Bearer {openai}"}}\n'
        'c.chat.completions.create(model="{openai}")\n'
    ),
    "broken.py": 'import openai\nKEY = "{openai}" "{plain}\n',
    "app.ts": (
        'import OpenAI from "openai";\nconst c = new OpenAI({{apiKey: "{openai}"}});\n'
        'const m = "{anthropic}"; fetch(`https://api.openai.com/v1?key={google}`);\n'
    ),
    "main.go": 'package main\nimport "github.com/openai/openai-go"\nvar k = "{openai}"\nvar model = "{plain}"\n',
    "deploy.yaml": "env:\n  - name: OPENAI_API_KEY\n    value: {openai}\n  - {{name: X, value: {anthropic}}}\n",
    "bad.yaml": "OPENAI_API_KEY: {openai}\n\t- : {plain}\n  x: [\n",
    "bad.json": '{{"OPENAI_API_KEY": "{openai}", "x": {plain}',
    "bad.toml": 'openai = "{openai}"\n[[[{plain}\n',
    "mcp.json": '{{"mcpServers": {{"a": {{"env": {{"OPENAI_API_KEY": "{openai}"}}, "args": ["--key={plain}", "--anthropic-api-key", "{anthropic}"]}}}}}}',
    ".aider.conf.yml": "openai-api-key: {openai}\nmodel: gpt-4o\n",
    "Dockerfile": "FROM python\nENV OPENAI_API_KEY={openai} ANTHROPIC_API_KEY={plain}\nRUN curl -H 'x-api-key: {anthropic}' https://api.anthropic.com/v1/models?key={google}\n",
    "run.sh": 'export OPENAI_API_KEY={openai}\ncurl https://{plain}:{plain}@api.openai.com/v1 -d \'{{"model": "{anthropic}"}}\'\n',
    "main.tf": 'resource "x" "y" {{\n openai_api_key = "{openai}"\n model = "{plain}"\n}}\n',
    "nb.ipynb": '{{"cells": [{{"cell_type": "code", "source": ["import openai\\n", "openai.api_key = \'{openai}\'", "\\n%%%{plain} ((("]}}]}}',
    "logs/squid/access.log": "1700000000.123    120 10.0.0.9 TCP_MISS/200 4500 GET https://api.openai.com/v1?key={google} {plain} HIER_DIRECT/1.2.3.4 -\n",
    "logs/egress.jsonl": '{{"host": "api.anthropic.com", "auth": "{anthropic}"}}\n',
    "note.py": "import openai  # gateway-scan: ignore[openai] until 2020-01-01 reason old\n",
    "requirements.txt": "openai @ https://user:{plain}@files.example.com/openai.whl\n--extra-index-url https://u:{plain}@x/openai\n",
    "package.json": '{{"dependencies": {{"openai": "git+https://{plain}@host/openai.git"}}}}',
}


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("planted")
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.format(**SECRETS))
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        for name, text in FILES.items():
            data = text.format(**SECRETS).encode()
            member = tarfile.TarInfo(f"srv/{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    with tarfile.open(folder / "image.tar", "w") as tar:
        data = gzip.compress(layer.getvalue())
        member = tarfile.TarInfo("abc/layer.tar")
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))
    return folder


@pytest.mark.parametrize("format_", ["text", "json", "sarif", "cyclonedx", "spdx", "markdown"])
def test_no_planted_secret_is_told(planted: Path, tmp_path: Path, format_: str) -> None:
    command = "from gateway.cli import main; main()"
    options = ["--format", format_, "--all", "--jobs", "1", "--write-baseline", str(tmp_path / "b")]

    done = subprocess.run(
        [sys.executable, "-c", command, "scan", str(planted), *options],
        capture_output=True,
        text=True,
        timeout=60,
    )

    told = done.stdout + done.stderr + (tmp_path / "b").read_text()
    assert done.returncode == 0, done.stderr
    assert "OPENAI_API_KEY" in told
    assert "PLANTED" not in told


def test_every_planted_file_was_looked_at(planted: Path, tmp_path: Path) -> None:
    command = "from gateway.cli import main; main()"
    out = tmp_path / "out.json"
    options = ["--format", "json", "--output", str(out), "--jobs", "1"]
    subprocess.run(
        [sys.executable, "-c", command, "scan", str(planted), *options], check=True, timeout=60
    )

    told = json.loads(out.read_text())
    seen = {one["path"] for one in told["findings"]} | {one["path"] for one in told["unread"]}
    assert {str(planted / name) for name in FILES} <= seen
    assert any("image.tar!" in path for path in seen)
