"""The public suite ``llm-comply``, against the real model and against simulated vendors."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import pytest

from tests.clients.suites import CLIENTS, KEY, LONGEST, Suite
from tests.clients.table import Row
from tests.end_to_end.running import ROOT, RunningGateway

pytestmark = pytest.mark.timeout(2 * LONGEST)
COMPLY = Suite("llm-comply", ROOT, ("llm-comply",), CLIENTS)
FLAGS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "openai-chat": (),
        "open-responses": (),
        "anthropic": (
            *("--auth-header", "x-api-key", "--no-bearer"),
            *("-H", "anthropic-version:2023-06-01"),
        ),
    }
)
TRIES = 4
"""The real model is a very small one, and samples: it may run on, or call no tool to its end."""
REFUSED = "No target that may be used now supports: images"


@dataclass(frozen=True, slots=True)
class Case:
    """``model`` is as in ``tests.clients.house``: names by which the suite also checks reasoning.
    ``cannot`` are the ids of what the model behind cannot do.
    """

    form: str
    model: str
    behind: str
    cannot: tuple[str, ...] = ()

    @property
    def tries(self) -> int:
        return TRIES if self.behind == "SmolLM2" else 1


CASES = (
    Case("openai-chat", "gpt-5", "SmolLM2", ("chat-image-input",)),
    Case("openai-chat", "gpt-4o", "a vendor of that API"),
    Case("open-responses", "gpt-5", "SmolLM2", ("image-input",)),
    Case("open-responses", "gpt-4o", "a vendor of that API"),
    Case("open-responses", "llama-3.3-70b", "a vendor of chat completions"),
    Case("anthropic", "claude-haiku-4-5", "SmolLM2", ("anth-image-input",)),
    Case("anthropic", "claude-sonnet-5", "a vendor of that API"),
    Case("anthropic", "gpt-4o", "a vendor of OpenAI's API"),
)


@pytest.mark.parametrize("case", CASES, ids=[f"{case.form}, {case.behind}" for case in CASES])
def test_llm_comply(case: Case, gateway: RunningGateway, rows: list[Row]) -> None:
    """All passes, but for what the model cannot do: that is refused as such, by name."""
    if missing := COMPLY.missing():
        pytest.skip(missing)
    results = _results(gateway, case)
    for _ in range(case.tries - 1):
        again = _failed(results) - set(case.cannot)
        if again:
            results |= _results(gateway, case, again)
    failed = _failed(results)
    passed = sum(result["status"] == "passed" for result in results.values())
    skipped = sum(result["status"] == "skipped" for result in results.values())
    told = (
        f"{passed} passed",
        f"{len(failed)} refused as it must",
        f"{skipped} not for this model",
    )
    counts = (True, bool(case.cannot), bool(skipped))
    result = ", ".join(word for word, count in zip(told, counts, strict=True) if count)
    if failed != set(case.cannot):
        result = f"{passed} passed, {', '.join(sorted(failed))} FAILED"
    what = f"format {case.form}, in front of {case.behind}"
    rows.append(Row(COMPLY.client, COMPLY.versions(), what, result))
    assert failed == set(case.cannot), json.dumps(list(results.values()), indent=1)
    assert passed
    for name in case.cannot:
        assert REFUSED in _comply(gateway, case, "-v", "-f", name)


def _failed(results: Mapping[str, Any]) -> set[str]:
    return {name for name, result in results.items() if result["status"] == "failed"}


def _results(
    gateway: RunningGateway, case: Case, only: Iterable[str] = ()
) -> dict[str, dict[str, Any]]:
    """What the suite says of each of its tests, or of these."""
    chosen = ("-f", ",".join(only)) if only else ()
    told = json.loads(_comply(gateway, case, "--json", *chosen))
    return {result["id"]: result for result in told["results"]}


def _comply(gateway: RunningGateway, case: Case, *flags: str) -> str:
    command = [str(CLIENTS / "bin" / "llm-comply"), "-u", f"{gateway.url}/v1", "-k", KEY]
    command += ["-m", case.model, "--format", case.form, *FLAGS[case.form], *flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST, check=False)
    return done.stdout
