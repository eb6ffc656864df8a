"""``gateway policy``: questions to a policy, with or without a running gateway."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click

from gateway.cli.options import Moment, config_option, format_option, policy_option, settings_of
from gateway.domain.decision import Labels
from gateway.policy.explain import Explanation, explain
from gateway.wiring import Inventory, offline_engine


@click.group()
def policy() -> None:
    """Check a policy and ask it questions.

    Example: gateway policy check --policy configs/policies
    """


@policy.command()
@config_option
@policy_option
@format_option
def check(config: Path, policy_dir: Path | None, format_: str) -> None:
    """Print every error with its position, or the revision.

    Example: gateway policy check --policy configs/policies
    """
    settings = settings_of(config, policy_dir)
    loaded = Inventory(settings).load_policy(settings.policy.dir)
    if format_ == "json":
        click.echo(json.dumps({"revision": loaded.revision, "mode": loaded.mode}))
    else:
        click.echo(f"{settings.policy.dir}: {len(loaded.rules)} rules, revision {loaded.revision}")


@policy.command("explain")
@click.option("--model", required=True, help="A configured model or a bare target id.")
@click.option("--team")
@click.option("--app")
@click.option("--environment")
@click.option("--data-class")
@click.option("--tag", "tags", multiple=True)
@click.option("--at", type=Moment(), help="The instant to decide for.  [default: now]")
@config_option
@policy_option
@format_option
def explain_(
    model: str,
    team: str | None,
    app: str | None,
    environment: str | None,
    data_class: str | None,
    tags: tuple[str, ...],
    at: datetime | None,
    config: Path,
    policy_dir: Path | None,
    format_: str,
) -> None:
    """Say what would happen to a request, and which rule says so.

    Example: gateway policy explain --model gpt-4o
    """
    labels = Labels(team, app, environment, data_class, frozenset(tags))
    moment = at or datetime.now(UTC)
    engine = offline_engine(settings_of(config, policy_dir), model)
    explanation = explain(engine.plan(model, labels=labels, at=moment), model, labels, moment)
    if format_ == "json":
        click.echo(json.dumps(asdict(explanation), indent=2, default=_plain))
    else:
        _print(explanation)


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


_COLOURS = {"allow": "green", "risky": "yellow", "deny": "red"}


def _print(explanation: Explanation) -> None:
    policy_ = explanation.policy
    click.echo(f"{explanation.request.model} at {explanation.at.isoformat()}")
    click.echo(f"policy {policy_.revision[:12]}, mode {policy_.mode}")
    for target in explanation.targets:
        click.echo(f"\n{target.target}")
        click.echo(
            f"  channel {target.channel}, developer {target.developer}, model {target.model}, "
            f"{target.locality}, {' '.join(target.jurisdiction) or 'no jurisdiction'}"
        )
        click.echo("  ", nl=False)
        click.secho(target.verdict, fg=_COLOURS[target.verdict], bold=True, nl=False)
        reason = f": {target.reason}" if target.reason else ""
        click.echo(f" by rule {target.rule}{reason}")
        if target.left_out:
            click.echo(f"  left out of the plan: {target.left_out}")
    click.echo(f"\nplan: {' → '.join(explanation.plan) or 'nothing'} ({explanation.outcome})")
