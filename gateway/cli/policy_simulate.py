"""``gateway policy simulate``: recorded requests under another policy, and whether local holds."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from gateway.audit.reader import BadLine, Request, log_files, read_log
from gateway.audit.record import Record
from gateway.cli.options import Moment, config_option, format_option
from gateway.cli.settled import settings_of
from gateway.cli.text import counted
from gateway.config.sources import Sources
from gateway.dialled import with_credentials
from gateway.errors import ModelNotFound
from gateway.files import write_atomically
from gateway.inventory import Inventory
from gateway.processes.logs import Logs, configure_logs
from gateway.readiness.capacity import CAPACITY, Capacity, encode, kept
from gateway.readiness.simulate import Simulation, simulate
from gateway.readiness.work import Sum
from gateway.standalone import measure_local

USUAL_PROMPT = 256
"""Tokens of a prompt to measure with, where no record tells any."""


@click.command("simulate")
@click.argument("new", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--audit",
    required=True,
    type=click.Path(path_type=Path, exists=True),
    help="An audit log, or the folder of audit-*.jsonl.",
)
@click.option("--at", type=Moment(), help="Replay all as of one instant.  [default: each its own]")
@click.option("--measure", is_flag=True, help="Measure the local models first (takes a while).")
@config_option
@format_option
def simulate_(
    new: Path, audit: Path, at: datetime | None, measure: bool, config: Path, format_: str
) -> None:
    """Replay an audit log under another policy: what share of requests, tokens and apps would move
    where, and whether the local models hold. Exits with 1 where they do not, or where a record
    cannot be decided again as it was.

    Example: gateway policy simulate /tmp/policies --audit var/audit
    """
    settings = settings_of(config)
    inventory = Inventory(settings)
    sources = Sources(new, settings.policy.designations)
    policy = inventory.policy_loader().compiled(sources, sources.read())
    log = _Log(log_files(audit))
    routes = inventory.routes(with_credentials(settings))

    def last_resort(model: str) -> bool:
        try:
            return routes.find(model).risky_last_resort
        except ModelNotFound:
            return False

    result = simulate(
        log.records(),
        policy,
        last_resort=last_resort,
        without_credentials=routes.without_credentials | _shut(inventory),
        at=at,
    )
    if measure:
        _measure(inventory, log.usual_prompt)
    capacity = kept(settings.state.dir, inventory.weights)
    answer = _answer(result, log.bad, capacity)
    if format_ == "json":
        click.echo(json.dumps(answer, indent=2))
    else:
        _print(answer)
    if result.differing or any(one["holds"] is False for one in answer["local"]):
        sys.exit(1)


class _Log:
    """A log that is read once, and what was met in it besides its records."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = files
        self._prompts: Counter[int] = Counter()
        self.bad: list[BadLine] = []

    def records(self) -> Iterator[Record]:
        for line in read_log(self._files):
            if isinstance(line, Request):
                self._prompts[line.record.prompt_tokens or 0] += 1
                yield line.record
            elif isinstance(line, BadLine):
                self.bad.append(line)

    @property
    def usual_prompt(self) -> int:
        """The median of the prompts' tokens, where any were told."""
        sizes = sorted(size for size in self._prompts if size)
        half = sum(self._prompts[size] for size in sizes) / 2
        for size in sizes:
            half -= self._prompts[size]
            if half <= 0:
                return size
        return USUAL_PROMPT


def _shut(inventory: Inventory) -> set[str]:
    """The channels that nothing is sent to because the gateway is offline."""
    if not inventory.settings.offline:
        return set()
    return set(inventory.facts) - set(inventory.sovereign)


def _measure(inventory: Inventory, prompt: int) -> None:
    """Measure with prompts of so many tokens, and keep what came of it."""
    configure_logs(Logs())
    click.echo(f"measuring {', '.join(inventory.local)} with prompts of {prompt} tokens", err=True)
    found = asyncio.run(measure_local(inventory, prompt))
    folder = inventory.settings.state.dir
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / CAPACITY, encode(found))


def _answer(
    result: Simulation, bad: Sequence[BadLine], capacity: Mapping[str, Capacity]
) -> dict[str, Any]:
    apps = result.apps
    return {
        "requests": result.total.requests,
        "minutes": result.minutes,
        "moved": _share(result.moved, result.total),
        "denied": _share(result.denied, result.total),
        "apps": {"moved": apps[True], "all": apps.total()},
        "rows": [
            {"app": row.app, "model": row.model, "from": row.old, "to": row.new}
            | _share(one, result.total)
            for row, one in sorted(
                result.rows.items(), key=lambda item: (-item[1].requests, str(item[0]))
            )
        ],
        "local": [
            _local(target, result, capacity.get(target.partition("/")[2]))
            for target in sorted(result.local)
        ],
        "without_tokens": result.without_tokens,
        "recomputed": result.recomputed,
        "differing": result.differing,
        "bad_lines": [
            {"file": one.place.file, "line": one.place.line, "reason": one.reason, "cut": one.cut}
            for one in bad
        ],
    }


