"""The clients: what each is, where its app is, and how that app's suite is run.

An app's suite runs in the client's own environment, by that environment's own test runner, and is
told nothing but the gateway's address and a key.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from types import MappingProxyType
from xml.etree import ElementTree

from tests.end_to_end.running import ROOT

HERE = ROOT / "tests" / "clients"
CLIENTS = ROOT / ".venv-clients"
LLAMAINDEX = ROOT / ".venv-llamaindex"
NODE = HERE / "node"
KEY = "unused"
QUIET: Mapping[str, str] = MappingProxyType(
    {
        "AI_SDK_LOG_WARNINGS": "false",
        "ANONYMIZED_TELEMETRY": "false",
        "DO_NOT_TRACK": "1",
        "HF_HUB_OFFLINE": "1",
        "LANGSMITH_TRACING": "false",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_TELEMETRY": "False",
    }
)
"""By which clients are told to ask nobody but the gateway for anything."""
LONGEST = 300.0
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Suite:
    """``path`` is the app's, ``packages`` are those whose versions are told, of ``home``."""

    client: str
    path: Path
    packages: tuple[str, ...]
    home: Path

    @property
    def name(self) -> str:
        return self.path.name.partition(".")[0].removeprefix("test_")

    @property
    def command(self) -> list[str]:
        if self.home == NODE:
            node = NODE / "node_modules" / ".bin" / "node"
            return [str(node) if node.exists() else "node", "--test", "--test-reporter=junit"]
        ini = str(HERE / "apps" / "pytest.ini")
        return [str(self.home / "bin" / "python"), "-m", "pytest", "-c", ini]

    def missing(self) -> str | None:
        """Why it cannot run."""
        if self.home == NODE and not (NODE / "node_modules").is_dir():
            return "its packages are not there: make clients, which needs npm (Debian: npm)"
        if self.home != NODE and not self.home.is_dir():
            return f"{self.home.name} is not there: make clients"
        return None

    def versions(self) -> str:
        """Of each package, as it is installed."""
        return ", ".join(f"{name} {_version(self.home, name)}" for name in self.packages)


def _python(client: str, file: str, *packages: str, home: Path = CLIENTS) -> Suite:
    return Suite(client, HERE / "apps" / f"test_{file}.py", packages, home)


def _node(client: str, file: str, *packages: str) -> Suite:
    return Suite(client, NODE / f"{file}.test.js", packages, NODE)


SUITES = (
    _python("OpenAI, Python", "openai", "openai"),
    _python("Anthropic, Python", "anthropic", "anthropic"),
    _node("OpenAI, Node", "openai", "openai"),
    _node("Anthropic, Node", "anthropic", "@anthropic-ai/sdk"),
    _python("LangChain, OpenAI", "langchain_openai", "langchain", "langchain-openai"),
    _python("LangChain, Anthropic", "langchain_anthropic", "langchain", "langchain-anthropic"),
    _python(
        *("LlamaIndex, OpenAI", "llamaindex_openai", "llama-index-core"),
        "llama-index-llms-openai-like",
        home=LLAMAINDEX,
    ),
    _python(
        *("LlamaIndex, Anthropic", "llamaindex_anthropic", "llama-index-core"),
        "llama-index-llms-anthropic",
        home=LLAMAINDEX,
    ),
    _node(
        *("Vercel AI SDK", "ai", "ai", "@ai-sdk/openai", "@ai-sdk/openai-compatible"),
        "@ai-sdk/anthropic",
    ),
    _python("llm", "llm", "llm"),
    _python("litellm", "litellm", "litellm"),
)


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of a suite: its checks, each once, and how many of their cases passed and failed;
    ``output`` is what the runner printed.
    """

    checks: tuple[str, ...]
    passed: int
    failed: int
    seconds: float
    output: str


def run(suite: Suite, url: str) -> Ran:
    """Run a client's suite against the gateway at ``url``."""
    kept = ("PATH", "HOME", "LANG", "SHORT")
    environ = {name: os.environ[name] for name in kept if name in os.environ}
    environ |= {**QUIET, "GATEWAY_URL": url, "GATEWAY_KEY": KEY}
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        option = "--test-reporter-destination" if suite.home == NODE else "--junit-xml"
        done = subprocess.run(
            [*suite.command, f"{option}={report}", str(suite.path)],
            capture_output=True,
            text=True,
            timeout=LONGEST,
            env=environ,
            cwd=ROOT,
            check=False,
        )
        if not report.exists():
            return Ran((), 0, 1, 0.0, done.stdout + done.stderr)
        written = report.read_text()
    cases = list(ElementTree.fromstring(written).iter("testcase"))
    failed = [case for case in cases if case.find("failure") is not None]
    failed += [case for case in cases if case.find("error") is not None]
    return Ran(
        checks=tuple(dict.fromkeys(_check(case.attrib["name"]) for case in cases)),
        passed=len(cases) - len(failed),
        failed=len(failed) or done.returncode,
        seconds=sum(float(case.attrib["time"]) for case in cases),
        output=f"{done.stdout}{done.stderr}{written if suite.home == NODE else ''}",
    )


def _check(name: str) -> str:
    """What is checked, without the model or the flag that it is checked with."""
    words = name.removeprefix("test_").partition("[")[0].partition(", ")[0]
    return words.replace("_", " ")


def _version(home: Path, package: str) -> str:
    if home == NODE:
        manifest = NODE / "node_modules" / package / "package.json"
        version: str = json.loads(manifest.read_text())["version"]
        return version
    (site,) = home.glob("lib/python3.*/site-packages")
    (found,) = distributions(name=package, path=[str(site)])
    return found.version
