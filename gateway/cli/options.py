"""Options that several commands share, and how their values reach the configuration."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from gateway.access.keys import LABELS
from gateway.config.presence import RUN
from gateway.config.publication import published
from gateway.config.settings import Settings, load_settings, state_dir
from gateway.errors import StartupError

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


def settings_of(config: Path, policy_dir: Path | None = None, **flags: object) -> Settings:
    """The settings as ``gateway serve`` would have them: file, environment, then flags."""
    overrides: dict[str, object] = {k: v for k, v in flags.items() if v is not None}
    if policy_dir is not None:
        overrides["policy.dir"] = policy_dir.absolute()
    return load_settings(config, overrides, os.environ)


def settings_in_force(config: Path, policy_dir: Path | None = None) -> Settings:
    """The settings as they stand or, where they are wrong, those that a gateway on them runs with:
    whoever wants to ban a vendor or to see what is wrong is not to mend the file first.
    """
    overrides = {} if policy_dir is None else {"policy.dir": policy_dir.absolute()}
    try:
        return load_settings(config, overrides, os.environ)
    except StartupError as error:
        try:
            text = published(state_dir(config, overrides, os.environ) / RUN).text
            settings = load_settings(config, overrides, os.environ, text)
        except StartupError:
            raise error from None
        click.secho(f"warning: not in force: {error.message}", fg="yellow", err=True)
        return settings


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
