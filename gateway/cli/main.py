"""The root command, and how an error reaches a person: its message, exit code 1, no traceback."""

from __future__ import annotations

import sys

import click

from gateway import __version__
from gateway.cli.audit import audit
from gateway.cli.doctor import doctor
from gateway.cli.keys import keys
from gateway.cli.models import models
from gateway.cli.operators import operators
from gateway.cli.policy import policy
from gateway.cli.serve import serve
from gateway.cli.status import status
from gateway.cli.text import say_error
from gateway.cli.toggles import ban, unban
from gateway.cli.vendors import vendors
from gateway.errors import GatewayError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gateway")
def root() -> None:
    """Sovereign Gateway: one base URL for every model, routed by your vendor policy.

    Example: gateway serve --config configs/gateway.yaml --policy configs/policies
    """


COMMANDS = (serve, ban, unban, status, doctor, policy, vendors, models, keys, operators, audit)

for command in COMMANDS:
    root.add_command(command)


def main() -> None:
    """Console script. Exit codes: 0 done, 1 the answer is no, 2 usage."""
    try:
        root(prog_name="gateway")
    except GatewayError as error:
        say_error(error)
        sys.exit(1)
