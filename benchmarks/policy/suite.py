"""What decisions cost as rules and targets grow: deciding and loading."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import plot
from benchmarks.ground import Ground
from benchmarks.policy.made import policy_text
from benchmarks.suite import Goal
from gateway.config.policy_files import PolicyLoader
from gateway.config.shipped import load_catalog
from gateway.config.sources import POLICIES, Sources
from gateway.domain.decision import Labels
from gateway.domain.identity import ChannelFacts
from gateway.policy.compile import Policy
from gateway.policy.evaluate import evaluate
from gateway.vendors.resolve import resolve

COUNTS, QUICK_COUNTS = (1, 10, 100, 1_000, 10_000), (1, 10, 100)
MODEL = "gpt-4o"
ROUNDS = 5


class PolicySuite:
    """In this process, by the functions that serve."""

    name = "policy"
    title = "Policy: what a decision costs"

    def run(self, ground: Ground) -> dict[str, Any]:
        counts = QUICK_COUNTS if ground.quick else COUNTS
        rows = []
        with ground.on(ground.server_core):
            for count in counts:
                began = time.perf_counter()
                policy = loaded(policy_text(count))
                load = time.perf_counter() - began
                rows.append({"rules": count, "load_ms": load * 1e3, "decide_us": _decide(policy)})
        return {"rows": rows}

    def markdown(self, found: dict[str, Any]) -> str:
        lines = ["| rules | a decision, µs | loading, ms |", "|---|---|---|"]
        lines += [
            f"| {row['rules']:,} | {statistics.median(row['decide_us']):.1f} "
            f"| {row['load_ms']:.0f} |"
            for row in found["rows"]
        ]
        return "\n".join(lines) + "\n"

    def plots(self, found: dict[str, Any], folder: Path) -> list[Path]:
        points = [(row["rules"], statistics.median(row["decide_us"])) for row in found["rows"]]
        drawn = plot.lines(
            folder / "policy-decide.svg", "A decision", "rules", "µs", {"decide": points}
        )
        return [drawn]

    def goals(self, found: dict[str, Any]) -> Sequence[Goal]:
        return ()


def loaded(text: str) -> Policy:
    """The policy of one file, as a gateway reads it."""
    catalog = load_catalog()
    sources = Sources(Path("policies"), Path("designations"))
    facts = ChannelFacts("openai", "openai", "openai")
    loader = PolicyLoader(catalog, lambda target: resolve(target, facts, catalog))
    return loader.load(sources, {f"{POLICIES}/10.yaml": text.encode()})


def timed(step: Callable[[], object], seconds: float, rounds: int = ROUNDS) -> list[float]:
    """Microseconds of a call, of each round: as many calls as are made in that time."""
    found = []
    for _ in range(rounds):
        calls, began = 0, time.perf_counter()
        while (taken := time.perf_counter() - began) < seconds / rounds:
            step()
            calls += 1
        found.append(taken / calls * 1e6)
    return found


def _decide(policy: Policy) -> list[float]:
    catalog = load_catalog()
    identity = resolve(MODEL, ChannelFacts("openai", "openai", "openai"), catalog)
    who, now = Labels(team="bench"), datetime.now(UTC)
    return timed(lambda: evaluate(policy, f"openai/{MODEL}", identity, who, now), 0.2)
