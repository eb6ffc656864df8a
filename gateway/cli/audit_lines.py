"""``gateway audit tail | query``: the lines of the log, as they come or as they are asked for."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click
import msgspec

from gateway.audit.chosen import ANY, Chosen, Sums, query
from gateway.audit.following import Following
from gateway.audit.reader import BadLine, Checkpoint, Event, Line, Request, last, log_files
from gateway.audit.sentence import data, sentence
from gateway.cli.audit_log import log_argument, log_of
from gateway.cli.options import Moment, config_option, format_option
from gateway.cli.text import counted
from gateway.printed import plain

LOOK_EVERY = 0.25
"""Seconds between two looks for new lines."""
KINDS: dict[str, type[Line]] = {"request": Request, "event": Event, "checkpoint": Checkpoint}
MILLIONTHS = 1_000_000


@click.command()
@log_argument
@click.option("-n", "count", type=click.IntRange(0), default=10, show_default=True, help="Lines.")
@click.option("-f", "--follow", is_flag=True, help="Go on with the lines that come.")
@click.option("--kind", type=click.Choice([*KINDS]), help="Only lines of one kind.")
@click.option("--outcome", help="Only requests that ended so: served, or an error's code.")
@config_option
@format_option
def tail(
    log: Path | None,
    count: int,
    follow: bool,
    kind: str | None,
    outcome: str | None,
    config: Path,
    format_: str,
) -> None:
    """Show the last lines: of a request the time, key and team, the model that was asked and the
    target that answered, what decided, how it ended, milliseconds and tokens.

    Example: gateway audit tail -f --kind request
    """
    log = log_of(log, config)

    def wanted(line: Line) -> bool:
        if outcome is not None:
            return isinstance(line, Request) and line.record.outcome == outcome
        return kind is None or isinstance(line, KINDS[kind])

    say = _say if format_ == "text" else _say_json
    coming = Following(log) if follow else None
    shown = 0
    for line in last(log, count, wanted):
        say(line)
        shown = shown if isinstance(line, BadLine) else line.seq
    try:
        while coming is not None:
            for line in coming.more():
                # What came between the two looks is in both of them.
                if wanted(line) and (isinstance(line, BadLine) or line.seq > shown):
                    say(line)
            time.sleep(LOOK_EVERY)
    except KeyboardInterrupt:
        return


@click.command("query")
@log_argument
@click.option("--since", type=Moment(), help="Not before this date or time.")
@click.option("--until", type=Moment(), help="Before this date or time.")
@click.option("--key", help="The id of the key that was shown.")
@click.option("--team")
@click.option("--app")
@click.option("--model", help="That was asked for.")
@click.option("--target", help="That was tried.")
@click.option("--vendor", help="Of a target that was tried, in whatever role.")
@click.option("--outcome", help="served, cancelled, broken or an error's code.")
@click.option("--rule", help="That decided on one of the targets.")
@click.option("--failover", is_flag=False, flag_value=ANY, help="For a reason, or for any.")
@click.option(
    "--event", is_flag=False, flag_value=ANY, help="Events instead: one, those of a kind, or all."
)
@click.option("--id", help="Of the request: ours, or the app's own.")
@click.option("--limit", type=click.IntRange(1), help="End behind so many lines.")
@config_option
@click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json", "jsonl"]),
    default="text",
    show_default=True,
    help="How to print; jsonl are the lines as they stand in the log.",
)
def query_(log: Path | None, limit: int | None, config: Path, format_: str, **asked: Any) -> None:
    """Show the requests for which all that is asked is so, in the order in which they ended, and
    what they come to.

    Example: gateway audit query --since 2026-03-01 --team shop --vendor openai
    """
    sums, bad = Sums(), 0
    if format_ == "json":
        click.echo('{"lines": [', nl=False)
    for line, text in query(log_files(log_of(log, config)), Chosen(**asked)):
        if isinstance(line, BadLine):
            bad += 1
            click.secho(plain(sentence(line)), fg="yellow", err=True)
            continue
        if format_ == "text":
            _say(line)
        elif format_ == "jsonl":
            click.echo(text.content)
        else:
            click.echo((b",\n" if sums.lines else b"\n") + text.content, nl=False)
        sums.add(line)
        if sums.lines == limit:
            break
    if format_ == "text":
        _print_sums(sums)
    elif format_ == "json":
        told = {**msgspec.to_builtins(sums), "bad_lines": bad}
        click.echo(f'],\n"sums": {json.dumps(told)}}}')


def _print_sums(sums: Sums) -> None:
    if sums.events:
        click.echo(counted(sums.events, "event"))
        return
    outcomes = ", ".join(f"{count} {plain(name)}" for name, count in sums.outcomes.most_common())
    silent = f" ({sums.silent} tell none)" if sums.silent else ""
    free = f" ({sums.priceless} have none)" if sums.priceless else ""
    click.secho(
        f"{counted(sums.requests, 'request')}{': ' if outcomes else ''}{outcomes}", bold=True
    )
    click.echo(
        f"{sums.prompt_tokens} + {sums.completion_tokens} tokens{silent}, "
        f"cost {sums.cost / MILLIONTHS:.6f}{free}"
    )


def _say(line: Line) -> None:
    colour = "yellow" if isinstance(line, BadLine) else None
    if isinstance(line, Request) and line.record.outcome != "served":
        colour = "red" if (line.record.status or 0) >= 500 else "yellow"
    if isinstance(line, Event):
        colour = "cyan"
    click.secho(plain(sentence(line)), fg=colour)


def _say_json(line: Line) -> None:
    click.echo(msgspec.json.encode(data(line)))
