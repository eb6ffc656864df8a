"""The table of an evaluation: for people, for a report, for a spreadsheet, for programs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click
import msgspec

from gateway.access.prices import MILLION
from gateway.cli.text import counted
from gateway.printed import cell, plain
from gateway.readiness.evaluation.table import Comparison, Count, Row, Table, Times

NOTHING = "–"


@dataclass(frozen=True, slots=True)
class _Block:
    """A title, and a grid whose first line has the names of its columns."""

    title: str
    grid: Sequence[Sequence[str]]


def _text(table: Table) -> str:
    parts = [click.style(_head(table), bold=True)]
    for block in _blocks(table):
        parts.append("\n".join((*([block.title] if block.title else ()), *_columns(block.grid))))
    parts += ["\n".join(_missed(row, "  ")) for row in table.rows if row.missed]
    parts += ["\n".join(_compared(one, "  ")) for one in table.comparisons]
    parts += [click.style(line, fg="red", bold=True) for line in _wrong(table)]
    return "\n\n".join(parts)


def _markdown(table: Table) -> str:
    parts = [_head(table)]
    for block in _blocks(table):
        head, *rows = ([*map(cell, line)] for line in block.grid)
        rule = ["---", *["---:"] * (len(head) - 1)]
        lines = [f"| {' | '.join(line)} |" for line in (head, rule, *rows)]
        parts.append("\n".join((*([f"**{block.title}**\n"] if block.title else ()), *lines)))
    parts += ["\n".join(_missed(row, "- ")) for row in table.rows if row.missed]
    parts += ["\n".join(_compared(one, "- ")) for one in table.comparisons]
    parts += [f"**{line}**" for line in _wrong(table)]
    return "\n\n".join(parts)


def _csv(table: Table) -> str:
    rows = [_flat(row, table) for row in table.rows]
    names = list(dict.fromkeys(name for row in rows for name in row))
    written = io.StringIO()
    writer = csv.DictWriter(written, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return written.getvalue().rstrip("\n")


def _json(table: Table) -> str:
    built = msgspec.to_builtins(table)
    for one, comparison in zip(built["comparisons"], table.comparisons, strict=True):
        one["verdict"] = comparison.verdict
    return json.dumps(built, indent=2)


WRITERS: Mapping[str, Callable[[Table], str]] = {
    "text": _text,
    "json": _json,
    "markdown": _markdown,
    "csv": _csv,
}
"""By the word of ``--format``."""


def _head(table: Table) -> str:
    words = [counted(table.prompts, "prompt"), counted(len(table.rows), "target")]
    if table.repeat > 1:
        words.append(f"each asked {table.repeat} times")
    if table.judge is not None:
        words.append(f"judged by {table.judge}")
    return ", ".join(words) + (
        " (interrupted: what there was by then)" if table.interrupted else ""
    )


def _missed(row: Row, indent: str) -> Iterator[str]:
    yield f"{row.target} does not pass"
    for id, why in row.missed.items():
        yield f"{indent}{plain(id)} ({', '.join(why)})"


def _wrong(table: Table) -> Iterator[str]:
    for row in table.rows:
        if row.refused is not None:
            yield f"{row.target} was not asked: {row.refused}"
    if table.judge_failed is not None:
        yield f"nothing was judged: {table.judge_failed}"


def _blocks(table: Table) -> Iterator[_Block]:
    rows = [row for row in table.rows if row.answers]
    if not rows:
        return
    names = ["target", "passed", "share", "first token", "whole", "tokens in + out"]
    names += [table.currency] + (["spread"] if table.repeat > 1 else [])
    yield _Block("", [names, *(_line(row, table) for row in rows)])
    yield from _counts("checks that passed", rows, lambda row: row.by_check)
    yield from _counts("prompts that passed, by tag", rows, lambda row: row.by_tag)
    errors = sorted({code for row in rows for code in row.errors})
    if errors:
        lines = [[code, *(str(row.errors.get(code, 0)) for row in rows)] for code in errors]
        yield _Block("answers that did not come", [["", *_targets(rows)], *lines])
    if any(row.not_judged for row in rows):
        line = ["prompts", *(str(row.not_judged) for row in rows)]
        yield _Block("not judged, and so not passed", [["", *_targets(rows)], line])


def _counts(
    title: str, rows: Sequence[Row], of: Callable[[Row], Mapping[str, Count]]
) -> Iterator[_Block]:
    names = list(dict.fromkeys(name for row in rows for name in of(row)))
    if names:
        lines = [[plain(name), *(_count(of(row).get(name)) for row in rows)] for name in names]
        yield _Block(title, [["", *_targets(rows)], *lines])


def _targets(rows: Sequence[Row]) -> list[str]:
    return [row.target for row in rows]


def _line(row: Row, table: Table) -> list[str]:
    cells = [
        row.target,
        f"{row.passed}/{row.answers}",
        f"{row.share:.1%}",
        _times(row.first),
        _times(row.whole),
        f"{row.prompt_tokens} + {row.completion_tokens}",
        _cost(row),
    ]
    if table.repeat > 1:
        spread = row.spread
        told = NOTHING
        if spread is not None:
            told = f"{spread.least:.1%} to {spread.most:.1%}, σ {spread.deviation:.1%}"
        cells.append(told)
    return cells


def _cost(row: Row) -> str:
    """What is known of it; with a plus where there is more."""
    if row.unpriced and not row.cost:
        return "not known"
    return f"{row.cost / MILLION:.4f}{'+' if row.unpriced else ''}"


def _times(times: Times | None) -> str:
    """The median, and what 95 % come under."""
    return NOTHING if times is None else f"{times.p50:.2f} / {times.p95:.2f} s"


def _count(count: Count | None) -> str:
    return NOTHING if count is None else f"{count.passed}/{count.of}"


def _compared(one: Comparison, indent: str) -> Iterator[str]:
    yield one.verdict
    for who, ids in ((one.baseline, one.lost), (one.target, one.gained)):
        if ids:
            yield f"{indent}only {who}: {', '.join(map(plain, ids))}"


def _columns(grid: Sequence[Sequence[str]]) -> Iterator[str]:
    """The first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*grid, strict=True)]
    for line in grid:
        first, *others = (
            each.rjust(width) if place else each.ljust(width)
            for place, (each, width) in enumerate(zip(line, widths, strict=True))
        )
        yield "  ".join((first, *others)).rstrip()


def _flat(row: Row, table: Table) -> dict[str, Any]:
    """One line of a spreadsheet."""
    found: dict[str, Any] = {
        "target": row.target,
        "refused": row.refused or "",
        "answers": row.answers,
        "passed": row.passed,
        "share": round(row.share, 4),
        "not_judged": row.not_judged,
        "prompt_tokens": row.prompt_tokens,
        "completion_tokens": row.completion_tokens,
        f"cost_{table.currency}": row.cost / MILLION,
        "unpriced": row.unpriced,
    }
    for name, times in (("first", row.first), ("whole", row.whole)):
        found[f"{name}_p50"] = "" if times is None else times.p50
        found[f"{name}_p95"] = "" if times is None else times.p95
    if table.repeat > 1:
        spread = row.spread
        for name in ("least", "most", "deviation"):
            found[f"share_{name}"] = "" if spread is None else round(getattr(spread, name), 4)
    for what, counts in (("check", row.by_check), ("tag", row.by_tag)):
        for name, count in counts.items():
            found |= {f"{what} {name} passed": count.passed, f"{what} {name} of": count.of}
    return found | {f"error {code}": number for code, number in row.errors.items()}
