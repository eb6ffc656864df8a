"""Words and colours of several commands."""

from __future__ import annotations

import click

from gateway.errors import GatewayError

COLOURS = {"allow": "green", "risky": "yellow", "deny": "red"}
"""How a verdict looks on a terminal."""
GB = 1 << 30
"""Bytes, as memory is counted."""


def counted(count: int, word: str) -> str:
    """``1 rule``, ``2 rules``."""
    return f"{count} {word}{'' if count == 1 else 's'}"


def say_error(error: GatewayError) -> None:
    """An error's message, to stderr."""
    click.secho("error: ", fg="red", bold=True, err=True, nl=False)
    click.echo(error.message, err=True)
