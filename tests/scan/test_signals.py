"""The tables of signals: who is in them, and that no name in them is passed over unread."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from gateway.config.shipped import load_catalog, load_signals
from gateway.vendors.signals import table as signals_table
from gateway.vendors.signals.table import Sign, Signals, words
from tests.scan.corpus import findings

FOLDER = Path(signals_table.__file__).parent


def tables(name: str) -> dict[str, Any]:
    return tomllib.loads((FOLDER / f"{name}.toml").read_text())


PACKAGES, HOSTS, NAMES = tables("packages"), tables("hosts"), tables("names")


@pytest.fixture(scope="module")
def signals() -> Signals:
    return load_signals(load_catalog())


def test_a_vendor_without_a_row_of_the_catalog_is_refused() -> None:
    row = {"channel": "acme", "developer": "openai", "pypi": ["acme"]}

    with pytest.raises(ValueError, match="without a row in the catalog: acme"):
        Signals({**PACKAGES, "package": [row]}, HOSTS, NAMES, load_catalog())


@pytest.mark.parametrize(
    ("host", "sign"),
    [
        ("api.openai.com", Sign("openai", "openai")),
        ("API.OPENAI.COM.", Sign("openai", "openai")),
        ("acme-east.openai.azure.com", Sign("microsoft", "unknown")),
        ("bedrock-runtime.eu-west-1.amazonaws.com", Sign("amazon", "unknown")),
        ("us-central1-aiplatform.googleapis.com", Sign("google", "unknown")),
        ("api.openai.com.evil.example", None),
        ("notapi.openai.com.example", None),
        ("openai.azure.com.evil.example", None),
        ("s3.eu-west-1.amazonaws.com", None),
        ("claude.ai", None),
    ],
)
def test_hosts_are_looked_up_whole(signals: Signals, host: str, sign: Sign | None) -> None:
    assert signals.host(host) == sign


def test_what_people_use_in_a_browser_counts_only_in_logs(signals: Signals) -> None:
    assert signals.host("claude.ai", web=True) == Sign("anthropic", "anthropic")


@pytest.mark.parametrize(
    ("name", "channel"),
    [
        ("OPENAI_API_KEY", "openai"),
        ("ACME_OPENAI_API_KEY_2", "openai"),
        ("AZURE_OPENAI_API_KEY", "microsoft"),
        ("openaiApiKey", "openai"),
        ("spring.ai.mistral.api-key", "mistral"),
        ("CLAUDE_CODE_USE_BEDROCK", "amazon"),
        ("OPENAPI_KEY", None),
        ("MYOPENAI_API_KEY", None),
        ("COHERENCE_API_KEY", None),
        ("GEMINI_SECRET", None),
        ("AzureOpenAIEndpoint", "microsoft"),
        ("BedrockModelConfiguration", None),
    ],
)
def test_settings_are_told_by_whole_words(signals: Signals, name: str, channel: str | None) -> None:
    sign = signals.variable(name)

    assert (sign.channel if sign else None) == channel


def test_the_beginning_of_a_key_is_all_that_is_kept(signals: Signals) -> None:
    found = signals.key("sk-ant-api03-" + "x" * 40)

    assert found == ("sk-ant-", Sign("anthropic", "anthropic"))
    assert signals.key("sk-header-container") is None
    assert signals.key("sk-ant-short") is None


def test_words_of_a_setting() -> None:
    assert words("AzureOpenAIEndpoint") == ("AZURE", "OPENAI", "ENDPOINT")


def _rows(data: dict[str, Any], kind: str, field: str) -> list[str]:
    return [name for row in data[kind] for name in row.get(field, ())]


MODULES = sorted(set(_rows(PACKAGES, "package", "python")))
SCRIPTS = sorted(set(_rows(PACKAGES, "package", "npm")))
SERVERS = sorted(set(_rows(HOSTS, "host", "names")))
VARIABLES = sorted(set(_rows(NAMES, "name", "variables")))
PREFIXES = sorted(set(_rows(NAMES, "name", "prefixes")))


@pytest.mark.parametrize("module", MODULES)
def test_no_import_is_passed_over(module: str) -> None:
    assert [one.value for one in findings("a.py", f"import {module}\n")] == [module]


@pytest.mark.parametrize("package", SCRIPTS)
def test_no_import_of_a_script_is_passed_over(package: str) -> None:
    assert package in [one.value for one in findings("a.mjs", f"import x from '{package}';\n")]


@pytest.mark.parametrize("name", SERVERS)
def test_no_host_is_passed_over(name: str) -> None:
    host = re.sub(r"\A\*\.", "acme.", name).replace("*", "west-1")

    assert host in [one.value for one in findings("a.py", f'URL = "https://{host}/v1"\n')]


@pytest.mark.parametrize("name", [*VARIABLES, *(f"{prefix}_API_KEY" for prefix in PREFIXES)])
def test_no_setting_is_passed_over(name: str) -> None:
    assert name in [one.value for one in findings(".env", f"{name}=x\n")]


@pytest.mark.parametrize(
    ("host", "channel"),
    [
        ("api.elevenlabs.io", "elevenlabs"),
        ("api.deepgram.com", "deepgram"),
        ("api.assemblyai.com", "assemblyai"),
        ("api2.cursor.sh", "cursor"),
        ("server.codeium.com", "windsurf"),
        ("api.stability.ai", "stability"),
        ("api.replicate.com", "replicate"),
        ("api.fireworks.ai", "fireworks"),
        ("api.together.xyz", "together"),
        ("api.groq.com", "groq"),
        ("api.cerebras.ai", "cerebras"),
        ("api.perplexity.ai", "perplexity"),
        ("queue.fal.run", "fal"),
        ("api.dev.runwayml.com", "runway"),
    ],
)
def test_vendors_of_speech_pictures_and_editors_are_known(
    signals: Signals, host: str, channel: str
) -> None:
    """By their hosts, whatever else they are known by."""
    sign = signals.host(host)
    assert sign is not None
    assert sign.channel == channel


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("from elevenlabs import ElevenLabs\n", ("package", "elevenlabs")),
        ("from deepgram import DeepgramClient\n", ("package", "deepgram")),
        ('key = os.environ["AAI_API_KEY"]\n', ("variable", "assemblyai")),
        ('key = os.environ["CURSOR_API_KEY"]\n', ("variable", "cursor")),
    ],
)
def test_code_that_uses_them_is_found(text: str, label: tuple[str, str]) -> None:
    assert label in {(one.signal.value, one.identity.channel) for one in findings("a.py", text)}


def test_what_is_called_by_a_familys_name_is_no_model(signals: Signals) -> None:
    """A program by the beginning of its name; a model of that family is one all the same."""
    assert ("llama", "cpp") in signals.tools
    text = 'MODEL_ENGINE = "{}"\n'
    for name in ("llama_cpp", "llama-cpp-python", "llama_index", "claude-code"):
        assert findings("a.py", text.format(name)) == []
    (found,) = findings("a.py", text.format("llama-3.1-8b"))
    assert found.identity.developer == "meta"
