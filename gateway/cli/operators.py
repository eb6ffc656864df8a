"""``gateway operators``: who may look at a running gateway and change what it does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from gateway.access.operators import OperatorRole
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
@all_option
@config_option
@format_option
def list_(all_: bool, config: Path, format_: str) -> None:
    """The operators' keys there are.

    Example: gateway operators list --all
    """
    nobody = "no operators: the user of the gateway on its own machine, and nobody else"
    show_all(Office(config, KIND).all(), _words, nobody, all_=all_, format_=format_)


@operators.command()
@click.argument("id")
@config_option
def revoke(id: str, config: Path) -> None:
    """End an operator's key and its sessions, now and for good.

    Example: gateway operators revoke x7k2m9q4wp
    """
    show_revoked(Office(config, KIND).revoke(id))


@operators.command()
@click.argument("id")
@overlap_option
@config_option
@format_option
def rotate(id: str, overlap: timedelta, config: Path, format_: str) -> None:
    """Make another key of the same role, and let this one end after a while.

    Example: gateway operators rotate x7k2m9q4wp --overlap 8h
    """
    show_rotated(Office(config, KIND).rotate(id, overlap), id, overlap, format_)


def _words(key: dict[str, Any]) -> tuple[str, ...]:
    return key["id"], key["name"], key["role"]
