"""What policy costs as rules, targets and the catalog grow: deciding, loading, comparing."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import plot
from benchmarks.ground import Ground
from benchmarks.policy.made import policy_files
from benchmarks.policy.measured import (
    compare,
    compare_all,
    decide,
    decide_first,
    load_steps,
    loaded,
    resolve_rows,
    targets,
)
from benchmarks.suite import Goal

RULES, QUICK_RULES = (1, 10, 100, 1_000, 10_000), (1, 10, 100)
FAMILIES, QUICK_FAMILIES = (0, 1_000, 5_000), (0,)
UNDER = 100
"""Rules of the policy under which targets grow."""
Row = dict[str, Any]


class PolicySuite:
    """In this process, by the functions that serve, with no cache but theirs."""

    name = "policy"
    title = "Policy: deciding, loading, comparing"

    def run(self, ground: Ground) -> dict[str, Any]:
        counts = QUICK_RULES if ground.quick else RULES
        seconds = min(0.5, ground.seconds / 3)
        some = targets(10)
        # What is imported and remembered at the first time is nobody's cost.
        load_steps(policy_files(10))
        with ground.on(ground.server_core):
            return {
                "rules": [_of_rules(count, some, seconds) for count in counts],
                "under": UNDER,
                "targets": _of_targets(counts, seconds),
                "families": resolve_rows(
                    QUICK_FAMILIES if ground.quick else FAMILIES, 100 if ground.quick else 20
                ),
            }

    def markdown(self, found: dict[str, Any]) -> str:
        return "\n".join((_rules_table(found), _targets_table(found), _families_table(found)))

    def plots(self, found: dict[str, Any], folder: Path) -> list[Path]:
        of_rules, of_targets = found["rules"], found["targets"]
        decisions = {
            "a decision, by rules": _points(of_rules, "rules", "decide_us"),
            "the first on a target, by rules": _points(of_rules, "rules", "first_us"),
            "a decision, by targets": _points(of_targets, "targets", "decide_us"),
        }
        loads = {
            "loading": _points(of_rules, "rules", "load_ms"),
            "of it: reading YAML": _points(of_rules, "rules", "parse_ms"),
            "of it: compiling": _points(of_rules, "rules", "compile_ms"),
            "comparing two, a target": _points(of_rules, "rules", "diff_ms"),
        }
        across = "rules or targets"
        decided, load = folder / "policy-decide.svg", folder / "policy-load.svg"
        return [
            plot.lines(decided, "Deciding about one target", across, "µs a decision", decisions),
            plot.lines(load, "Loading and comparing policies", "rules", "ms", loads),
        ]

    def goals(self, found: dict[str, Any]) -> Sequence[Goal]:
        return ()


def _of_rules(count: int, some: Sequence[Any], seconds: float) -> Row:
    policy, steps = load_steps(policy_files(count))
    return {
        "rules": count,
        "decide_us": decide(policy, some, seconds),
        "first_us": decide_first(policy, seconds),
        **steps,
        **compare(policy, count, some, seconds),
    }


def _of_targets(counts: Sequence[int], seconds: float) -> list[Row]:
    """Under policies of ``UNDER`` rules."""
    old, new = (loaded(policy_files(UNDER, serves=verdict)) for verdict in ("allow", "deny"))
    every = targets(max(counts))
    return [
        {
            "targets": count,
            "decide_us": decide(old, every[:count], seconds),
            "diff_ms": compare_all((old, new), every[:count]),
        }
        for count in counts
    ]


def _points(rows: Sequence[Row], across: str, up: str) -> list[tuple[float, float]]:
    return [(row[across], _middle(row[up])) for row in rows if up in row]


def _middle(value: float | list[float]) -> float:
    return statistics.median(value) if isinstance(value, list) else value


def _rules_table(found: dict[str, Any]) -> str:
    """Each figure beside that of the smallest policy."""
    rows = found["rules"]
    lines = [
        "Times of one rule in brackets. A first decision is the first on a target after a policy "
        "was loaded: what rules say of it is sorted out once. Loading is reading YAML, checking, "
        "compiling and running the policy's tests; comparing is what a ban changes for whom, of "
        "one target.\n",
        "| rules | a decision, µs | the first, µs | loading, ms | of it YAML | of it compiling "
        "| comparing, ms |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = [
            f"{row['rules']:,}",
            _beside(rows, row, "decide_us"),
            _beside(rows, row, "first_us"),
            f"{row['load_ms']:.0f}",
            f"{row['parse_ms'] / row['load_ms']:.0%}",
            f"{row['compile_ms'] / row['load_ms']:.0%}",
            f"{row['diff_ms']:.2f}" if "diff_ms" in row else f"refused: `{row['refused']}`",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _targets_table(found: dict[str, Any]) -> str:
    rows = found["targets"]
    lines = [
        f"By targets, under {found['under']} rules; times of one target in brackets:\n",
        "| targets, asked in turn | a decision, µs | comparing over all, ms |",
        "|---|---|---|",
    ]
    lines += [
        f"| {row['targets']:,} | {_beside(rows, row, 'decide_us')} | {row['diff_ms']:.1f} |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def _families_table(found: dict[str, Any]) -> str:
    rows = found["families"]
    lines = [
        f"Telling who is behind an id, over {rows[0]['ids']} ids of litellm's map, as the families "
        "of the catalog grow (the first row is the shipped one):\n",
        "| families | p50, µs | p99, µs |",
        "|---|---|---|",
    ]
    lines += [
        f"| {row['families']:,} | {_beside(rows, row, 'resolve_us')} "
        f"| {row['resolve_p99_us']:.0f} |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def _beside(rows: Sequence[Row], row: Row, what: str) -> str:
    """A figure, and how many times that of the first row it is."""
    value, first = _middle(row[what]), _middle(rows[0][what])
    return f"{value:,.1f} ({value / first:.1f}×)"
