"""What ``gateway keys`` and ``gateway operators`` share."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import click
from pydantic import BaseModel, ValidationError

from gateway.cli.asking import Remote, either, named
from gateway.cli.remote import local_actor, moment, record, running_gateway
from gateway.cli.settled import settings_in_force
from gateway.operating.keys import Keys
from gateway.printed import plain

Model = TypeVar("Model", bound=BaseModel)
_SPAN = re.compile(r"(\d{1,4})([hdwy])\Z")
_HOURS = {"h": 1, "d": 24, "w": 24 * 7, "y": 24 * 365}


class Span(click.ParamType[timedelta]):
    """A time such as 12h, 30d, 8w or 1y."""

    name = "span"

    def convert(self, value: Any, param: Any, ctx: Any) -> timedelta:
        if isinstance(value, timedelta):
            return value
        match = _SPAN.match(value)
        if match is None:
            self.fail(f"{value!r} is no span of time like 12h, 30d, 8w or 1y")
        return timedelta(hours=int(match[1]) * _HOURS[match[2]])


all_option = click.option("--all", "all_", is_flag=True, help="Those that are good no more, too.")
overlap_option = click.option(
    "--overlap",
    type=Span(),
    default="24h",
    show_default=True,
    help="How long the old one is good for, still.",
)

Here: TypeAlias = Callable[[Keys], BaseModel]
There: TypeAlias = Callable[[Remote], dict[str, Any]]


class Office:
    """The keys of one kind (``keys`` or ``operators``), in a running gateway or else in its files.
    All are plain data, as the API has them.
    """

    def __init__(self, config: Path, kind: str) -> None:
        self._settings = settings_in_force(config)
        self._kind = kind

    def create(self, asked: BaseModel, here: Here) -> dict[str, Any]:
        """``here`` makes one as ``asked``."""
        body = asked.model_dump(mode="json")
        return self._either(lambda remote: remote.ask("POST", f"/{self._kind}", body), here)

    def all(self) -> list[dict[str, Any]]:
        """Oldest first."""

        def here() -> list[dict[str, Any]]:
            keys, now = self._keys(), datetime.now(UTC)
            found = keys.apps(now) if self._kind == "keys" else keys.operators(now)
            return [one.model_dump(mode="json") for one in found]

        def there(remote: Remote) -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = remote.ask("GET", f"/{self._kind}")
            return found

        return either(running_gateway(self._settings), there, here)[::-1]

    def revoke(self, id: str) -> dict[str, Any]:
        def here(keys: Keys) -> BaseModel:
            revoke = keys.revoke if self._kind == "keys" else keys.revoke_operator
            return revoke(id, local_actor(), datetime.now(UTC))

        path = f"/{self._kind}/{named('key', id)}"
        return self._either(lambda remote: remote.ask("DELETE", path), here)

    def rotate(self, id: str, overlap: timedelta) -> dict[str, Any]:
        def here(keys: Keys) -> BaseModel:
            rotate = keys.rotate if self._kind == "keys" else keys.rotate_operator
            return rotate(id, overlap, local_actor(), datetime.now(UTC))

        path = f"/{self._kind}/{named('key', id)}/rotate"
        body = {"overlap": int(overlap.total_seconds())}
        return self._either(lambda remote: remote.ask("POST", path, body), here)

    def _either(self, there: There, here: Here) -> dict[str, Any]:
        return either(
            running_gateway(self._settings),
            there,
            lambda: here(self._keys()).model_dump(mode="json"),
        )

    def _keys(self) -> Keys:
        settings = self._settings
        return Keys(settings.state.dir, record(settings))


def asked(kind: type[Model], **fields: object) -> Model:
    """The options of a command as the API wants them, or an error of usage."""
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        name = "".join(f" {part}" for part in first["loc"])
        raise click.UsageError(f"{name.strip()}: {first['msg']}") from None


def show_new(key: dict[str, Any], format_: str) -> None:
    """Once."""
    if format_ == "json":
        click.echo(json.dumps(key, indent=1))
        return
    click.echo(key["key"])
    click.echo(f"{key['id']} is its id. Keep the key now: it is not shown again.", err=True)


def show_rotated(heir: dict[str, Any], id: str, overlap: timedelta, format_: str) -> None:
    """``id`` is that of the key that is replaced."""
    show_new(heir, format_)
    if format_ == "text":
        end = datetime.now(UTC) + overlap
        click.echo(f"{id} is good until {end:%Y-%m-%d %H:%M} UTC at most", err=True)


def show_revoked(key: dict[str, Any]) -> None:
    said = f"{key['id']} ({plain(key['name'])}) is revoked"
    click.echo(f"{said}; running gateways know within a second")


def show_all(
    keys: Iterable[dict[str, Any]],
    words: Callable[[dict[str, Any]], Iterable[str]],
    nobody: str,
    *,
    all_: bool,
    format_: str,
) -> None:
    """A line each, of ``words`` and when it ends; without ``all_``, of those that are good.
    ``nobody`` is said where there is none.
    """
    found = [key for key in keys if all_ or key["good"]]
    if format_ == "json":
        click.echo(json.dumps(found, indent=1))
        return
    for key in found:
        click.echo(plain("  ".join(filter(None, (*words(key), _end_of(key))))))
    if not found:
        click.echo(nobody)


def _end_of(key: dict[str, Any]) -> str:
    if not key["good"]:
        return "revoked" if key["revoked"] is not None else "expired"
    expires = moment(key["expires"])
    return "" if expires is None else f"until {expires:%Y-%m-%d}"
