"""The running gateway, as commands reach it: through the operators' API, like anybody else."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from gateway.access.operators import Actor, OperatorRole
from gateway.audit.happening import Happening
from gateway.audit.sink import append
from gateway.auditing import audit_folder
from gateway.cli.asking import OPERATOR_KEY, Remote, user
from gateway.config.credential import credential
from gateway.config.presence import address, run_dir, serving
from gateway.config.settings import Settings
from gateway.errors import StateError


def running_gateway(settings: Settings) -> Remote | None:
    """The gateway that runs on these settings, if one does. Raises StateError where it cannot be
    asked: nobody told us how.
    """
    key = os.environ.get(OPERATOR_KEY)
    try:
        there = serving(settings)
        if not there:
            return None
        key = key or credential(run_dir(settings)).token
    except StateError as error:
        if key:
            # What another user's gateway says of itself is not ours to read.
            return _configured(settings, key)
        raise StateError(
            f"whether a gateway runs here is not ours to know ({error.message}): run this as "
            f"{_owner_of(settings.state.dir)}, or set {OPERATOR_KEY} to the key of an operator"
        ) from None
    return Remote(there[0].admin_url, key, f"process {there[0].pid}")


def _configured(settings: Settings, key: str) -> Remote:
    """The gateway where the configuration says that operators reach it."""
    admin, server = settings.admin, settings.server
    host, port = (server.host, server.port) if admin.port is None else (admin.host, admin.port)
    return Remote(address(host, port), key, "the gateway")


def local_actor() -> Actor:
    """Who changes the files, where no gateway does it for them."""
    return Actor(f"local:{user()}", user(), OperatorRole.ADMIN)


def record(settings: Settings) -> Callable[[Happening], None]:
    """Writes what a command has done itself into the audit log."""
    return partial(append, audit_folder(settings))


def moment(text: str | None) -> datetime | None:
    """A time as the API tells it."""
    return None if text is None else datetime.fromisoformat(text).astimezone(UTC)


def _owner_of(folder: Path) -> str:
    try:
        return f"the user {folder.owner()}"
    except (OSError, KeyError):
        return "its user"
