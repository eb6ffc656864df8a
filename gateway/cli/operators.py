"""``gateway operators``: who may look at a running gateway and change what it does."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from gateway.access.operators import OperatorRole
from gateway.cli.office import Office, Span, asked, end_of, show_new
from gateway.cli.options import Moment, config_option, format_option
from gateway.cli.remote import local_actor
from gateway.cli.text import plain
from gateway.http.admin.asked import OperatorAsked

KIND = "operators"


@click.group()
def operators() -> None:
    """Who may look at a running gateway (viewer), ban vendors and load models (operator), and make
    keys (admin).

    Commands on the gateway's own machine need no key where its user runs them.
    """


@operators.command()
@click.argument("name")
@click.option(
    "--role",
    required=True,
    type=click.Choice([role.value for role in OperatorRole]),
    help="What they may do.",
)
@click.option("--expires", type=Moment(), help="When it ends by itself.")
@config_option
@format_option
def create(
    name: str, role: OperatorRole, expires: datetime | None, config: Path, format_: str
) -> None:
    """Make an operator's key. It is shown once, and can never be shown again.

    Example: gateway operators create alice --role operator
    """
    wanted = asked(OperatorAsked, name=name, role=role, expires=expires)
    made = Office(config, KIND).create(
        wanted,
        lambda keys: keys.create_operator(
            wanted.name, wanted.role, wanted.expires, local_actor(), datetime.now(UTC)
        ),
    )
    show_new(made, format_)


@operators.command("list")
@click.option("--all", "all_", is_flag=True, help="Those that are good no more, too.")
@config_option
@format_option
def list_(all_: bool, config: Path, format_: str) -> None:
    """The operators' keys there are.

    Example: gateway operators list --all
    """
    found = [key for key in Office(config, KIND).all() if all_ or key["good"]]
    if format_ == "json":
        click.echo(json.dumps(found, indent=1))
        return
    for key in found:
        words = (key["id"], key["name"], key["role"], end_of(key))
        click.echo(plain("  ".join(filter(None, words))))
    if not found:
        click.echo("no operators: the user of the gateway on its own machine, and nobody else")


@operators.command()
@click.argument("id")
@config_option
def revoke(id: str, config: Path) -> None:
    """End an operator's key and its sessions, now and for good.

    Example: gateway operators revoke x7k2m9q4wp
    """
    key = Office(config, KIND).revoke(id)
    click.echo(
        f"{key['id']} ({plain(key['name'])}) is revoked; running gateways know within a second"
    )


@operators.command()
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
    """Make another key of the same role, and let this one end after a while.

    Example: gateway operators rotate x7k2m9q4wp --overlap 8h
    """
    heir = Office(config, KIND).rotate(id, overlap)
    show_new(heir, format_)
    if format_ == "text":
        end = datetime.now(UTC) + overlap
        click.echo(f"{id} is good until {end:%Y-%m-%d %H:%M} UTC at most", err=True)
