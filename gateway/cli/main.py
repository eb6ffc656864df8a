"""The root command, and how an error reaches a person: its message, exit code 1, no traceback."""

from __future__ import annotations

import sys
from importlib import import_module

import click

from gateway import __version__
from gateway.cli.text import say_error
from gateway.errors import GatewayError

_FILES = {
    "audit": "audit",
    "ban": "toggles",
    "doctor": "doctor",
    "drill": "drill",
    "eval": "eval",
    "keys": "keys",
    "models": "models",
    "operators": "operators",
    "policy": "policy",
    "readiness": "readiness",
    "scan": "scan",
    "serve": "serve",
    "status": "status",
    "unban": "toggles",
    "vendors": "vendors",
}
"""In which file of this folder each command is."""


class _Commands(click.Group):
    """Imports the file of a command when that is asked for: a ban does not wait for what serving or
    a report needs.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_FILES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        file = _FILES.get(cmd_name)
        if file is None:
            return None
        found: click.Command = getattr(import_module(f"gateway.cli.{file}"), cmd_name)
        return found


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gateway")
def root() -> None:
    """Sovereign Gateway: one base URL for every model, routed by your vendor policy.

    Example: gateway serve --config configs/gateway.yaml --policy configs/policies
    """


def main() -> None:
    """Console script. Exit codes: 0 done, 1 the answer is no, 2 usage."""
    try:
        root(prog_name="gateway")
    except GatewayError as error:
        say_error(error)
        sys.exit(1)
