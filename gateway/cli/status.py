"""``gateway status``: what runs on this configuration, and whether it is well."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from gateway.cli.options import config_option, format_option, policy_option
from gateway.cli.remote import running_gateway
from gateway.cli.settled import settings_in_force
from gateway.cli.text import GB, counted
from gateway.printed import plain

ANSWER_WITHIN = 5.0
"""Seconds."""


@click.command()
@config_option
@policy_option
@format_option
def status(config: Path, policy_dir: Path | None, format_: str) -> None:
    """Show the serving processes, the policy in force, the local models and our own servers with
    what they serve.

    Example: gateway status --format json
    """
    settings = settings_in_force(config, policy_dir)
    remote = running_gateway(settings)
    if remote is None:
        click.echo("no gateway is running on this configuration", err=True)
        sys.exit(1)
    shared = remote.ask("GET", "/status", within=ANSWER_WITHIN)
    if format_ == "json":
        click.echo(json.dumps(shared, indent=2))
        return
    click.echo(f"{shared['status']} on {shared['url']}, version {shared['version']}")
    if shared["offline"]:
        click.secho(
            "offline: cloud channels are left out, not looked up and not dialled", bold=True
        )
    if drill := shared["drill"]:
        click.secho(
            f"drill {drill['id']}: a ban of {drill['vendor']} is practised until {drill['until']}",
            fg="yellow",
        )
    for one in shared["processes"]:
        revisions = f"policy {one['policy'][:12]}, configuration {one['configuration'][:12]}"
        click.echo(f"process {one['pid']}: {revisions}")
        for problem in filter(None, (one["problem"], one["configuration_problem"])):
            click.secho(f"  not in force: {problem}", fg="red")
    for work, said in shared["background"].items():
        click.secho(f"{work} failed in the background, and was begun again: {said}", fg="red")
    for value in shared["configuration"]["restart"]:
        click.secho(f"{value} takes a restart", fg="yellow")
    for model in shared["local_models"]:
        missing = "loaded on demand" if model["on_demand"] else "not ready"
        click.echo(f"local/{model['name']}: {'ready' if model['ready'] else missing}")
        if model["last_success"]:
            click.echo(f"  answered last: {model['last_success']}")
        if model["loaded"]:
            _show(model["loaded"])
    for server in shared["sovereign"]:
        _print_server(server)
    for channel in shared["without_credentials"]:
        click.echo(f"channel {channel}: no credentials")


def _show(loaded: dict[str, Any]) -> None:
    """How a local model was loaded, and what it can do."""
    there = "".join(f", {size / GB:.2f} GB on {name}" for name, size in loaded["devices"].items())
    thinks = {"no": "", "always": ", thinks", "switched": ", thinks where asked to"}
    click.echo(
        f"  {counted(loaded['slots'], 'slot')} of {loaded['context']} tokens, "
        f"{loaded['gpu_layers']} of {loaded['layers']} layers on a GPU{there}"
    )
    if loaded["note"]:
        click.secho(f"  {loaded['note']}", fg="yellow")
    if chat := loaded["chat"]:
        roles = ", ".join(chat["roles"])
        click.echo(f"  roles: {roles}; functions {chat['tools']}{thinks[chat['thinks']]}")
    click.echo(f"  can: {', '.join(loaded['capabilities'])}")


def _print_server(server: dict[str, Any]) -> None:
    """A sovereign channel, and a line for each model: its target id, and who is behind it."""
    colour = {"up": "green", "down": "red"}.get(server["standing"])
    detail = f", {plain(server['detail'])}" if server["detail"] else ""
    seen = f"; seen {server['seen']}" if server["seen"] and server["standing"] != "up" else ""
    click.echo(f"channel {server['channel']}: ", nl=False)
    click.echo(f"{click.style(server['standing'], fg=colour)}{detail}{seen}")
    for model in server["models"] or ():
        lineage = f" (derived from {', '.join(model['lineage'])})" if model["lineage"] else ""
        configured = "" if model["configured"] else ", not configured under models"
        said = f"{model['target']}: {model['developer']}{lineage}, {model['locality']}{configured}"
        # What a server calls its models.
        click.echo(f"  {plain(said)}")
