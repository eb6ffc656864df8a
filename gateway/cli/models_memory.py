"""``gateway models load`` and ``unload``: what of a running gateway's models is in memory."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import click

from gateway.cli.asking import LONG, Remote, named
from gateway.cli.options import config_option, format_option
from gateway.cli.remote import running_gateway
from gateway.cli.settled import settings_in_force

LOOK_EVERY = 0.2
"""Seconds."""


@click.command()
@click.argument("name")
@click.option("--wait", is_flag=True, help="Until it is ready, or cannot be.")
@config_option
@format_option
def load(name: str, wait: bool, config: Path, format_: str) -> None:
    """Have a model in memory. One that crashed too often gets another start.

    Example: gateway models load smollm2 --wait
    """
    remote = _remote(config)
    model = remote.ask("POST", f"/models/{named('local model', name)}/load", within=LONG)
    while wait and model["state"] not in ("ready", "failed", "stopped"):
        model = _again(remote, name)
    _show(model, format_)
    if model["state"] == "failed":
        sys.exit(1)


@click.command()
@click.argument("name")
@click.option("--cut", is_flag=True, help="Break off its answers, instead of waiting for them.")
@click.option("--wait", is_flag=True, help="Until it is in memory no more.")
@config_option
@format_option
def unload(name: str, cut: bool, wait: bool, config: Path, format_: str) -> None:
    """Have a model in memory no more, until it is asked for or loaded.

    Example: gateway models unload smollm2 --wait
    """
    remote = _remote(config)
    model = remote.ask("POST", f"/models/{named('local model', name)}/unload", {"cut": cut})
    while wait and model["pid"] is not None:
        model = _again(remote, name)
    _show(model, format_)


def _remote(config: Path) -> Remote:
    remote = running_gateway(settings_in_force(config))
    if remote is None:
        click.echo("no gateway is running on this configuration", err=True)
        sys.exit(1)
    return remote


def _again(remote: Remote, name: str) -> dict[str, Any]:
    """The model a moment later."""
    time.sleep(LOOK_EVERY)
    found: dict[str, Any] = next(
        model for model in remote.ask("GET", "/models") if model["name"] == name
    )
    return found


def _show(model: dict[str, Any], format_: str) -> None:
    if format_ == "json":
        click.echo(json.dumps(model, indent=1))
        return
    detail = f": {model['detail']}" if model["detail"] else ""
    click.echo(f"local/{model['name']} is {model['state']}{detail}")
