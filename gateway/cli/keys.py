"""``gateway keys``: who may use the gateway."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import click

from gateway.access.keys import LABELS
from gateway.cli.office import (
    Office,
    all_option,
    asked,
    overlap_option,
    show_all,
    show_new,
    show_revoked,
    show_rotated,
)
from gateway.cli.options import Moment, config_option, format_option
from gateway.cli.remote import local_actor
from gateway.cli.text import counted
from gateway.http.operations import KeyAsked

KIND = "keys"
MILLIONTHS = 1_000_000


class Money(click.ParamType[int]):
    """An amount, kept in millionths."""

    name = "amount"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        if isinstance(value, int):
            return value
        try:
            amount = Decimal(value)
        except InvalidOperation:
            amount = Decimal(-1)
        if not 0 < amount < 10**9:
            self.fail(f"{value!r} is no amount like 250 or 12.50")
        return int(amount * MILLIONTHS)


@click.group()
def keys() -> None:
    """Who may use the gateway, and how much.

    Once there is one key, nobody is answered without. A running gateway knows of every change
    within a second.
    """


@keys.command()
@click.argument("name")
@click.option("--team", help="Whose it is; rules can tell teams apart.")
@click.option("--app", help="What it is for.")
@click.option("--environment", help="Such as prod or test.")
@click.option("--data-class", help="What the prompts hold, such as public or cui.")
@click.option("--tag", "tags", multiple=True, help="Anything else that rules tell apart.")
@click.option(
    "--may-set",
    multiple=True,
    type=click.Choice(LABELS),
    help="What a request may say of itself by header; it can only make policy stricter.",
)
@click.option("--model", "models", multiple=True, help="A model, or a pattern.  [default: all]")
@click.option("--expires", type=Moment(), help="When it ends by itself.")
@click.option("--requests-per-minute", type=click.IntRange(1))
@click.option("--tokens-per-minute", type=click.IntRange(1))
@click.option("--concurrent", type=click.IntRange(1), help="Requests at one time.")
@click.option("--budget", type=Money(), help="For a month, in the currency of the prices.")
@config_option
@format_option
def create(
    name: str,
    team: str | None,
    app: str | None,
    environment: str | None,
    data_class: str | None,
    tags: tuple[str, ...],
    may_set: tuple[str, ...],
    models: tuple[str, ...],
    expires: datetime | None,
    requests_per_minute: int | None,
    tokens_per_minute: int | None,
    concurrent: int | None,
    budget: int | None,
    config: Path,
    format_: str,
) -> None:
    """Make a key. It is shown once, and can never be shown again.

    Example: gateway keys create checkout --team shop --model 'gpt-*' --requests-per-minute 600
    """
    wanted = asked(
        KeyAsked,
        name=name,
        team=team,
        app=app,
        environment=environment,
        data_class=data_class,
        tags=tags,
        may_set=may_set,
        models=models,
        limits={
            "requests_per_minute": requests_per_minute,
            "tokens_per_minute": tokens_per_minute,
            "concurrent": concurrent,
            "budget": budget,
        },
        expires=expires,
    )
    office = Office(config, KIND)
    made = office.create(wanted, lambda keys: keys.create(wanted, local_actor(), datetime.now(UTC)))
    show_new(made, format_)


@keys.command("list")
@all_option
@config_option
@format_option
def list_(all_: bool, config: Path, format_: str) -> None:
    """The keys there are.

    Example: gateway keys list --all
    """
    nobody = "no keys: whoever is on this machine may use the gateway, and nobody else"
    show_all(Office(config, KIND).all(), _words, nobody, all_=all_, format_=format_)


@keys.command()
@click.argument("id")
@config_option
def revoke(id: str, config: Path) -> None:
    """End a key, now and for good.

    Example: gateway keys revoke x7k2m9q4wp
    """
    show_revoked(Office(config, KIND).revoke(id))


@keys.command()
@click.argument("id")
@overlap_option
@config_option
@format_option
def rotate(id: str, overlap: timedelta, config: Path, format_: str) -> None:
    """Make another key with all that this one may, and let this one end after a while.

    Example: gateway keys rotate x7k2m9q4wp --overlap 8h
    """
    show_rotated(Office(config, KIND).rotate(id, overlap), id, overlap, format_)


def _words(key: dict[str, Any]) -> tuple[str, ...]:
    labels = [f"{name}={value}" for name, value in _labels(key["labels"])]
    models = ", ".join(key["models"]) or "all models"
    return key["id"], key["name"], " ".join(labels), models, _used(key)


def _used(key: dict[str, Any]) -> str:
    """What it used this month, of what it may."""
    used, limits = key["used"], key["limits"]
    said = [counted(used["requests"], "request"), counted(used["tokens"], "token")]
    if used["cost"] or limits["budget"]:
        of = f" of {limits['budget'] / MILLIONTHS:.2f}" if limits["budget"] else ""
        said.append(f"{used['cost'] / MILLIONTHS:.2f}{of}")
    return f"{used['month']}: {', '.join(said)}" if used["requests"] else ""


def _labels(labels: dict[str, Any]) -> list[tuple[str, str]]:
    plain = [(name, labels[name]) for name in LABELS if name != "tags"]
    tags = [("tag", tag) for tag in labels["tags"]]
    return [(name, value) for name, value in plain if value is not None] + tags
