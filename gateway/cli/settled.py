"""The settings that a command works with."""

from __future__ import annotations

import os
from pathlib import Path

import click

from gateway.config.places import folders
from gateway.config.presence import RUN
from gateway.config.publication import published
from gateway.config.settings import Settings, load_settings
from gateway.errors import StartupError


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
            text = published(folders(config, overrides, os.environ).state / RUN).text
            settings = load_settings(config, overrides, os.environ, text)
        except StartupError:
            raise error from None
        click.secho(f"warning: not in force: {error.message}", fg="yellow", err=True)
        return settings
