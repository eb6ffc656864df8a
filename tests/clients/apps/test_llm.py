"""The command line tool and library ``llm``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.clients.apps.setting import (
    KEY,
    LOCAL,
    ONLY_BANNED,
    QUESTION,
    UNKNOWN,
    UNNOTICED,
    URL,
    VENDOR,
)

# docs: models
MODEL = """\
- model_id: gateway-{model}
  model_name: {model}
  api_base: {url}/v1
  api_key_name: gateway
  supports_tools: true
  supports_schema: true
"""
# docs: end
FUNCTION = """
def get_weather(city: str) -> str:
    "The weather of a city, now."
    return f"18 degrees in {city}"
"""
PLACE = {
    "type": "object",
    "properties": {"kind": {"enum": ["city", "country"]}},
    "required": ["kind"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where ``llm`` has its files: ``extra-openai-models.yaml`` is for its user to write."""
    folder = tmp_path_factory.mktemp("llm")
    models = (LOCAL, VENDOR, *UNNOTICED, ONLY_BANNED, UNKNOWN)
    text = "".join(MODEL.format(model=model, url=URL) for model in models)
    (folder / "extra-openai-models.yaml").write_text(text)
    return folder


def llm(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "LLM_USER_PATH": str(folder)}
    command = [sys.executable, "-m", "llm", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, env=environ, timeout=60, check=False
    )


def ask(folder: Path, model: str, *arguments: str, key: str = KEY) -> Any:
    return llm(folder, QUESTION, "-m", f"gateway-{model}", "--key", key, *arguments)


def test_its_models(folder: Path) -> None:
    assert f"gateway-{LOCAL}" in llm(folder, "models").stdout


@pytest.mark.parametrize("model", [LOCAL, VENDOR])
@pytest.mark.parametrize("flags", [(), ("--no-stream",)], ids=["streamed", "plain"])
def test_a_question(folder: Path, model: str, flags: tuple[str, ...]) -> None:
    """The usage is told too."""
    done = ask(folder, model, "-u", "-o", "max_tokens", "16", *flags)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert "Token usage" in done.stderr


def test_a_conversation(folder: Path) -> None:
    ask(folder, LOCAL, "-o", "max_tokens", "16")
    done = llm(folder, "Say it again.", "-c", "--key", KEY, "-o", "max_tokens", "16")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_a_tool(folder: Path) -> None:
    """The tool is called, and its result is taken."""
    done = ask(folder, VENDOR, "--functions", FUNCTION, "--td")
    assert done.returncode == 0, done.stderr
    assert "18 degrees in Paris" in done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize("model", [LOCAL, VENDOR])
def test_a_schema(folder: Path, model: str) -> None:
    done = ask(folder, model, "--schema", json.dumps(PLACE))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["kind"] in ("city", "country")


@pytest.mark.parametrize("model", UNNOTICED)
def test_failover_goes_unnoticed(folder: Path, model: str) -> None:
    done = ask(folder, model, "-o", "max_tokens", "16")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize(
    ("model", "said", "flags"),
    [
        (UNKNOWN, UNKNOWN, ()),
        (ONLY_BANNED, "directive 12", ()),
        (LOCAL, "seed", ("-o", "seed", str(1 << 63))),
    ],
)
def test_errors(folder: Path, model: str, said: str, flags: tuple[str, ...]) -> None:
    """The tool says what the gateway said."""
    done = ask(folder, model, *flags)
    assert done.returncode == 1
    assert said in done.stderr
