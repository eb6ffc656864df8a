"""``gateway eval``: an operator's own prompts at several targets, and who may stand in for whom."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import click

from gateway.asking import asking
from gateway.cli.eval_answers import write_answers
from gateway.cli.eval_text import WRITERS
from gateway.cli.options import Said, config_option, policy_option
from gateway.cli.settled import settings_of
from gateway.cli.text import say_error
from gateway.config.channels import LOCAL
from gateway.config.documents import read_bytes
from gateway.config.schema import nearest
from gateway.config.settings import Settings, load_settings
from gateway.dialled import with_credentials
from gateway.domain.decision import Labels
from gateway.errors import GatewayError, ModelNotFound, StateError
from gateway.inventory import Inventory
from gateway.processes.logs import Level, Logs, configure_logs
from gateway.readiness.evaluation.cases import Case, parse_cases
from gateway.readiness.evaluation.results import Result
from gateway.readiness.evaluation.running import Evaluation
from gateway.readiness.evaluation.table import Table, compare, row

INTERRUPTED = 130
"""The exit code of what a signal to interrupt has ended."""


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--target", "targets", multiple=True, metavar="TARGET", help="Whom to ask. Repeat it."
)
@click.option("--model", "models", multiple=True, help="All targets of a configured model.")
@click.option("--judge", metavar="TARGET", help="Who judges what is to be judged.")
@click.option("--baseline", metavar="TARGET", help="Whom the others are compared with.")
@click.option("--repeat", type=click.IntRange(1, 1000), default=1, show_default=True)
@click.option(
    "--at-once",
    type=click.IntRange(1, 256),
    default=4,
    show_default=True,
    help="Questions under way at one time.",
)
@click.option(
    "--max-tokens",
    type=click.IntRange(min=1),
    default=1024,
    show_default=True,
    help="Of an answer, where the file does not say it.",
)
@click.option(
    "--at-least",
    type=click.FloatRange(0, 1),
    help="The share that each target must pass, the baseline aside; else the exit code is 1.",
)
@click.option(
    "--label",
    "labels",
    multiple=True,
    type=Said(),
    metavar="LABEL=VALUE",
    help="For whom policy is asked, as in app=search.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="A folder for the answers, one JSONL a target.",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(list(WRITERS)),
    default="text",
    show_default=True,
    help="How to print.",
)
@config_option
@policy_option
def eval(
    file: Path,
    targets: tuple[str, ...],
    models: tuple[str, ...],
    judge: str | None,
    baseline: str | None,
    repeat: int,
    at_once: int,
    max_tokens: int,
    at_least: float | None,
    labels: tuple[tuple[str, str], ...],
    out: Path | None,
    format_: str,
    config: Path,
    policy_dir: Path | None,
) -> None:
    """Ask several targets the prompts of FILE, check their answers, and print the table.

    Policy is asked for each target, as of any request; the records say that it was an evaluation.
    Exits with 1 where a target falls short of --at-least or could not be asked.

    Example: gateway eval configs/evals/example.jsonl --target local/smollm2 --judge local/smollm2
    """
    settings = settings_of(config, policy_dir)
    cases = parse_cases(read_bytes(file), str(file))
    inventory = Inventory(settings)
    names = _names(settings, inventory, targets, models, baseline)
    _check_judge(settings, judge, cases, file)
    if out is not None:
        _make(out)
    evaluation = Evaluation(
        cases=cases,
        targets=[inventory.target(name) for name in names],
        judge=None if judge is None else inventory.target(judge),
        repeat=repeat,
        at_once=at_once,
        most=max_tokens,
    )
    flags = {} if policy_dir is None else {"policy.dir": policy_dir.absolute()}
    read = partial(load_settings, config, flags, os.environ)
    code = _run(evaluation, read, read_bytes(config), _labels(labels), settings)
    currency = settings.prices.currency
    table = _table(evaluation, baseline, currency, interrupted=code != 0)
    if out is not None:
        # First: who reads the table may go away.
        code = max(code, _kept(out, names, evaluation.results))
    click.echo(WRITERS[format_](table))
    sys.exit(code or _code(table, baseline, at_least))


def _names(
    settings: Settings,
    inventory: Inventory,
    targets: Sequence[str],
    models: Sequence[str],
    baseline: str | None,
) -> list[str]:
    """The targets that are asked, each once; the baseline first where nobody else names it."""
    names = list(targets)
    routes = inventory.routes(with_credentials(settings))
    for model in models:
        try:
            names += [target.id for target in routes.find(model).targets]
        except ModelNotFound:
            hint = nearest(model, settings.models)
            raise click.BadParameter(f"no model {model!r}; {hint}", param_hint="--model") from None
    if baseline is not None and baseline not in names:
        names.insert(0, baseline)
    if not names:
        raise click.UsageError("nobody to ask: --target TARGET or --model MODEL says whom")
    for name in names:
        _check(settings, name)
    return list(dict.fromkeys(names))


def _check(settings: Settings, target: str) -> None:
    channel, _, model = target.partition("/")
    if not channel or not model:
        raise click.UsageError(f"{target!r} is no target: expected <channel>/<model id>")
    if channel == LOCAL and model not in settings.local.models:
        hint = nearest(model, settings.local.models)
        raise click.UsageError(f"no local model {model!r} is configured; {hint}")
    if channel != LOCAL and channel not in settings.channels:
        hint = nearest(channel, [*settings.channels, LOCAL])
        raise click.UsageError(f"no channel {channel!r} is configured; {hint}")


def _check_judge(settings: Settings, judge: str | None, cases: Sequence[Case], file: Path) -> None:
    if judge is not None:
        _check(settings, judge)
    elif any(case.judged for case in cases):
        raise click.UsageError(
            f"{file} has checks that are judged: say by whom with --judge TARGET"
        )


def _labels(given: Sequence[tuple[str, str]]) -> Labels:
    said: dict[str, Any] = dict(given)
    if "tags" in said:
        said["tags"] = frozenset(said["tags"].split(","))
    return Labels(**said)


def _make(folder: Path) -> None:
    """Before anything is paid for that could not be kept. Raises StateError."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise StateError(f"{folder} cannot be written: {error.strerror}") from error


