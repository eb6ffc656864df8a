"""``gateway keys``: who may use the gateway."""

from __future__ import annotations

import json
import re
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, NoReturn

import click
import msgspec

from gateway.access.keys import LABELS, Key, Limits, make
from gateway.access.repository import FILE, SqliteKeys, revoked
from gateway.cli.options import Moment, config_option, format_option, settings_in_force
from gateway.domain.decision import Labels

MILLIONTHS = 1_000_000
_SPAN = re.compile(r"(\d{1,4})([hdwy])\Z")
_HOURS = {"h": 1, "d": 24, "w": 24 * 7, "y": 24 * 365}


class Span(click.ParamType[timedelta]):
    """A time such as 12h, 30d, 8w or 1y."""

    name = "span"

    def convert(self, value: Any, param: Any, ctx: Any) -> timedelta:
        if isinstance(value, timedelta):
            return value
        match = _SPAN.match(value)
        if match is None:
            self.fail(f"{value!r} is no span of time like 12h, 30d, 8w or 1y")
        return timedelta(hours=int(match[1]) * _HOURS[match[2]])


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
    written, key = make(
        name,
        datetime.now(UTC),
        labels=Labels(team, app, environment, data_class, frozenset(tags)),
        may_set=may_set,
        models=models,
        limits=Limits(requests_per_minute, tokens_per_minute, concurrent, budget),
        expires=expires,
    )
    _repository(config).add(key)
    _show(written, key, format_)


@keys.command("list")
@click.option("--all", "all_", is_flag=True, help="Those that are good no more, too.")
@config_option
@format_option
def list_(all_: bool, config: Path, format_: str) -> None:
    """The keys there are.

    Example: gateway keys list --all
    """
    now = datetime.now(UTC)
    found = [key for key in _repository(config).all() if all_ or key.good(now)]
    if format_ == "json":
        click.echo(json.dumps([_told(key, now) for key in found], indent=1))
        return
    for key in found:
        click.echo(_line(key, now))
    if not found:
        click.echo("no keys: whoever is on this machine may use the gateway, and nobody else")


@keys.command()
@click.argument("id")
@config_option
def revoke(id: str, config: Path) -> None:
    """End a key, now and for good.

    Example: gateway keys revoke x7k2m9q4wp
    """
    now = datetime.now(UTC)
    try:
        key = _repository(config).change(id, lambda key: revoked(key, now))
    except KeyError:
        _unknown(id)
    click.echo(f"{key.id} ({key.name}) is revoked; running gateways know within a second")


@keys.command()
@click.argument("id")
@click.option(
    "--overlap",
    type=Span(),
    default="24h",
    show_default=True,
    help="How long the old one is good for, still.",
)
@config_option
@format_option
def rotate(id: str, overlap: timedelta, config: Path, format_: str) -> None:
    """Make another key with all that this one may, and let this one end after a while.

    Example: gateway keys rotate x7k2m9q4wp --overlap 8h
    """
    now = datetime.now(UTC)
    repository = _repository(config)
    old = next((key for key in repository.all() if key.id == id), None)
    if old is None:
        _unknown(id)
    if not old.good(now):
        click.echo(f"{id} is good no more: make a new key with `gateway keys create`", err=True)
        sys.exit(1)
    written, heir = make(
        old.name,
        now,
        labels=old.labels,
        may_set=old.may_set,
        models=old.models,
        limits=old.limits,
        account=old.accounted,
        expires=old.expires,
    )
    repository.add(heir)
    end = now + overlap
    repository.change(
        id,
        lambda key: msgspec.structs.replace(
            key, heir=heir.id, expires=end if key.expires is None else min(end, key.expires)
        ),
    )
    _show(written, heir, format_)
    if format_ == "text":
        click.echo(f"{id} is good until {end:%Y-%m-%d %H:%M} UTC", err=True)


def _repository(config: Path) -> SqliteKeys:
    return SqliteKeys(settings_in_force(config).state.dir / FILE)


def _unknown(id: str) -> NoReturn:
    click.echo(
        f"there is no key {id[:64]!r}: `gateway keys list --all` tells which there are", err=True
    )
    sys.exit(1)


def _show(written: str, key: Key, format_: str) -> None:
    if format_ == "json":
        click.echo(json.dumps({"key": written, **_told(key, key.created)}, indent=1))
        return
    click.echo(written)
    click.echo(f"{key.id} is its id. Keep the key now: it is not shown again.", err=True)


def _told(key: Key, now: datetime) -> dict[str, Any]:
    """A key without its digest, as data."""
    told: dict[str, Any] = msgspec.to_builtins(key)
    del told["digest"]
    return {**told, "good": key.good(now)}


def _line(key: Key, now: datetime) -> str:
    labels = [f"{name}={value}" for name, value in _labels(key.labels)]
    models = ", ".join(key.models) or "all models"
    end = f"until {key.expires:%Y-%m-%d}" if key.expires is not None else ""
    if not key.good(now):
        end = "revoked" if key.revoked is not None else "expired"
    return "  ".join(filter(None, (key.id, key.name, " ".join(labels), models, end)))


def _labels(labels: Labels) -> list[tuple[str, str]]:
    plain = [(name, getattr(labels, name)) for name in LABELS if name != "tags"]
    tags = [("tag", tag) for tag in sorted(labels.tags)]
    return [(name, value) for name, value in plain if value is not None] + tags
