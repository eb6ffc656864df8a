"""A gateway that runs, asked as any operator asks it; with nothing that only serving needs, since
a ban waits for what is imported here.
"""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from gateway.config.credential import owner
from gateway.errors import GatewayError, NotThere, StateError

OPERATOR_KEY = "GATEWAY_OPERATOR_KEY"
"""The variable with an operator's key, for who cannot read the credential of this machine."""
WITHIN = 30.0
LONG = 600.0
"""Seconds for what takes its time."""

T = TypeVar("T")


class Unreachable(GatewayError):
    """A process that runs, and does not answer."""


class Answered(GatewayError):
    """The gateway's own refusal. ``code`` is as it says."""


class Remote:
    """A gateway, asked at ``url`` with a key of an operator; ``name`` is for messages."""

    def __init__(self, url: str, key: str, name: str) -> None:
        self._url = url
        self._key = key
        self._name = name
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, Any] | None = None,
        within: float = WITHIN,
    ) -> Any:
        """What it answers, as plain data. Raises Unreachable and Answered."""
        words = f"?{urllib.parse.urlencode(query, doseq=True)}" if query else ""
        request = urllib.request.Request(  # noqa: S310 - our own address, from files of ours
            f"{self._url}/admin{path}{words}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "authorization": f"Bearer {self._key}",
                "content-type": "application/json",
                "x-gateway-user": user(),
            },
        )
        try:
            with self._opener.open(request, timeout=within) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise _told(error) from None
        except (urllib.error.URLError, OSError, ValueError) as error:
            raise Unreachable(f"{self._name} does not answer on {self._url}: {error}") from None


def either(remote: Remote | None, there: Callable[[Remote], T], here: Callable[[], T]) -> T:
    """Ask the running gateway or, where none runs, work on the files. So too where one does not
    answer, or cannot write what we can: whoever must act now is not to mend a gateway before.
    """
    if remote is None:
        return here()
    try:
        return there(remote)
    except Unreachable as error:
        why = error.message
    except Answered as error:
        if error.code != StateError.code:
            raise
        why = error.message
    click.secho(f"warning: {why}; the files are changed from here", fg="yellow", err=True)
    return here()


def named(what: str, name: str) -> str:
    """A name as a part of a path. Raises ``NotThere`` for what can be none: it names nothing."""
    if not name or "/" in name or name in (".", ".."):
        raise NotThere(f"there is no {what} {name[:64]!r}")
    return urllib.parse.quote(name, safe="")


def user() -> str:
    """Who runs a command, as far as this machine knows."""
    return os.environ.get("SUDO_USER") or owner()


def _told(error: urllib.error.HTTPError) -> GatewayError:
    try:
        told = json.load(error)["error"]
        return Answered(str(told["message"]), code=told["code"])
    except (ValueError, KeyError, TypeError):
        return Unreachable(
            f"the gateway answered {error.code}, and nothing that is an answer of it"
        )