def _kept(folder: Path, names: Sequence[str], results: Sequence[Result]) -> int:
    """The exit code. What cannot be kept is told, and the table all the same."""
    try:
        write_answers(folder, names, results)
    except StateError as error:
        say_error(error)
        return 1
    return 0


def _run(
    evaluation: Evaluation,
    read: Callable[[bytes], Settings],
    text: bytes,
    labels: Labels,
    settings: Settings,
) -> int:
    """The exit code where it did not come to its end: then what there is is in the evaluation."""
    logs = Logs(settings.telemetry.process_logs.format, Level.WARNING)
    configure_logs(logs)
    names = [target.id for target in (*evaluation.targets, evaluation.judge) if target is not None]

    async def run(told: Callable[[], object]) -> None:
        async with asking(read, text, names, labels, logs) as questions:
            await evaluation.run(questions, told)

    with ExitStack() as ending:
        told: Callable[[], object] = lambda: None  # noqa: E731
        if sys.stderr.isatty():
            bar = click.progressbar(length=evaluation.questions, label="asking", file=sys.stderr)
            told = partial(ending.enter_context(bar).update, 1)
        try:
            asyncio.run(run(told))
        except KeyboardInterrupt:
            return INTERRUPTED
        except GatewayError as error:
            if not evaluation.results:
                raise
            # What was paid for is not to be lost.
            say_error(error)
            return 1
    return 0


def _table(
    evaluation: Evaluation, baseline: str | None, currency: str, *, interrupted: bool
) -> Table:
    results = evaluation.results
    names = [target.id for target in evaluation.targets]
    return Table(
        prompts=len(evaluation.cases),
        repeat=evaluation.repeat,
        currency=currency,
        rows=tuple(
            row(
                name,
                [one for one in results if one.target == name],
                evaluation.refused.get(name),
            )
            for name in names
        ),
        comparisons=tuple(
            compare(name, baseline, results)
            for name in names
            if baseline not in (None, name) and not {baseline, name} & evaluation.refused.keys()
        ),
        judge=None if evaluation.judge is None else evaluation.judge.id,
        judge_failed=evaluation.unjudged,
        interrupted=interrupted,
    )


def _code(table: Table, baseline: str | None, at_least: float | None) -> int:
    if table.judge_failed is not None or any(one.refused is not None for one in table.rows):
        return 1
    if any(one.answers and sum(one.errors.values()) == one.answers for one in table.rows):
        return 1
    return int(
        at_least is not None
        and any(one.share < at_least for one in table.rows if one.target != baseline)
    )
