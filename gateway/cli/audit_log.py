"""Where the log is that a command is about."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from gateway.auditing import audit_folder
from gateway.cli.settled import settings_in_force

F = TypeVar("F", bound=Callable[..., Any])


def log_argument(command: F) -> F:
    return click.argument(
        "log", metavar="[PATH]", required=False, type=click.Path(path_type=Path, exists=True)
    )(command)


def log_of(log: Path | None, config: Path) -> Path:
    """The log that was named, or that of the configuration."""
    return log or audit_folder(settings_in_force(config))
