"""``gateway doctor``: what is wrong, or will be when it counts, before it does."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path

import click

from gateway.cli.options import config_option, format_option, policy_option
from gateway.cli.settled import settings_of
from gateway.cli.text import counted
from gateway.errors import GatewayError
from gateway.examining.models import without_files
from gateway.examining.whole import examined
from gateway.readiness.doctor.checks import CONFIGURATION, WORDS, chosen, examine
from gateway.readiness.doctor.finding import Check, Finding, Level
from gateway.readiness.doctor.models import files

_STOPS = "nothing starts before this is corrected"
_AS_WHOM = "look as the gateway's own user (sudo -u)"
_COLOURS = {Level.ERROR: "red", Level.WARNING: "yellow", Level.INFO: "cyan"}


@click.command()
@config_option
@policy_option
@format_option
@click.option(
    "--only",
    multiple=True,
    type=click.Choice(WORDS),
    metavar="CHECK",
    help="A check to make, or a group of them; repeatable. See docs/doctor.md.",
)
@click.option(
    "--skip",
    multiple=True,
    type=click.Choice(WORDS),
    metavar="CHECK",
    help="A check to leave out, or a group of them; repeatable.",
)
@click.option("--strict", is_flag=True, help="Exit with 1 where there are only warnings, too.")
@click.option(
    "--connect",
    is_flag=True,
    help="Connect to each host that would be dialled, and ask it nothing.",
)
def doctor(
    config: Path,
    policy_dir: Path | None,
    format_: str,
    only: tuple[str, ...],
    skip: tuple[str, ...],
    strict: bool,
    connect: bool,
) -> None:
    """Look for what is wrong, or will be when a vendor is gone, and say what to do.

    Exit code 1 where something is wrong, 0 where there are warnings only. No name is looked up and
    nobody is dialled, but with --connect.

    Example: gateway doctor --format json --strict --skip gaps
    """
    found = _findings(config, policy_dir, chosen(only, skip), connect=connect)
    count = {level: sum(one.level is level for one in found) for level in Level}
    if format_ == "json":
        rows = [asdict(finding) for finding in found]
        shown = {"findings": rows, "errors": count[Level.ERROR], "warnings": count[Level.WARNING]}
        click.echo(json.dumps(shown, indent=2))
    else:
        for finding in found:
            _print(finding)
        errors, warnings = count[Level.ERROR], count[Level.WARNING]
        click.secho(f"{counted(errors, 'error')}, {counted(warnings, 'warning')}", bold=True)
    wrong = count[Level.ERROR] or (strict and count[Level.WARNING])
    sys.exit(1 if wrong else 0)


def _findings(
    config: Path, policy_dir: Path | None, checks: Collection[Check], *, connect: bool
) -> list[Finding]:
    """What there is to say, as far as the files that it hangs on can be read."""
    try:
        settings = settings_of(config, policy_dir)
        without = list(without_files(settings))
        if without:
            return [_unreadable(files.word, f"local/{name}", why) for name, why in without]
        groups = {one.group for one in checks}
        return examine(examined(settings, groups, connect=connect), checks)
    except GatewayError as error:
        return [_unreadable(CONFIGURATION, str(config), error.message)]
    except OSError as error:
        # Any of all that it names may be behind a folder that lets only the gateway's user through.
        why = f"{error.filename} cannot be looked at: {error.strerror}"
        return [_unreadable(CONFIGURATION, str(config), why, _AS_WHOM)]


def _unreadable(check: str, subject: str, why: str, advice: str = _STOPS) -> Finding:
    return Finding(check, Level.ERROR, subject, why, advice)


def _print(finding: Finding) -> None:
    click.secho(f"{finding.level:8}", fg=_COLOURS[finding.level], bold=True, nl=False)
    first, *rest = finding.message.splitlines()
    click.echo(f"{finding.subject}: {first} [{finding.check}]")
    for line in (*rest, finding.advice):
        click.echo(f"        {line}")