def _share(part: Sum, whole: Sum) -> dict[str, Any]:
    """Counts, and shares from 0 to 1."""
    return {
        "requests": part.requests,
        "share": round(part.requests / whole.requests, 4) if whole.requests else 0.0,
        "tokens": part.tokens,
        "token_share": round(part.tokens / whole.tokens, 4) if whole.tokens else 0.0,
    }


def _local(target: str, result: Simulation, capacity: Capacity | None) -> dict[str, Any]:
    """What lands on a local model, in tokens a minute, and whether it holds."""
    load = result.local[target]
    busiest = load.busiest(capacity.seconds if capacity else lambda work: float(work.tokens))
    prompt = sum(one.prompt_tokens for one in load.minutes.values())
    completion = sum(one.completion_tokens for one in load.minutes.values())
    told: dict[str, Any] = {
        "target": target,
        "mean": {
            "prompt": round(prompt / result.minutes, 1),
            "completion": round(completion / result.minutes, 1),
        },
        "busiest": {"prompt": busiest.prompt_tokens, "completion": busiest.completion_tokens},
        "measured": None,
        "busy": None,
        "holds": None,
    }
    if capacity is not None:
        told["measured"] = {
            "prompt": round(capacity.prompt_rate * 60),
            "completion": round(capacity.answer_rate * 60),
            "at": capacity.measured.isoformat(timespec="seconds"),
            "cores": capacity.cores,
            "slots": capacity.slots,
        }
        told["busy"] = round(capacity.seconds(busiest) / 60, 4)
        told["holds"] = capacity.seconds(busiest) <= 60
    return told


def _print(answer: dict[str, Any]) -> None:
    requests = counted(answer["requests"], "request")
    click.echo(f"{requests} in {counted(answer['minutes'], 'minute')}")
    for what in ("moved", "denied"):
        part = answer[what]
        click.echo(f"{what}: {part['share']:.1%} of requests, {part['token_share']:.1%} of tokens")
    click.echo(
        f"apps with a request that moves: {answer['apps']['moved']} of {answer['apps']['all']}\n"
    )
    for row in answer["rows"]:
        moved = row["from"] if row["from"] == row["to"] else f"{row['from']} → {row['to']}"
        app = row["app"] or "(no app)"
        share = f"{row['share']:6.1%} {row['token_share']:6.1%}"
        click.secho(
            f"{row['requests']:7} {share}  {app}  {row['model']}  {moved}",
            fg=None if row["from"] == row["to"] else "yellow",
        )
    for local in answer["local"]:
        _print_local(local)
    if answer["without_tokens"]:
        click.echo(f"{answer['without_tokens']} requests tell no tokens and count as none")
    click.echo(f"{answer['recomputed']} records of this very revision decided again")
    for line in answer["differing"]:
        click.secho(f"decided otherwise than recorded: {line}", fg="red", bold=True, err=True)
    for bad in answer["bad_lines"]:
        what = "cut off" if bad["cut"] else bad["reason"]
        click.secho(f"{bad['file']}:{bad['line']}: no record ({what})", fg="yellow", err=True)


def _print_local(local: dict[str, Any]) -> None:
    mean, busiest, measured = local["mean"], local["busiest"], local["measured"]
    click.secho(f"\n{local['target']}, tokens a minute (prompt + answer)", bold=True)
    click.echo(
        f"  mean {mean['prompt']:g} + {mean['completion']:g}, "
        f"busiest minute {busiest['prompt']} + {busiest['completion']}"
    )
    if measured is None:
        click.secho("  capacity not measured: --measure does it", fg="yellow")
        return
    click.echo(
        f"  capacity {measured['prompt']} or {measured['completion']}, measured "
        f"{measured['at']} on {measured['cores']} cores with {measured['slots']} slots"
    )
    word, colour = ("holds", "green") if local["holds"] else ("DOES NOT HOLD", "red")
    click.echo(
        "  "
        + click.style(word, fg=colour, bold=True)
        + f": busy for {local['busy']:.0%} of the busiest minute"
    )
