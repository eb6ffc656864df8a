"""Options that several commands share, and how their values reach the configuration."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from gateway.access.keys import LABELS

KEY_VARIABLE = "GATEWAY_POLICY_KEY"
F = TypeVar("F", bound=Callable[..., Any])


def config_option(command: F) -> F:
    return click.option(
        "--config",
        type=click.Path(path_type=Path),
        default=Path("configs/gateway.yaml"),
        show_default=True,
        help="The configuration file.",
    )(command)


def policy_option(command: F) -> F:
    return click.option(
        "--policy",
        "policy_dir",
        type=click.Path(path_type=Path),
        default=None,
        help="The policy folder.  [default: policy.dir of the configuration]",
    )(command)


def format_option(command: F) -> F:
    return click.option(
        "--format",
        "format_",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help="How to print.",
    )(command)


def key_option(command: F) -> F:
    return click.option(
        "--key",
        type=click.Path(path_type=Path),
        envvar=KEY_VARIABLE,
        show_envvar=True,
        help="The private key that signs the policy, where it must be signed.",
    )(command)


class Moment(click.ParamType[datetime]):
    """A date or time by ISO 8601; without a zone it is UTC, without a time midnight."""

    name = "time"

    def convert(self, value: Any, param: Any, ctx: Any) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is not a date like 2026-03-05 or 2026-03-05T12:00:00Z")
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class Said(click.ParamType[tuple[str, str]]):
    """A label and its value, as in ``data_class=cui``; several tags with commas."""

    name = "label=value"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        label, _, text = value.partition("=")
        label = label.replace("-", "_")
        if label not in LABELS or not text:
            self.fail(f"{value!r} is not of the form LABEL=VALUE with one of {', '.join(LABELS)}")
        return label, text
