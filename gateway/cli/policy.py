"""``gateway policy``: questions to a policy, with or without a running gateway."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click
from pydantic import TypeAdapter

from gateway.access.callers import claiming
from gateway.access.keys import LABELS
from gateway.cli.options import Moment, Said, config_option, format_option, policy_option
from gateway.cli.policy_diff import diff_
from gateway.cli.policy_signing import keygen, sign, verify_
from gateway.cli.policy_simulate import simulate_
from gateway.cli.policy_test import test_
from gateway.cli.remote import running_gateway
from gateway.cli.settled import settings_of
from gateway.cli.text import COLOURS, counted
from gateway.config.settings import Settings
from gateway.domain.call import Api
from gateway.domain.decision import Labels
from gateway.domain.target import Capability
from gateway.errors import DocumentError
from gateway.inventory import Inventory
from gateway.policy.explain import ExplainedRule, ExplainedTarget, Explanation, explain
from gateway.standalone import offline_engine
from gateway.wire import openai_embeddings, openai_passing

NEEDS: Mapping[Api, frozenset[Capability]] = {
    Api.COMPLETIONS: frozenset({Capability.COMPLETIONS}),
    Api.EMBEDDINGS: openai_embeddings.NEEDS,
    **{api: frozenset({need}) for api, need in openai_passing.NEEDS.items()},
}
"""What an API needs of a target, whatever its requests are."""


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
    try:
        loaded = Inventory(settings).load_policy()
    except DocumentError as error:
        problems = error.problems
        if format_ == "json":
            click.echo(json.dumps({"problems": [asdict(problem) for problem in problems]}))
        else:
            for problem in problems:
                click.echo(problem)
            click.secho(f"{counted(len(problems), 'mistake')}: not loaded", fg="red", bold=True)
        sys.exit(1)
    facts = {
        "rules": len(loaded.rules),
        "waivers": len(loaded.waivers),
        "designations": len(loaded.designations),
        "tests": len(loaded.tests),
    }
    if format_ == "json":
        answer = {"revision": loaded.revision, "mode": loaded.mode, **facts, "problems": []}
        click.echo(json.dumps(answer))
    else:
        held = ", ".join(counted(count, name.rstrip("s")) for name, count in facts.items())
        click.echo(f"{settings.policy.dir}: {held}; mode {loaded.mode}")
        click.echo(f"revision {loaded.revision}")


@policy.command("explain")
@click.option("--model", required=True, help="A configured model or a bare target id.")
@click.option("--team")
@click.option("--app")
@click.option("--environment")
@click.option("--data-class")
@click.option("--tag", "tags", multiple=True)
@click.option(
    "--says",
    multiple=True,
    type=Said(),
    metavar="LABEL=VALUE",
    help="What the request says of itself by header; the stricter decision counts.",
)
@click.option("--at", type=Moment(), help="The instant to decide for.  [default: now]")
@click.option(
    "--api",
    type=click.Choice([api.value for api in Api]),
    help="What is asked.  [default: what the model is there for]",
)
@click.option("--live", is_flag=True, help="Ask the running gateway: what is not well counts too.")
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
    says: tuple[tuple[str, str], ...],
    at: datetime | None,
    api: str | None,
    live: bool,
    config: Path,
    policy_dir: Path | None,
    format_: str,
) -> None:
    """Say what would happen to a request, and which rule says so.

    Example: gateway policy explain --model gpt-4o
    """
    known = Labels(team, app, environment, data_class, frozenset(tags))
    labels = claiming(known, dict(says), LABELS)
    if live and api is not None:
        raise click.UsageError("a running gateway is asked without --api")
    if live:
        _show(_asked(settings_of(config, policy_dir), model, labels, at), format_)
        return
    moment = at or datetime.now(UTC)
    engine = offline_engine(settings_of(config, policy_dir), model)
    which = None if api is None else Api(api)
    plan = engine.plan(
        model,
        api=which,
        needs=frozenset() if which is None else NEEDS.get(which, frozenset()),
        labels=labels,
        at=moment,
    )
    _show(explain(engine.policy, plan, model, labels, moment), format_)


def _asked(settings: Settings, model: str, labels: Labels, at: datetime | None) -> Explanation:
    """What the running gateway says. Ends with 1 where none runs."""
    remote = running_gateway(settings)
    if remote is None:
        click.echo("no gateway is running on this configuration", err=True)
        sys.exit(1)
    said = {
        "model": model,
        "team": labels.team,
        "app": labels.app,
        "environment": labels.environment,
        "data_class": labels.data_class,
        "tag": sorted(labels.tags),
        "at": at.isoformat() if at is not None else None,
    }
    query = {name: value for name, value in said.items() if value is not None}
    return TypeAdapter(Explanation).validate_python(remote.ask("GET", "/explain", query=query))


def _show(explanation: Explanation, format_: str) -> None:
    if format_ == "json":
        click.echo(json.dumps(asdict(explanation), indent=2, default=_plain))
    else:
        _print(explanation)


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _print(explanation: Explanation) -> None:
    policy_, request = explanation.policy, explanation.request
    labels = asdict(request)
    del labels["model"]
    said = {f"saying {name}": value for name, value in labels.pop("said").items()}
    labels |= said
    who = ", ".join(f"{name} {_words(value)}" for name, value in labels.items() if value)
    click.echo(f"{request.model}{f' for {who}' if who else ''} at {explanation.at.isoformat()}")
    click.echo(f"policy {policy_.revision[:12]}, mode {policy_.mode}")
    rules = {rule.id: rule for rule in explanation.rules}
    for target in explanation.targets:
        _print_target(target, rules)
    outcome = click.style(explanation.outcome, bold=True)
    click.echo(f"\nplan: {' → '.join(explanation.plan) or 'nothing'} ({outcome})")


def _print_target(target: ExplainedTarget, rules: Mapping[str, ExplainedRule]) -> None:
    lineage = f" (derived from {', '.join(target.lineage)})" if target.lineage else ""
    click.secho(f"\n{target.target}", bold=True)
    click.echo(
        f"  channel {target.channel}, developer {target.developer}{lineage}, "
        f"model {target.model}, {target.locality}, "
        f"{' '.join(target.jurisdiction) or 'no jurisdiction'}"
    )
    handling = f", {target.handling}" if target.handling else ""
    verdict = click.style(f"{target.verdict}{handling}", fg=COLOURS[target.verdict], bold=True)
    reason = f": {target.reason}" if target.reason else ""
    click.echo(f"  {verdict} by {_place(target.rule, rules)}{reason}")
    if target.reference:
        click.echo(f"  see {target.reference}")
    if target.waiver:
        click.echo(f"  lifted by waiver {target.waiver}")
    if target.drained is not None:
        click.echo(f"  drained: {target.drained:.0%} of requests are still sent here")
    for rule in target.matched:
        if rule != target.rule:
            click.echo(f"  also matched: {rules[rule].verdict} by {_place(rule, rules)}")
    for rule in target.shadowed:
        click.echo(f"  in shadow: {rules[rule].verdict} by {_place(rule, rules)}")
    if target.left_out:
        click.echo(f"  left out of the plan: {target.left_out}")


def _place(rule: str, rules: Mapping[str, ExplainedRule]) -> str:
    """A rule, and where it is written; the default is written nowhere."""
    known = rules.get(rule)
    return f"rule {rule} ({known.source})" if known else f"rule {rule}"


def _words(value: object) -> str:
    return " ".join(value) if isinstance(value, list) else str(value)


for command in (test_, diff_, simulate_, keygen, sign, verify_):
    policy.add_command(command)
