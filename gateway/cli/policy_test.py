"""``gateway policy test``: the policy's own tests, and what of it they reach."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from gateway.cli.options import config_option, format_option, policy_option
from gateway.cli.settled import settings_of
from gateway.cli.text import counted
from gateway.inventory import Inventory, policy_sources
from gateway.policy.coverage import Covered, Reach, coverage
from gateway.policy.embedded_tests import Tested, run_tests

_COLOURS = {Reach.DECIDES: "green", Reach.MATCHES: "yellow", Reach.NONE: "red"}


@click.command("test")
@config_option
@policy_option
@format_option
def test_(config: Path, policy_dir: Path | None, format_: str) -> None:
    """Run the embedded tests and show which rules and waivers they reach. Exits with 1 if one
    fails.

    Example: gateway policy test --policy configs/policies
    """
    settings = settings_of(config, policy_dir)
    inventory = Inventory(settings)
    sources = policy_sources(settings)
    # Without running them at once: a policy whose tests fail does not load, and is shown here.
    policy = inventory.policy_loader().compiled(sources, sources.read())
    tested = run_tests(policy, inventory.identity, datetime.now(UTC))
    covered = coverage(policy, tested)
    if format_ == "json":
        click.echo(json.dumps(_plain(policy.revision, tested, covered), indent=2))
    else:
        _print(tested, covered)
    if any(one.failure is not None for one in tested):
        sys.exit(1)


def _plain(revision: str, tested: tuple[Tested, ...], covered: tuple[Covered, ...]) -> object:
    return {
        "revision": revision,
        "tests": [
            {
                "name": one.test.name,
                "passed": one.failure is None,
                "failure": one.failure,
                "verdict": one.decision.verdict,
                "rule": one.decision.rule,
            }
            for one in tested
        ],
        "coverage": [
            {"kind": one.kind, "id": one.id, "source": one.source, "reach": one.reach}
            for one in covered
        ],
    }


def _print(tested: tuple[Tested, ...], covered: tuple[Covered, ...]) -> None:
    for one in tested:
        passed = one.failure is None
        mark = click.style("pass" if passed else "FAIL", fg="green" if passed else "red")
        decided = f"{one.decision.verdict} by rule {one.decision.rule}"
        click.echo(f"{mark}  {one.test.name}: {decided if passed else one.failure}")
    failed = sum(one.failure is not None for one in tested)
    click.echo(f"{counted(len(tested), 'test')}, {failed} failed\n")
    for row in covered:
        reach = click.style(f"{row.reach:7}", fg=_COLOURS[row.reach])
        click.echo(f"{reach}  {row.kind} {row.id} ({row.source})")
    reached = sum(row.reach is Reach.DECIDES for row in covered)
    click.echo(f"tests decide by {reached} of {len(covered)} rules and waivers")
